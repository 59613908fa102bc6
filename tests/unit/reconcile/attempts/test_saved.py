"""Which checkpoint the next attempt will find, by whoever told last."""

import pytest
from builders import a_job, a_pod, a_report, an_attempt, at_step, ended, remembered, seen
from finetune_operator.api.v1alpha1.status import CheckpointStatus
from finetune_operator.reconcile.attempts.saved import ephemeral, newest, resumable
from finetune_operator.reconcile.snapshot import InvalidSpec
from finetune_trainer.contract import ExitCode, Outcome, TrainerPhase

SECOND = remembered(
    an_attempt(reason="Interrupted", checkpoint_step=40),
    an_attempt(2),
    checkpoint=CheckpointStatus(step=40, resumable=True),
)
POD = a_pod(attempt=2, running=True)


def said(**fields):
    return {"previous": SECOND, "pod": POD, "progress": at_step(41, attempt=2, **fields)}


def last_word(**fields):
    report = a_report(outcome=Outcome.SUSPENDED, **({"checkpoint_step": None} | fields))
    return {"previous": SECOND, "pod": ended(ExitCode.SUSPENDED, attempt=2, report=report)}


BEGUN_ANEW = {"step": 5, "phase": TrainerPhase.TRAINING}

CASES = {
    "nothing was ever saved": ({"previous": remembered(an_attempt())}, None),
    "the trainer says nothing yet": ({"previous": SECOND, "pod": POD}, 40),
    "the trainer has not looked for it yet": (said(phase=TrainerPhase.LOADING_MODEL), 40),
    "the trainer has found it": (said(checkpoint_step=40, resumed_from_step=40), 40),
    "the trainer has saved another": (said(checkpoint_step=60, resumed_from_step=40), 60),
    "the trainer began from nothing": (said(), None),
    "the trainer began from nothing and saved": (said(checkpoint_step=10), 10),
    "the trainer ended before it looked": (last_word(step=0), 40),
    "the trainer saved at its end": (last_word(checkpoint_step=45), 45),
    "the trainer ended, begun from nothing": (last_word(step=5), None),
    "the trainer ended without a step, begun from nothing": (
        last_word(step=0) | {"progress": at_step(0, attempt=2)},
        None,
    ),
    "another attempt's word says nothing of this one": (
        {"previous": SECOND, "pod": POD, "progress": at_step(5, attempt=1)},
        40,
    ),
    "a word from before an end that was told": (
        {"previous": SECOND.model_copy(update={"attempts": SECOND.attempts[:1]}), "progress": at_step(5)},
        40,
    ),
}


@pytest.mark.parametrize(("facts", "want"), CASES.values(), ids=CASES)
def test_the_newest_checkpoint(facts, want):
    snapshot = seen(**facts)
    assert newest(snapshot, snapshot.previous.attempts[-1].number) == want
    assert resumable(snapshot, snapshot.previous.attempts[-1].number) == want


def test_what_is_saved_on_ephemeral_storage_nobody_resumes_from():
    passing = a_job(checkpoints={"storage": {"ephemeral": {}}})
    told = seen(passing, **said(checkpoint_step=60))
    assert (newest(told, 2), resumable(told, 2)) == (60, None)
    assert ephemeral(passing)
    assert not ephemeral(a_job())
    assert not ephemeral(InvalidSpec("?"))
