"""The recipe from run to artifacts, for each method, on real models and text.

Not here: what a model has learnt after more than a few steps (`test_scenarios.py`).
"""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from finetune_trainer.contract import ExitCode, FailureReason, Outcome
from safetensors import safe_open

METRICS = {"text-classification": {"accuracy", "f1", "loss"}, "chat": {"loss", "perplexity"}}
KINDS = {"lora": {"adapter", "merged"}, "qlora": {"adapter", "merged"}, "full": {"merged"}}


@pytest.mark.parametrize("method", ["lora", "qlora", "full"])
@pytest.mark.parametrize("task", METRICS)
def test_each_method_serves_each_task(a_small_run, carry_out, task, method):
    run = a_small_run(task=task, method=method, training__max_steps=2, output__formats=("adapter", "merged"))
    code, report = carry_out(run)
    assert (code, report.outcome, report.step, report.total_steps) == (ExitCode.SUCCEEDED, Outcome.SUCCEEDED, 2, 2)
    assert set(report.metrics_before) == set(report.metrics_after) == METRICS[task]
    assert {artifact.kind for artifact in report.artifacts} == KINDS[method]
    assert (report.trainable_parameters == report.total_parameters) == (method == "full")
    assert report.trained_tokens > 0
    for artifact in report.artifacts:
        folder = Path(run.output.directory) / artifact.path
        assert sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) == artifact.bytes
        assert (folder / "README.md").exists()


def test_lora_on_minilm_trains_query_and_value(a_small_run, carry_out):
    _code, report = carry_out(a_small_run(training__max_steps=1, evaluation__baseline=False))
    assert report.trainable_parameters == 74_498


def losses(run):
    history = json.loads((Path(run.output.directory) / "report.json").read_text(encoding="utf-8"))["history"]
    return [each["loss"] for each in history["training"]]


def test_the_same_seed_gives_the_same_losses_and_another_one_does_not(a_small_run, carry_out):
    run = a_small_run(task="chat", training__max_steps=3)
    run = replace(run, technique=replace(run.technique, lora=replace(run.technique.lora, dropout=0.1)))
    found = []
    for seed in (7, 7, 8):
        again = replace(run, job=replace(run.job, uid=f"uid-{len(found)}"), training=replace(run.training, seed=seed))
        carry_out(again)
        found.append(losses(again))
    assert found[0] == found[1] != found[2]


def test_packing_fills_sequences_with_whole_conversations(a_small_run, carry_out):
    """Conversations are not cut to fill the last place, as text is; unpacked they fill three quarters."""
    run = a_small_run(task="chat", rows=200, training__packing=True, training__max_steps=2)
    code, report = carry_out(run)
    assert code == ExitCode.SUCCEEDED
    assert 0.95 * 2 * 8 * 64 < report.trained_tokens <= 2 * 8 * 64


def test_packing_fills_sequences_with_text(a_small_run, carry_out):
    code, report = carry_out(a_small_run(task="causal-lm", training__packing=True, training__max_steps=2))
    assert code == ExitCode.SUCCEEDED
    assert report.trained_tokens == 2 * 8 * 64


def test_bf16_and_gradient_checkpointing_train(a_small_run, carry_out):
    run = a_small_run(task="chat", training__precision="bf16", training__gradient_checkpointing=True)
    code, report = carry_out(run)
    assert (code, report.step) == (ExitCode.SUCCEEDED, 4)


def test_epochs_and_evaluation_between_steps(a_small_run, carry_out):
    run = a_small_run(task="chat", training__max_steps=None, training__epochs=1.0, evaluation__every_steps=3)
    code, report = carry_out(run)
    assert (code, report.step, report.total_steps) == (ExitCode.SUCCEEDED, 10, 10)


RELOAD = """
import json, sys, torch
from peft import PeftModel
from transformers import AutoModelForSequenceClassification, AutoTokenizer
base, adapter, rows = sys.argv[1:]
labels = ["negative", "positive"]
base = AutoModelForSequenceClassification.from_pretrained(base, num_labels=2)
model = PeftModel.from_pretrained(base, adapter).eval()
tokenizer = AutoTokenizer.from_pretrained(adapter)
rows = [json.loads(line) for line in open(rows)]
batch = tokenizer([row["text"] for row in rows], padding=True, truncation=True, max_length=64, return_tensors="pt")
with torch.no_grad():
    chosen = model(**batch).logits.argmax(-1).tolist()
print(sum(labels[c] == row["label"] for c, row in zip(chosen, rows)) / len(rows))
"""


