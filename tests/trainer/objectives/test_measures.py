import pytest
from finetune_operator.api.v1alpha1.contradictions import METRICS
from finetune_trainer.contract import FailureReason
from finetune_trainer.objectives import measures
from finetune_trainer.objectives.registry import OBJECTIVES
from finetune_trainer.process.failures import TrainerFailure


def objectives_of(task):
    return {objective.module.rpartition(".")[2] for objective in OBJECTIVES[task].values()}


@pytest.mark.parametrize("task", METRICS)
def test_every_metric_of_the_api_is_measured_by_an_objective_of_the_task(task):
    offered = {name for objective in objectives_of(task) for name in measures.OFFERED[objective]}
    assert set(METRICS[task]) <= offered


@pytest.mark.parametrize(
    ("task", "objective"), [(task, each) for task in METRICS for each in sorted(objectives_of(task))]
)
def test_what_is_usual_can_be_measured(a_run, task, objective):
    wanted = measures.chosen(a_run(task=task), objective)
    assert measures.LOSS in wanted
    assert set(wanted) <= set(METRICS[task])


def test_what_is_asked_for_replaces_the_usual_and_the_loss_stays(a_run):
    run = a_run(evaluation__metrics=("recall",))
    assert measures.chosen(run, "classify") == ("recall", "loss")


def test_the_best_checkpoint_s_metric_is_measured_too(a_run):
    assert "precision" in measures.chosen(a_run(evaluation__best="precision"), "classify")


def test_what_cannot_be_measured_is_refused_with_what_can(a_run):
    run = a_run(task="question-answering", evaluation__metrics=("f1", "perplexity"))
    with pytest.raises(TrainerFailure, match="perplexity cannot be measured of question-answering") as caught:
        measures.chosen(run, "point")
    assert caught.value.reason is FailureReason.INVALID_RUN
    assert "take of exact-match, f1" in caught.value.message


def test_numbers_of_the_library_that_are_no_metric_are_left_out():
    raw = {"eval_loss": 0.123456, "eval_runtime": 3.0, "eval_perplexity": 12.34567, "epoch": 1.0}
    assert measures.named(raw) == {"perplexity": 12.346, "loss": 0.1235}


def test_a_loss_beyond_all_words_gives_a_number():
    assert measures.perplexity(1e6) < float("inf")
