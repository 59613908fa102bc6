"""What a job asks to run on."""

import pytest
from finetune_operator.api.v1alpha1.hardware import Hardware

ASKED = {
    "nothing is the processor": ({}, "cpu"),
    "the processor by its name": ({"accelerator": "cpu"}, "cpu"),
    "an accelerator": ({"accelerator": "nvidia-l4", "devicesPerNode": 2}, "nvidia-l4"),
    "a profile has its own": ({"profile": "small"}, None),
    "an instance type has its own": ({"instanceType": "g6.xlarge"}, None),
}


@pytest.mark.parametrize(("fields", "want"), ASKED.values(), ids=ASKED)
def test_the_accelerator_that_a_job_names(fields, want):
    assert Hardware.model_validate(fields).asked_accelerator == want
