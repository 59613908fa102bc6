"""A plan as people read it."""

import pytest
from finetune_operator.api.v1alpha1.reasons import Reason
from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.planning.memory.estimate import GIB, MemoryEstimate
from finetune_operator.planning.plan import plan
from finetune_operator.planning.profiles import HardwareProfile, Profiles
from finetune_operator.planning.refusal import Alternative, Refusal
from finetune_operator.runtime.commands import paper
from finetune_operator.runtime.commands.presentation import BAR, pieces
from real_jobs import smallest

T4 = {"accelerator": "nvidia-t4"}
OFFERED = Profiles(hardware={"big": HardwareProfile(accelerator="nvidia-h100", devices_per_node=8, nodes=2)})
LEAST = MemoryEstimate((("weights", 12 * GIB), ("nothing", 0), ("context", 3 * GIB)))


@pytest.fixture
def shown(capsys):
    def show(answer):
        paper.show(*pieces("job", answer))
        return capsys.readouterr().out

    return show


def planned(**fields):
    return plan(FineTuneJobSpec.model_validate(smallest(**fields)), OFFERED)


def test_the_verdict_comes_first(shown):
    text = shown(planned())
    assert text.startswith("FITS  job: lora of finetune.dev/tiny-phi3 on 1 x cpu\ntrains ")
    assert "1 epoch of 32 rows of up to 512 tokens" in text


def test_no_line_is_wider_than_the_paper_or_ends_in_blanks(shown):
    for fields in ({}, {"hardware": T4}, {"technique": {"method": "full"}, "hardware": {"profile": "big"}}):
        lines = shown(planned(**fields)).splitlines()
        assert max(map(len, lines)) <= paper.WIDTH
        assert lines == [line.rstrip() for line in lines]


def test_terms_of_memory_stand_one_behind_the_other_and_add_up(shown):
    text = shown(Refusal(Reason.DOES_NOT_FIT, "too large", (), LEAST, 20 * GIB))
    weights, context, together = (
        next(line for line in text.splitlines() if line.strip().startswith(word))
        for word in ("weights", "context", "together")
    )
    assert weights.rindex("█") + 1 == context.index("█")
    assert together.count("█") == weights.count("█") + context.count("█") == round(BAR * 15 / 20)
    assert "nothing" not in text


def test_what_is_too_much_stands_behind_the_limit(shown):
    text = shown(Refusal(Reason.DOES_NOT_FIT, "too large", (), LEAST, 10 * GIB))
    assert "Memory, 5.0 GiB too little: 15.0 GiB of 10.0 GiB (150 %)" in text
    assert "Memory, 1 MiB too little" in shown(Refusal(Reason.DOES_NOT_FIT, "too large", (), LEAST, LEAST.peak - 1))
    together = next(line for line in text.splitlines() if "together" in line)
    assert (together.count("█"), together.count("▓")) == (round(BAR * 10 / 15), BAR - round(BAR * 10 / 15))


def test_a_refusal_ends_with_what_fits_and_its_price(shown):
    others = (Alternative("technique.method: qlora", 5 * GIB, 10 * GIB, 0.526), Alternative("other", GIB, GIB, None))
    lines = shown(Refusal(Reason.DOES_NOT_FIT, "too large", others, LEAST, 10 * GIB)).rstrip().splitlines()
    assert lines[-2].split() == ["technique.method:", "qlora", "5.0", "GiB", "10.0", "GiB", "$0.53"]
    assert lines[-1].split() == ["other", "1.0", "GiB", "1.0", "GiB"]


def test_a_refusal_without_numbers_is_its_message(shown):
    assert shown(Refusal(Reason.UNKNOWN_MODEL, "who?")) == "REFUSED  job: UnknownModel\nwho?\n\n"


def test_a_gpu_has_a_price_and_its_node_needs_memory_too(shown):
    text = shown(planned(hardware=T4, training={"maxSteps": 100}))
    assert "of each node's own memory" in text
    assert "Time: " in text
    assert " an hour" in text


def test_without_steps_the_time_of_one_is_told(shown):
    text = shown(planned(hardware=T4))
    assert "s a step, for how many is unknown" in text
    assert " an hour" in text
    assert "\nMind\n" in text


def test_devices_that_share_a_job_are_named_with_their_profile(shown):
    job = {"hardware": {"profile": "big", "devicesPerNode": 8, "nodes": 2}, "technique": {"method": "full"}}
    text = shown(planned(**job))
    assert "on 2 nodes of 8 x nvidia-h100 (big)" in text
    assert "Memory of each device" in text
    assert "trains all " in text
    assert "batchSize 32 = microBatchSize 2 x 1 x 16 devices" in text


def test_an_instance_type_is_named(shown):
    assert "on 1 x nvidia-t4 (g4dn.xlarge)" in shown(planned(hardware={"instanceType": "g4dn.xlarge"}))


def test_the_ladder_is_walked_from_left_to_right(shown):
    text = shown(planned())
    assert "If memory runs out all the same\n  microBatchSize 16, gradient accumulation 2 → " in text


def test_a_plan_that_cannot_be_made_smaller_has_no_ladder(shown):
    text = shown(planned(technique={"method": "full"}, training={"microBatchSize": 1, "gradientCheckpointing": True}))
    assert "If memory runs out" not in text
    assert "batchSize 32 = microBatchSize 1 x 32\n" in text
