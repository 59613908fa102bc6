"""What rules mean."""

import pytest
from finetune_operator.runtime.commands.admission import cel

SELF = {"a": 6, "b": 4, "word": "lora", "list": ["x", "y"], "inner": {"deep": {"flag": True}}, "yes": True}

TRUE = [
    "true && !false && null == null",
    "self.a == 6 && self.b != 6 && self.a > self.b && self.b >= 4 && self.b < 5 && self.b <= 4",
    "self.a % self.b == 2 && self.a * self.b == 24 && self.a + self.b - 1 == 9 && self.a / self.b == 1",
    "-self.a == 0 - 6",
    "1 + 2 * 3 == 7 && (1 + 2) * 3 == 9 && 1.5 > 1",
    "false || true && true",
    "self.word in ['lora', 'dora'] && !(self.word in ['full'])",
    "self.word == 'it\\'s' || self.word == 'lora'",
    "has(self.inner.deep) && has(self.inner.deep.flag) && !has(self.inner.other) && !has(self.c)",
    "(has(self.c) ? self.c : 1) * (has(self.a) ? self.a : 1) == 6",
    "self.list.all(one, one in {'lora': ['x', 'y', 'z']}[self.word])",
    "!self.list.all(one, one == 'x')",
    "size(self.word) <= 4 && size(self.list) == 2 && !self.word.contains('.')",
    "!has(self.c) || self.c > 5",
]


@pytest.mark.parametrize("rule", TRUE)
def test_a_rule_that_holds(rule):
    assert cel.holds(rule, SELF)
    assert not cel.holds(f"!({rule})", SELF)


@pytest.mark.parametrize(
    "rule", ["self.a ~ 1", "self.a ==", "self.a 1", "now() == 1", "self.a.matches('x')", "(self.a", ", 1"]
)
def test_what_is_not_known_is_said(rule):
    with pytest.raises(cel.UnknownCel):
        cel.holds(rule, SELF)
