from finetune_operator.api.v1alpha1.technique import PeftType
from finetune_operator.planning.catalog.peft_options import peft_options


def test_every_adapter_of_the_api_has_its_options():
    assert set(peft_options()) == set(PeftType)
    assert "num_virtual_tokens" in peft_options()[PeftType.PROMPT_TUNING]


def test_what_the_trainer_decides_is_no_option():
    assert not {"task_type", "peft_type", "inference_mode"} & set().union(*peft_options().values())
