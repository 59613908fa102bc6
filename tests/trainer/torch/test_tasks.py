"""Each task learns from real rows what can be measured on rows that were held out.

How good each gets when it is given more steps: `bench/trainer/tasks.py`.
"""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import sklearn.metrics as sklearn_metrics
import torch
from finetune_trainer.contract import ExitCode, FailureReason
from finetune_trainer.objectives import classify
from finetune_trainer.objectives import scores as scores_of
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

METRICS = {
    "token-classification": {"f1", "precision", "recall", "accuracy", "loss"},
    "question-answering": {"exact-match", "f1", "loss"},
    "translation": {"chrf", "bleu", "loss"},
    "preference": {"reward-accuracy", "reward-margin", "loss"},
}
SMALL = {"rows": 60, "training__max_steps": 2, "output__formats": ("adapter", "merged")}

WHOLE_MODEL = {"method": "full", "training__micro_batch_size": 16, "checkpoints__every_steps": None}


@pytest.mark.parametrize("method", ["lora", "qlora", "full"])
@pytest.mark.parametrize("task", list(METRICS))
def test_each_method_serves_each_task(a_small_run, carry_out, task, method):
    code, report = carry_out(a_small_run(task=task, method=method, **SMALL))
    assert (code, report.message, report.step) == (ExitCode.SUCCEEDED, report.message, 2)
    assert set(report.metrics_before) == set(report.metrics_after) == METRICS[task]
    assert "merged" in {artifact.kind for artifact in report.artifacts}
    assert report.trained_tokens > 0


def test_names_are_found_in_the_news(a_small_run, carry_out):
    run = a_small_run(task="token-classification", rows=700, training__max_steps=45, **WHOLE_MODEL)
    _code, report = carry_out(replace(run, training=replace(run.training, learning_rate=4e-4, sequence_length=48)))
    assert report.metrics_after["f1"] > max(0.4, report.metrics_before["f1"])


def test_answers_are_found_in_their_context(a_small_run, carry_out):
    run = a_small_run(task="question-answering", rows=250, training__max_steps=15, **WHOLE_MODEL)
    _code, report = carry_out(replace(run, training=replace(run.training, learning_rate=4e-4, sequence_length=96)))
    assert report.metrics_after["exact-match"] > report.metrics_before["exact-match"] + 0.2
    assert report.metrics_after["f1"] > report.metrics_before["f1"] + 0.2


def test_a_translation_into_a_new_language_is_learnt(a_small_run, carry_out):
    run = a_small_run(task="translation", method="full", rows=400, training__max_steps=40)
    _code, report = carry_out(replace(run, training=replace(run.training, learning_rate=3e-3)))
    assert report.metrics_after["loss"] < report.metrics_before["loss"] - 1
    assert report.metrics_after["chrf"] > 0


@pytest.mark.parametrize("method", ["lora", "full"])
def test_the_better_answer_is_preferred(a_small_run, carry_out, method):
    rate = {"lora": 3e-3, "full": 3e-4}[method]
    run = a_small_run(task="preference", method=method, rows=200, training__max_steps=20, training__learning_rate=rate)
    _code, report = carry_out(run)
    assert report.metrics_before == {"reward-accuracy": 0.5, "reward-margin": 0.0, "loss": 0.6931}
    assert report.metrics_after["reward-accuracy"] > 0.6
    assert report.metrics_after["reward-margin"] > 0.1


@pytest.mark.parametrize("task", ["question-answering", "translation"])
def test_a_model_that_continues_text_writes_the_answer(a_small_run, carry_out, task):
    run = a_small_run(task=task, model="tiny-phi3", training__max_steps=6, training__learning_rate=5e-3)
    _code, report = carry_out(run)
    assert report.metrics_after["loss"] < report.metrics_before["loss"]
    written = {"question-answering": {"exact-match", "f1"}, "translation": {"chrf", "bleu"}}[task]
    assert set(report.metrics_after) == {"loss", "perplexity"} | written


ASKED = {
    "chat": ("rouge-l", "bleu"),
    "causal-lm": ("accuracy",),
    "text-classification": ("precision", "recall"),
    "translation": ("rouge-l", "perplexity"),
    "question-answering": ("chrf",),
}


@pytest.mark.parametrize("task", ASKED)
def test_what_is_asked_for_is_measured(a_small_run, carry_out, task):
    run = a_small_run(task=task, rows=40, training__max_steps=1, evaluation__metrics=ASKED[task])
    _code, report = carry_out(run)
    assert set(report.metrics_before) == set(report.metrics_after) == {*ASKED[task], "loss"}


