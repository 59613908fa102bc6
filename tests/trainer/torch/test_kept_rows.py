"""Rows as tokens: made by the first attempt, found by the second."""

from dataclasses import replace

import pytest
from finetune_trainer.contract import FailureReason
from finetune_trainer.process.failures import TrainerFailure
from untrained import trainer_of

TASKS = ("text-classification", "token-classification", "question-answering", "translation", "chat", "preference")


@pytest.fixture
def built(a_small_run, tmp_path):
    """Build the trainer of a run, as each attempt does, and give its rows and what was noted of the data."""

    def build(task, template=None, **changes):
        run, noted = replace(a_small_run(task=task, rows=60, **changes), cache_directory=str(tmp_path / "cache")), {}
        trainer = trainer_of(run, template=template, note=noted.update)
        rows = [[side[number] for number in range(len(side))] for side in (trainer.train_dataset, trainer.eval_dataset)]
        return rows, noted["dataset"]

    return build


@pytest.mark.parametrize("task", TASKS)
def test_a_second_attempt_finds_the_same_rows_and_makes_none(built, task, monkeypatch):
    first, facts = built(task)
    monkeypatch.setattr("finetune_trainer.data.token_store.TokenStore.write", None)
    again, facts_again = built(task)
    assert again == first
    assert facts_again == facts
    assert facts.tokens.rows == facts.training_rows
    assert len(first[0]) == facts.training_rows - facts.unlearnable_rows


def test_damaged_rows_are_made_again(built, tmp_path, capsys):
    first, _facts = built("text-classification")
    for file in (tmp_path / "cache" / "tokens").glob("*.arrow"):
        content = file.read_bytes()
        file.write_bytes(content[: len(content) // 2])
    assert built("text-classification")[0] == first
    assert capsys.readouterr().out.count("is damaged, so the rows are tokenized again") == 2


@pytest.mark.parametrize(("task", "length"), [("text-classification", 16), ("chat", 40)])
def test_another_sequence_length_makes_rows_of_its_own(built, task, length):
    _first, facts = built(task)
    shorter, facts_shorter = built(task, training__sequence_length=length)
    assert max(len(row["input_ids"]) for row in shorter[0]) == length
    assert facts_shorter.tokens == facts.tokens  # lengths are those before the cut
    assert facts_shorter.truncated_rows > facts.truncated_rows


def test_answers_beyond_the_sequence_length_are_told(built):
    with pytest.raises(TrainerFailure, match=r"no row has an answer within spec\.training\.sequenceLength 8") as caught:
        built("chat", training__sequence_length=8)
    assert caught.value.reason is FailureReason.DATA_INVALID


UNMARKED = "{% for message in messages %}[{{ message['role'] }}]{{ message['content'] }}{% endfor %}"


@pytest.mark.parametrize("template", [UNMARKED, ""], ids=["a template without marks", "no template"])
def test_where_a_template_does_not_mark_answers_only_the_last_one_is_learnt(built, template):
    rows, facts = built("chat", template=template, training__sequence_length=256)
    assert facts.unlearnable_rows == 0
    for row in rows[0]:
        learnt = [label != -100 for label in row["labels"]]
        assert any(learnt)
        assert learnt == sorted(learnt)  # nothing of the prompt, then all of the answer


def test_rows_stay_for_the_next_attempt_and_go_when_the_job_has_delivered(
    a_small_run, carry_out, monkeypatch, tmp_path
):
    from finetune_trainer.export import artifacts

    def fail(*_arguments):
        raise OSError(28, "No space left on device")

    run = a_small_run(rows=40, training__max_steps=1, evaluation__baseline=False)
    run, kept = replace(run, cache_directory=str(tmp_path / "cache")), tmp_path / "cache" / "tokens"
    with monkeypatch.context() as broken:
        broken.setattr(artifacts, "export", fail)
        assert carry_out(run)[1].reason is FailureReason.STORAGE_FULL
    assert list(kept.glob("*.arrow"))
    assert carry_out(run)[1].reason is None
    assert not kept.exists()