def test_the_adapter_gives_the_reported_accuracy_to_plain_peft(a_small_run, carry_out, samples, tmp_path):
    held_out = tmp_path / "held-out.jsonl"
    lines = (samples / "datasets" / "reviews.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    held_out.write_text("".join(lines[-100:]), encoding="utf-8")
    run = a_small_run(dataset__validation_path=str(held_out), training__max_steps=8, training__learning_rate=5e-3)
    _code, report = carry_out(run)
    adapter = Path(run.output.directory) / "adapter"
    command = [sys.executable, "-W", "ignore", "-c", RELOAD, run.model.path, str(adapter), str(held_out)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert float(done.stdout) == report.metrics_after["accuracy"]
    assert json.loads((adapter / "adapter_config.json").read_text())["base_model_name_or_path"] == "all-minilm-l6-v2"


def test_the_adapter_of_a_quantized_model_learns_in_fp32(a_small_run, carry_out):
    run = a_small_run(task="chat", method="qlora", training__max_steps=1)
    code, _report = carry_out(run)
    assert code == 0
    (adapter,) = Path(run.output.directory).rglob("adapter_model.safetensors")
    with safe_open(adapter, "pt") as tensors:
        assert {tensors.get_tensor(name).dtype for name in tensors.keys()} == {torch.float32}  # noqa: SIM118


def test_a_baseline_before_qlora_leaves_gradients_to_all_layers(a_small_run, carry_out):
    from safetensors.torch import load_file

    run = a_small_run(method="qlora", training__max_steps=2)
    carry_out(run)
    weights = load_file(Path(run.output.directory) / "adapter" / "adapter_model.safetensors")
    untouched = [name for name, weight in weights.items() if "lora_B" in name and not weight.any()]
    assert untouched == []


def test_copies_get_the_artifacts_and_a_rerun_replaces_them(a_small_run, carry_out, tmp_path):
    run = a_small_run(task="chat", training__max_steps=1, output__copies=(str(tmp_path / "copy"),))
    carry_out(run)
    carry_out(replace(run, job=replace(run.job, uid="uid-2")))
    assert sorted(each.name for each in Path(run.output.directory).iterdir()) == [
        "README.md",
        "adapter",
        "loss.png",
        "report.json",
    ]
    assert (tmp_path / "copy" / "adapter" / "adapter_config.json").exists()


def a_missing_model(run, tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "phi").mkdir()
    return replace(run, model=replace(run.model, path=str(tmp_path / "models" / "phi-3")))


def a_folder_that_is_no_model(run, tmp_path):
    return replace(run, model=replace(run.model, path=str(tmp_path)))


def a_wrong_target(run, _tmp_path):
    lora = replace(run.technique.lora, target_modules=("q_proj",))
    return replace(run, technique=replace(run.technique, lora=lora))


def a_long_sequence(run, _tmp_path):
    return replace(run, training=replace(run.training, sequence_length=1024))


def an_unknown_optimizer(run, _tmp_path):
    return replace(run, training=replace(run.training, optimizer="adamw_magic"))


BAD_RUNS = {
    "missing model": (a_missing_model, FailureReason.MODEL_NOT_FOUND, "holds phi"),
    "no config": (a_folder_that_is_no_model, FailureReason.MODEL_NOT_FOUND, "it has no config.json"),
    "wrong target": (a_wrong_target, FailureReason.INVALID_RUN, "q_proj is no linear layer of this model; it has"),
    "long sequence": (a_long_sequence, FailureReason.INVALID_RUN, "1024 is more than all-minilm-l6-v2 takes: 512"),
    "optimizer": (an_unknown_optimizer, FailureReason.INVALID_RUN, "adamw_magic"),
}


@pytest.mark.parametrize(("spoil", "want_reason", "want_words"), BAD_RUNS.values(), ids=BAD_RUNS)
def test_a_run_that_cannot_work_is_refused_with_the_way_out(  # noqa: PLR0913, PLR0917
    a_small_run, carry_out, tmp_path, spoil, want_reason, want_words
):
    _code, report = carry_out(spoil(a_small_run(), tmp_path))
    assert report.reason is want_reason
    assert want_words in report.message


def test_rows_whose_answers_are_cut_off_are_refused(a_small_run, carry_out):
    _code, report = carry_out(a_small_run(task="chat", training__sequence_length=4))
    assert (report.reason, report.step) == (FailureReason.DATA_INVALID, 0)
    assert "raise it" in report.message


def without_marks(template):
    return template.replace("{% generation %}", "").replace("{% endgeneration %}", "")


TEMPLATES = {"one that marks no answers": without_marks, "none": lambda _template: None}


@pytest.mark.parametrize("change", TEMPLATES.values(), ids=TEMPLATES)
def test_a_chat_is_learnt_from_with_any_template(a_small_run, carry_out, samples, tmp_path, change):  # noqa: PLR0917
    model = tmp_path / "model"
    shutil.copytree(samples / "models" / "tiny-phi3", model)
    template = change((model / "chat_template.jinja").read_text(encoding="utf-8"))
    (model / "chat_template.jinja").unlink()
    if template:
        (model / "chat_template.jinja").write_text(template, encoding="utf-8")
    run = a_small_run(task="chat", training__max_steps=2)
    code, report = carry_out(replace(run, model=replace(run.model, path=str(model))))
    assert (code, report.step) == (ExitCode.SUCCEEDED, 2)


def test_weights_that_can_carry_code_are_not_loaded(a_small_run, carry_out, samples, tmp_path):
    model = tmp_path / "model"
    shutil.copytree(samples / "models" / "tiny-phi3", model)
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    run = a_small_run(task="chat")
    _code, report = carry_out(replace(run, model=replace(run.model, path=str(model))))
    assert report.reason is FailureReason.MODEL_NOT_FOUND
    assert "no weights as .safetensors" in report.message


def first_step(carry_out, run):
    code, _report = carry_out(run)
    assert code == ExitCode.SUCCEEDED
    history = json.loads((Path(run.output.directory) / "report.json").read_text("utf-8"))["history"]
    return history["training"][0]["loss"], history["training"][0]["gradNorm"]


@pytest.mark.parametrize("task", ["text-classification", "token-classification", "question-answering", "translation"])
def test_a_step_learns_the_same_however_its_batch_is_cut(task, a_small_run, carry_out, tmp_path):
    whole, cut = (
        a_small_run(
            task=task,
            training__max_steps=1,
            training__micro_batch_size=8 // parts,
            training__gradient_accumulation_steps=parts,
            evaluation__baseline=False,
            checkpoints__directory=str(tmp_path / f"checkpoints-{parts}"),
            output__directory=str(tmp_path / f"output-{parts}"),
        )
        for parts in (1, 4)
    )
    # Dropout differs from cut to cut; a sum in place of a mean would be four times as much.
    assert first_step(carry_out, cut) == pytest.approx(first_step(carry_out, whole), rel=0.5)
