"""Walks a parsed PromQL expression: every selector, every call."""

from collections.abc import Iterator

import promql_parser


def children(node) -> Iterator:
    """Yield the expressions right below one."""
    for name in ("expr", "lhs", "rhs", "param", "vector_selector", "vs"):
        below = getattr(node, name, None)
        if below is not None and not isinstance(below, str | float | int):
            yield below
    yield from getattr(node, "args", None) or ()


def walk(node) -> Iterator:
    """Yield an expression and all below it."""
    yield node
    for below in children(node):
        yield from walk(below)


def selectors(node) -> Iterator:
    """Yield every selector of an expression."""
    return (one for one in walk(node) if isinstance(one, promql_parser.VectorSelector))


def calls(node) -> Iterator:
    """Yield every call of a function."""
    return (one for one in walk(node) if isinstance(one, promql_parser.Call))
