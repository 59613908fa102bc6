import pytest
from finetune_trainer.contract import FailureReason
from finetune_trainer.data.formats import FORMATS_BY_TASK
from finetune_trainer.models.heads import Family, family
from finetune_trainer.objectives.registry import OBJECTIVES, find
from finetune_trainer.process.failures import TrainerFailure

FAMILIES = {
    "bert": ({"model_type": "bert"}, Family.ENCODER),
    "phi3": ({"model_type": "phi3"}, Family.DECODER),
    "t5": ({"model_type": "t5", "is_encoder_decoder": True}, Family.ENCODER_DECODER),
}


@pytest.mark.parametrize(("config", "want"), FAMILIES.values(), ids=FAMILIES)
def test_a_model_tells_its_family(a_run, rows_file, config, want):
    file = rows_file(config, name="config.json")
    assert family(a_run(model__path=str(file.parent)).model) is want


def test_a_folder_without_config_has_no_family(a_run):
    assert family(a_run().model) is None
    assert find("chat", None) is find("chat", Family.DECODER)


HEADS = {
    ("question-answering", Family.ENCODER): "question-answering",
    ("question-answering", Family.DECODER): "causal-lm",
    ("question-answering", Family.ENCODER_DECODER): "seq2seq-lm",
    ("translation", Family.DECODER): "causal-lm",
    ("token-classification", Family.DECODER): "token-classification",
}


@pytest.mark.parametrize(("asked", "want"), HEADS.items(), ids=str)
def test_the_family_decides_the_head(asked, want):
    assert find(*asked).head == want


@pytest.mark.parametrize("task", ["chat", "causal-lm", "translation", "preference"])
def test_an_encoder_does_not_generate(task):
    with pytest.raises(TrainerFailure, match=f"task {task} cannot be learnt by a model that is an encoder") as caught:
        find(task, Family.ENCODER)
    assert caught.value.reason is FailureReason.INVALID_RUN


def test_every_task_with_a_format_has_an_objective():
    assert set(OBJECTIVES) == set(FORMATS_BY_TASK)
