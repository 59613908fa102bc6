"""A plan is made once for each question."""

import pytest
from builders import a_job
from finetune_operator.planning import plan
from finetune_operator.planning.plan import AS_PLANNED, Descent
from finetune_operator.planning.profiles import CpuProfile, Profiles
from finetune_operator.reconcile import plans

SPEC, PROFILES = a_job(), Profiles()


@pytest.fixture
def made(monkeypatch):
    """What was planned, in fact."""
    real, questions = plan.descend, []

    def descend(*question):
        questions.append(question)
        return real(*question)

    plans._descend.cache_clear()
    monkeypatch.setattr(plan, "descend", descend)
    return questions


def test_the_same_question_has_the_same_answer_and_costs_once(made):
    first = plans.descend(SPEC, PROFILES, AS_PLANNED)
    assert first == plan.plan(SPEC, PROFILES)
    assert plans.descend(SPEC.model_copy(), PROFILES, Descent()) is first
    assert len(made) == 1


def test_whatever_is_asked_otherwise_is_planned_again(made):
    smaller = Profiles(cpu=CpuProfile(memory_bytes=PROFILES.cpu.memory_bytes // 2))
    for question in (
        (SPEC, PROFILES, AS_PLANNED),
        (a_job(training={"sequenceLength": 64}), PROFILES, AS_PLANNED),
        (SPEC, PROFILES, Descent(1)),
        (SPEC, PROFILES, Descent(0, 1)),
        (SPEC, smaller, AS_PLANNED),
    ):
        assert plans.descend(*question) == plan.descend(*question)
    assert len(made) == 10
