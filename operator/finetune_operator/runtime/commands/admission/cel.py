"""Evaluates the part of CEL in which the rules of the API are written; `holds` is the entry.

The API server is the judge of a job. This lets `plan` say the same before there is a server, and a test holds both to
the same cases (tests/support/rule_cases.py).

Not here: the rules (`api`), which of them apply to a manifest (`runtime.commands.admission`).
"""

from __future__ import annotations

import ast
import functools
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

Scope = Mapping[str, Any]
Expression = Callable[[Scope], Any]

TOKEN: Final = re.compile(
    r"\s*(?:(?P<text>'(?:[^'\\]|\\.)*')|(?P<number>\d+(?:\.\d+)?)|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<sign>&&|\|\||[=!<>]=|[-+*/%<>!?:.,()\[\]{}]))"
)
CONSTANTS: Final = {"true": True, "false": False, "null": None}
LEVELS: Final = (("||",), ("&&",), ("==", "!=", "<", "<=", ">", ">=", "in"), ("+", "-"), ("*", "/", "%"))
"""Operators of two sides, the loosest first."""

STRICT: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "in": lambda one, many: one in many,
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.floordiv,
    "%": operator.mod,
}
"""Operators that need both sides; `&&` and `||` may do with one."""


class UnknownCel(ValueError):
    """A rule uses a part of CEL that is not known here."""


def holds(rule: str, value: Any) -> bool:
    """Tell whether a rule holds of a value.

    Raises:
        UnknownCel: the rule cannot be read.
    """
    return bool(_read(rule)({"self": value}))


@functools.cache
def _read(rule: str) -> Expression:
    reader = _Reader(rule)
    expression = reader.ternary()
    reader.expect("")
    return expression


def _tokens(rule: str) -> list[str]:
    found, at = [], 0
    while at < len(rule.rstrip()):
        token = TOKEN.match(rule, at)
        if token is None:
            raise UnknownCel(f"{rule[at:]!r} in {rule!r}")
        found.append(token[0].strip())
        at = token.end()
    return [*found, ""]


class _Reader:
    """Reads one rule from left to right into functions of the values that its names stand for."""

    def __init__(self, rule: str) -> None:
        self.rule, self.tokens, self.at = rule, _tokens(rule), 0

    def next_is(self, token: str) -> bool:
        """Take the next token if it is this one."""
        found = self.tokens[self.at] == token
        self.at += found
        return found

    def expect(self, token: str) -> None:
        """Take the next token, which has to be this one."""
        if self.tokens[self.at] != token:
            raise UnknownCel(f"{self.tokens[self.at]!r} instead of {token!r} in {self.rule!r}")
        self.at += 1

    def take(self) -> str:
        """Take the next token."""
        self.at += 1
        return self.tokens[self.at - 1]

    def ternary(self) -> Expression:
        """Read a whole expression."""
        condition = self.binary(0)
        if not self.next_is("?"):
            return condition
        yes = self.ternary()
        self.expect(":")
        no = self.ternary()
        return lambda scope: yes(scope) if condition(scope) else no(scope)

    def binary(self, level: int) -> Expression:
        """Read operators of a level and of all that bind tighter."""
        if level == len(LEVELS):
            return self.unary()
        left = self.binary(level + 1)
        while self.tokens[self.at] in LEVELS[level]:
            left = _joined(self.take(), left, self.binary(level + 1))
        return left

    def unary(self) -> Expression:
        """Read what stands behind `!` and `-`, or alone."""
        if self.next_is("!"):
            inner = self.unary()
            return lambda scope: not inner(scope)
        if self.next_is("-"):
            inner = self.unary()
            return lambda scope: -inner(scope)
        return self.member()

    def member(self) -> Expression:
        """Read a value and the fields, methods and places that are asked of it."""
        value = self.primary()
        while True:
            if self.next_is("."):
                name = self.take()
                value = self.method(value, name) if self.next_is("(") else _field(value, name)
            elif self.next_is("["):
                value = _place(value, self.ternary())
                self.expect("]")
            else:
                return value

    def method(self, value: Expression, name: str) -> Expression:
        """Read the arguments of a method."""
        if name == "all":
            variable = self.take()
            self.expect(",")
            condition = self.ternary()
            self.expect(")")
            return lambda scope: all(condition({**scope, variable: one}) for one in value(scope))
        if name == "contains":
            part = self.ternary()
            self.expect(")")
            return lambda scope: part(scope) in value(scope)
        raise UnknownCel(f"method {name} in {self.rule!r}")

    def primary(self) -> Expression:
        """Read a literal, a name, a function or what is in brackets."""
        word = self.take()
        if word == "(":
            inner = self.ternary()
            self.expect(")")
            return inner
        if word == "[":
            items = self.list_until("]")
            return lambda scope: [item(scope) for item in items]
        if word == "{":
            pairs = self.pairs()
            return lambda scope: {key(scope): value(scope) for key, value in pairs}
        if word in CONSTANTS:
            return lambda _scope: CONSTANTS[word]
        if word[:1] in {"'", *"0123456789"}:
            literal = ast.literal_eval(word)
            return lambda _scope: literal
        if not word.isidentifier():
            raise UnknownCel(f"{word!r} in {self.rule!r}")
        if self.next_is("("):
            return self.function(word)
        return lambda scope: scope[word]

    def function(self, name: str) -> Expression:
        """Read the arguments of a function."""
        match name, self.list_until(")"):
            case "has", [argument]:
                return lambda scope: argument(scope) is not _ABSENT
            case "size", [argument]:
                return lambda scope: len(argument(scope))
        raise UnknownCel(f"function {name} in {self.rule!r}")

    def list_until(self, end: str) -> list[Expression]:
        """Read expressions up to a bracket."""
        items: list[Expression] = []
        while not self.next_is(end):
            items.append(self.ternary())
            self.next_is(",")
        return items

    def pairs(self) -> list[tuple[Expression, Expression]]:
        """Read the keys and values of a map."""
        found = []
        while not self.next_is("}"):
            key = self.ternary()
            self.expect(":")
            found.append((key, self.ternary()))
            self.next_is(",")
        return found


_ABSENT: Final = object()
"""What a field that is not set is to `has`."""


def _field(value: Expression, name: str) -> Expression:
    return lambda scope: value(scope).get(name, _ABSENT)


def _place(value: Expression, key: Expression) -> Expression:
    return lambda scope: value(scope)[key(scope)]


def _joined(sign: str, left: Expression, right: Expression) -> Expression:
    if sign == "&&":
        return lambda scope: left(scope) and right(scope)
    if sign == "||":
        return lambda scope: left(scope) or right(scope)
    join = STRICT[sign]
    return lambda scope: join(left(scope), right(scope))
