"""How far training is, by whichever word is the latest."""

from builders import NOW, a_pod, a_report, an_attempt, at_step, ended, remembered, seen, status_of
from finetune_operator.api.v1alpha1.reasons import Reason
from finetune_operator.api.v1alpha1.status import CheckpointStatus, ProgressStatus
from finetune_operator.reconcile.actions import Result, State, Verdict
from finetune_operator.status.progress import checkpoint, progress
from finetune_trainer.contract import ExitCode, Outcome

LIVE = at_step(42, checkpoint_step=40)
LAST_WORD = a_report(outcome=Outcome.SUSPENDED, step=45, checkpoint_step=45)
SAID = ProgressStatus(phase="training", percent=45, step=45, updated_at="2027-01-15T08:00:00Z")
KEPT = CheckpointStatus(step=45, resumable=True)


def told(*attempts, **facts):
    """What was told after the last word of the first attempt, and what is seen now."""
    return seen(previous=remembered(*attempts, progress=SAID, checkpoint=KEPT), progress=LIVE, **facts)


WAITING = Verdict(State.WAITING, Reason.CONFIG_MAP_NOT_FOUND, "somebody has to make it")


def test_a_live_word_is_taken_while_its_attempt_is_under_way():
    under_way = told(an_attempt())
    assert progress(under_way, WAITING).step == 42
    assert checkpoint(under_way, Result()).step == 40


def test_a_live_word_does_not_take_back_what_was_told_at_the_end_of_its_attempt():
    over = told(an_attempt(reason="Interrupted"), pod=ended(ExitCode.SUSPENDED, report=LAST_WORD, gone_at=0.0))
    assert progress(over, WAITING) == SAID
    assert checkpoint(over, Result()) == KEPT


def test_a_last_word_counts_also_in_a_pass_that_is_about_something_else():
    ends = told(an_attempt(), pod=ended(ExitCode.SUSPENDED, report=LAST_WORD, gone_at=0.0))
    assert progress(ends, WAITING) == SAID
    assert checkpoint(ends, Result()) == KEPT
    unheard = seen(previous=remembered(an_attempt()), progress=LIVE, pod=ended(ExitCode.SUSPENDED, report=LAST_WORD))
    assert checkpoint(unheard, Result()).step == 45


def test_the_live_word_of_the_next_attempt_is_taken():
    again = seen(
        previous=remembered(an_attempt(reason="Interrupted"), an_attempt(2), progress=SAID, checkpoint=KEPT),
        progress=at_step(46, checkpoint_step=45, attempt=2),
        pod=a_pod(attempt=2, running=True),
    )
    assert progress(again, WAITING).step == 46
    assert checkpoint(again, Result()) == KEPT


def test_the_last_live_word_is_all_there_is_of_a_trainer_that_ended_without_one():
    silent = seen(previous=remembered(an_attempt()), progress=LIVE, pod=ended(137))
    assert progress(silent, WAITING).step == 42
    found = checkpoint(silent, Result())
    assert (found.step, found.resumable, found.time is not None) == (40, True, NOW > 0)


AGAIN = remembered(an_attempt(reason="Interrupted", checkpoint_step=45), an_attempt(2), checkpoint=KEPT)


def test_a_checkpoint_that_the_next_attempt_did_not_find_is_not_told_any_more():
    anew = seen(previous=AGAIN, progress=at_step(5, attempt=2), pod=a_pod(attempt=2, running=True))
    assert checkpoint(anew, Result()) is None
    (told,) = (one for one in status_of(anew).conditions if one.type == "CheckpointAvailable")
    assert (told.status, told.reason) == ("False", "NoneYet")


def test_a_checkpoint_is_gone_where_its_claim_is_made_anew():
    between = seen(previous=remembered(an_attempt(reason="Interrupted"), checkpoint=KEPT))
    assert checkpoint(between, Result()) == KEPT
    assert checkpoint(between, Result(created=2, new_claim=True)) is None
