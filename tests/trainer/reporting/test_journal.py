import math

from finetune_trainer.contract import JobIdentity, Outcome, TrainerPhase, to_json
from finetune_trainer.reporting.journal import Journal

JOB = JobIdentity(namespace="default", name="reviews", uid="u", attempt=3)


def test_it_begins_with_starting_and_the_attempt():
    progress = Journal(JOB).progress
    assert (progress.phase, progress.attempt, progress.step) == (TrainerPhase.STARTING, 3, 0)


def test_a_number_that_is_not_finite_becomes_null():
    journal = Journal(JOB)
    journal.advance(loss=math.nan, grad_norm=math.inf, eval_loss=0.5)
    assert (journal.progress.loss, journal.progress.grad_norm, journal.progress.eval_loss) == (None, None, 0.5)
    to_json(journal.progress)


def test_the_report_knows_what_the_progress_knows():
    journal = Journal(JOB)
    journal.advance(step=7, total_steps=10, checkpoint_step=5)
    journal.note(outcome=Outcome.SUSPENDED)
    report = journal.report
    assert (report.attempt, report.step, report.total_steps, report.checkpoint_step) == (3, 7, 10, 5)


def test_a_document_that_was_read_does_not_change():
    journal = Journal(JOB)
    before = journal.progress
    journal.enter(TrainerPhase.TRAINING)
    assert before.phase is TrainerPhase.STARTING


def test_what_is_done_is_done_to_100_percent():
    journal = Journal(JOB)
    journal.advance(percent=99)
    journal.enter(TrainerPhase.DONE)
    assert journal.progress.percent == 100
