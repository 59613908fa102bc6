"""The command `plan`: its forms of output, its exit status, and how fast it starts."""

import json
import os
import subprocess
import sys

import pytest
import yaml
from finetune_operator.api import keys
from finetune_operator.runtime.commands import pins
from finetune_operator.runtime.commands.plan import BAD_INPUT, FITS, REFUSED, main
from real_jobs import smallest

PHI = {"name": "microsoft/Phi-3-medium-4k-instruct"}
FULL_ON_T4 = ["method=full", "accelerator=nvidia-t4", "strategy=none", "devicesPerNode=1"]
LLAMA = {
    "model_type": "llama",
    "hidden_size": 2048,
    "num_hidden_layers": 22,
    "num_attention_heads": 32,
    "intermediate_size": 5632,
    "vocab_size": 32000,
    "max_position_embeddings": 2048,
}


@pytest.fixture
def job(tmp_path):
    def write(*names, **fields):
        documents = [
            {"apiVersion": keys.API_VERSION, "kind": keys.KIND, "metadata": {"name": name}, "spec": smallest(**fields)}
            for name in names or ("one",)
        ]
        path = tmp_path / "job.yaml"
        path.write_text(yaml.safe_dump_all(documents))
        return str(path)

    return write


def pinned(*texts):
    return [word for text in texts for word in ("--pin", text)]


def test_a_job_that_fits_is_shown_as_a_table(job, capsys):
    assert main([job()]) == FITS
    assert capsys.readouterr().out.startswith("FITS  one: ")


def test_a_refused_job_has_an_exit_status_of_its_own(job, capsys):
    assert main([job(model=PHI), "-o", "json", *pinned(*FULL_ON_T4)]) == REFUSED
    found = json.loads(capsys.readouterr().out)
    assert found["refusal"]["reason"] == "DoesNotFit"
    assert found["memory"]["predictedBytes"] > found["memory"]["limitBytes"] > 0


def test_of_a_model_on_a_claim_it_says_what_the_operator_would_do(job, capsys, tmp_path):
    path = job(model={"name": "my-team/own", "source": {"claim": {"name": "models"}}})
    assert main([path, "-o", "json"]) == REFUSED
    refusal = json.loads(capsys.readouterr().out)["refusal"]
    assert refusal["reason"] == "UnknownModel"
    assert "The operator reads its config.json from the claim before it plans" in refusal["message"]
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    assert main([path, "--model-config", str(tmp_path / "config.json")]) == FITS


def test_a_config_beside_the_manifest_is_what_the_operator_would_find(job, capsys, tmp_path):
    (tmp_path / "job.config.json").write_text(json.dumps(LLAMA))
    path = job(model={"name": "my-team/own", "source": {"claim": {"name": "models"}}})
    assert main([path, "-o", "json"]) == FITS
    assert json.loads(capsys.readouterr().out)["model"] == "my-team/own"
    assert main([job(model={"name": "my-team/own", "source": {"hub": {}}})]) == REFUSED


def test_it_divides_quantized_weights_as_little_as_the_operator_does(job, capsys):
    large = {"model": {"name": "meta-llama/Llama-2-70b-hf"}, "task": "causal-lm", "technique": {"method": "qlora"}}
    main([job(**large, hardware={"accelerator": "nvidia-l4", "devicesPerNode": 4}), "-o", "json"])
    assert json.loads(capsys.readouterr().out)["refusal"]["reason"] == "DoesNotFit"


DIVIDED = {
    "PyTorch": ["strategy=fsdp"],
    "DeepSpeed": ["strategy=deepspeed", "zeroStage=3"],
    "offloaded": ["strategy=deepspeed", "zeroStage=3", "offloadParameters=cpu", "offloadOptimizer=cpu"],
}


@pytest.mark.parametrize("texts", DIVIDED.values(), ids=DIVIDED)
def test_a_published_run_with_divided_quantized_weights_is_planned_again(job, capsys, texts):
    large = job(model={"name": "meta-llama/Llama-2-70b-hf"}, task="causal-lm")
    fixed = [
        "method=qlora",
        "accelerator=nvidia-a100-80gb",
        "devicesPerNode=2",
        "microBatchSize=1",
        "sequenceLength=512",
        *texts,
    ]
    assert main([large, "-o", "json", *pinned(*fixed)]) == FITS
    found = json.loads(capsys.readouterr().out)
    assert any("does not divide quantized weights" in one for one in found["warnings"])
    assert main([large, "-o", "json", *pinned(*fixed, "shardsQuantized=false")]) == REFUSED
    refused = json.loads(capsys.readouterr().out)
    assert (refused["method"], refused["devices"], refused["refusal"]["reason"]) == ("qlora", 2, "Unsupported")
    assert refused["memory"]["predictedBytes"] <= found["memory"]["predictedBytes"]