def test_a_model_that_learnt_one_answer_by_heart_writes_it(a_small_run, carry_out):
    run = a_small_run(task="chat", method="full", training__max_steps=60, training__learning_rate=5e-3)
    names = [
        "apples",
        "boats",
        "cars",
        "doors",
        "eggs",
        "flags",
        "games",
        "hats",
        "inks",
        "jars",
        "keys",
        "lamps",
        "maps",
    ]
    rows = [json.dumps({"prompt": f"Open {name}", "completion": "Call open"}) + "\n" for name in names]
    Path(run.dataset.path).write_text("".join(rows[:11]), encoding="utf-8")
    held_out = Path(run.dataset.path).with_name("held-out.jsonl")
    held_out.write_text(rows[-1], encoding="utf-8")
    run = replace(run, dataset=replace(run.dataset, validation_path=str(held_out)))
    _code, report = carry_out(replace(run, evaluation=replace(run.evaluation, metrics=("exact-match", "rouge-l"))))
    assert report.metrics_before["exact-match"] == 0.0
    assert (report.metrics_after["exact-match"], report.metrics_after["rouge-l"]) == (1.0, 1.0)


def test_an_encoder_decoder_writes_answers_to_questions(a_small_run, carry_out):
    code, report = carry_out(a_small_run(task="question-answering", model="tiny-t5", **SMALL))
    assert (code, set(report.metrics_after)) == (ExitCode.SUCCEEDED, METRICS["question-answering"])


def test_several_labels_at_once_are_learnt(a_small_run, carry_out, tmp_path):
    run = a_small_run(rows=80, training__max_steps=4, evaluation__baseline=False)
    rows = [json.loads(line) for line in Path(run.dataset.path).read_text(encoding="utf-8").splitlines()]
    for row in rows:
        row["label"] = [row["label"], "long"] if len(row["text"]) > 100 else [row["label"]]
    Path(run.dataset.path).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    code, report = carry_out(run)
    assert (code, set(report.metrics_after)) == (ExitCode.SUCCEEDED, {"accuracy", "f1", "loss"})
    assert json.loads((Path(run.output.directory) / "report.json").read_text())["message"] == ""


REFUSED = {
    "rows of another task": (
        {"task": "question-answering", "rows_of": "python-docs-chat.jsonl"},
        FailureReason.DATA_INVALID,
        "context is missing; this model answers by pointing at words of it",
    ),
    "an encoder that shall translate": (
        {"task": "translation", "model": "all-minilm-l6-v2"},
        FailureReason.INVALID_RUN,
        "task translation cannot be learnt by a model that is an encoder",
    ),
    "contexts cut before the answer": (
        {"task": "question-answering", "training__sequence_length": 8},
        FailureReason.DATA_INVALID,
        "no row has an answer within spec.training.sequenceLength 8",
    ),
    "prompts that fill the sequence": (
        {"task": "preference", "training__sequence_length": 4},
        FailureReason.DATA_INVALID,
        "no row has an answer within spec.training.sequenceLength 4",
    ),
}


@pytest.mark.parametrize(("changes", "want_reason", "want_words"), REFUSED.values(), ids=REFUSED)
def test_a_run_that_teaches_nothing_is_refused(a_small_run, carry_out, samples, changes, want_reason, want_words):  # noqa: PLR0913, PLR0917
    rows_of = changes.get("rows_of")
    run = a_small_run(rows=60, **{name: value for name, value in changes.items() if name != "rows_of"})
    if rows_of:
        run = replace(run, dataset=replace(run.dataset, path=str(samples / "datasets" / rows_of)))
    _code, report = carry_out(run)
    assert (report.reason, report.step) == (want_reason, 0)
    assert want_words in report.message


def test_a_preference_needs_the_model_as_it_came(a_small_run, carry_out):
    run = a_small_run(task="preference", rows=60)
    lora = replace(run.technique.lora, variant="pissa")
    _code, report = carry_out(replace(run, technique=replace(run.technique, lora=lora)))
    assert (report.reason, "pissa changes the model" in report.message) == (FailureReason.INVALID_RUN, True)


def of_the_library(truth, chosen):
    precision, recall, f1, _rows = sklearn_metrics.precision_recall_fscore_support(
        truth, chosen, average="macro", zero_division=0
    )
    return {
        "accuracy": sklearn_metrics.accuracy_score(truth, chosen),
        "f1": f1,
        "precision": precision,
        "recall": recall,
    }


@pytest.mark.parametrize("labels", [2, 3, 9])
@pytest.mark.parametrize("several", [False, True], ids=["one label a row", "several labels a row"])
def test_labels_are_scored_as_scikit_learn_does(labels, several):
    chance = np.random.default_rng(labels)
    for rows in range(1, 40):
        scores = chance.normal(size=(rows, labels))
        wanted = (rows, labels) if several else rows
        truth = chance.integers(0, 2 if several else labels, size=wanted)
        truth = truth.astype(float if several else int)
        loss_of = binary_cross_entropy_with_logits if several else cross_entropy
        want = of_the_library(truth, scores > 0 if several else scores.argmax(-1))
        want["loss"] = loss_of(torch.tensor(scores), torch.tensor(truth)).item()
        assert classify.measure(SimpleNamespace(predictions=scores, label_ids=truth)) == pytest.approx(want)


def test_words_are_scored_as_scikit_learn_does():
    chance, tags = np.random.default_rng(7), ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
    for length in range(1, 40):
        truth, chosen = ([str(tag) for tag in chance.choice(tags, size=length)] for _ in range(2))
        found = scores_of.names([truth], [chosen])["accuracy"]
        assert found == pytest.approx(sklearn_metrics.accuracy_score(truth, chosen))
