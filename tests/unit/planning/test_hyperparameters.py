"""Values for what the user left open."""

from finetune_operator.api.v1alpha1.spec import Task
from finetune_operator.api.v1alpha1.technique import Lora, Method
from finetune_operator.planning import catalog, hyperparameters

MINILM = catalog.find("all-MiniLM-L6-v2")


def test_adapters_learn_faster_than_whole_models():
    assert hyperparameters.learning_rate(Method.LORA)[0] > hyperparameters.learning_rate(Method.FULL)[0]


def test_a_model_that_reads_less_than_usual_sets_the_length():
    short = MINILM.model_copy(update={"max_positions": 64})
    assert hyperparameters.sequence_length(Task.TEXT_CLASSIFICATION, MINILM)[0] == 128
    assert hyperparameters.sequence_length(Task.TEXT_CLASSIFICATION, short)[0] == 64


def test_alpha_is_twice_the_rank_unless_given():
    assert (hyperparameters.rank(None), hyperparameters.alpha(None)) == (8, 16)
    assert hyperparameters.alpha(Lora(rank=32)) == 64
    assert hyperparameters.alpha(Lora(rank=32, alpha=5)) == 5