def test_one_refused_job_among_others_counts(job, capsys):
    path = job("one", "two", model=PHI)
    assert main([path, "-o", "json", *pinned(*FULL_ON_T4)]) == REFUSED
    assert [found["job"] for found in json.loads(capsys.readouterr().out)] == ["one", "two"]


def test_yaml_says_the_same_as_json(job, capsys):
    path = job("one", "two")
    main([path, "-o", "json"])
    as_json = json.loads(capsys.readouterr().out)
    main([path, "-o", "yaml"])
    assert list(yaml.safe_load_all(capsys.readouterr().out)) == as_json


def test_bad_input_is_told_line_by_line_on_standard_error(job, capsys):
    assert main([job(task="x", training={"seed": -1})]) == BAD_INPUT
    told = capsys.readouterr()
    assert told.out == ""
    assert [line.split(": ")[3] for line in told.err.splitlines()] == ["spec.task", "spec.training.seed"]


@pytest.mark.parametrize("extra", [["--pin", "x=1"], ["--profiles", "none"], ["--model-config", "none"]])
def test_a_bad_option_is_bad_input(job, extra):
    assert main([job(), *extra]) == BAD_INPUT


def test_a_pinned_plan_uses_exactly_the_pins(job, capsys):
    wish = {
        "method": "dora",
        "precision": "bf16",
        "microBatchSize": 2,
        "gradientAccumulation": 3,
        "gradientCheckpointing": True,
        "strategy": "deepspeed",
        "zeroStage": 3,
        "devicesPerNode": 2,
        "nodes": 2,
        "accelerator": "nvidia-a10g",
        "sequenceLength": 256,
        "learningRate": 0.01,
    }
    texts = [f"{name}={str(value).lower()}" for name, value in wish.items()]
    assert main([job(), "-o", "json", *pinned(*texts, "offloadOptimizer=cpu", "offloadParameters=cpu")]) == FITS
    found = json.loads(capsys.readouterr().out)
    assert {name: found[name] for name in wish} == wish
    assert found["offload"] == {"optimizer": "cpu", "parameters": "cpu"}
    assert found["devices"] == 4


def test_a_pinned_plan_that_does_not_fit_still_tells_its_memory(job, capsys):
    sizes = []
    for size in (64, 128):
        texts = ("accelerator=nvidia-t4", f"microBatchSize={size}", "gradientAccumulation=1", "method=lora")
        main([job(model=PHI), "-o", "json", *pinned(*texts, "gradientCheckpointing=false", "strategy=none")])
        sizes.append(json.loads(capsys.readouterr().out)["memory"]["predictedBytes"])
    assert sizes[0] < sizes[1]


def test_traits_of_the_software_change_the_memory(job, capsys):
    peaks = []
    for loss in ("fused", "full"):
        main([job(model=PHI), "-o", "json", *pinned("method=qlora", "accelerator=nvidia-h100", f"loss={loss}")])
        peaks.append(json.loads(capsys.readouterr().out)["memory"]["terms"])
    assert peaks[0] != peaks[1]


def test_profiles_and_a_models_config_are_read(job, tmp_path, capsys):
    profiles, config = tmp_path / "profiles.yaml", tmp_path / "config.json"
    profiles.write_text("hardware: {small: {accelerator: nvidia-l4, pricePerHour: 0.1}}")
    config.write_text(json.dumps(LLAMA))
    path = job(model={"name": "team/own"}, hardware={"profile": "small"}, training={"maxSteps": 100})
    assert main([path]) == REFUSED
    capsys.readouterr()
    assert main([path, "-o", "json", "--profiles", str(profiles), "--model-config", str(config)]) == FITS
    found = json.loads(capsys.readouterr().out)
    assert (found["model"], found["accelerator"]) == ("team/own", "nvidia-l4")
    layer = 4 * 2048**2 + 3 * 2048 * 5632 + 2 * 2048
    assert found["totalParameters"] == 22 * layer + 2 * 32000 * 2048 + 2048


def test_the_help_explains_every_pin(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    assert all(f"\n  {name} " in text and meaning in text for name, meaning in pins.described())


def test_neither_kopf_nor_kubernetes_is_loaded(job):
    code = (
        "import sys; from finetune_operator.runtime.cli import main; status = main(sys.argv[1:]); "
        "sys.exit(status or len({'kopf', 'kubernetes', 'prometheus_client', 'aiohttp'} & set(sys.modules)))"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, "plan", job()]
    assert subprocess.run(command, check=False, capture_output=True, timeout=30, env=environment).returncode == 0
