import pytest
from finetune_trainer.data import splits
from finetune_trainer.data.index import RowIndex
from finetune_trainer.process.failures import TrainerFailure


def indexed(rows, seed=1):
    index = RowIndex(seed, labelled=True)
    for row in rows:
        index.add(row)
    return index


def split(rows, fraction, seed):
    held_out = splits.hold_out(indexed(rows, seed), fraction).tolist()
    training, validation = (
        [row for row, is_held in zip(rows, held_out, strict=True) if is_held is side] for side in (False, True)
    )
    return training, validation


def overlap(training, validation):
    """Count the training rows that would have to go."""
    return int((~splits.without_leaks(indexed(training), indexed(validation))).sum())


ROWS = [{"text": f"sentence number {number}", "label": str(number % 2)} for number in range(100)]


def test_about_the_fraction_is_held_out_and_nothing_is_lost():
    training, validation = split(ROWS, 0.1, seed=1)
    assert len(validation) == 10
    assert sorted(row["text"] for row in (*training, *validation)) == sorted(row["text"] for row in ROWS)


def test_copies_of_a_text_stay_on_one_side():
    rows = ROWS + [{**row, "text": f"  {row['text'].upper()} "} for row in ROWS]
    training, validation = split(rows, 0.3, seed=1)
    assert len(validation) == 60
    assert overlap(training, validation) == 0


def test_two_answers_to_a_question_stay_on_one_side():
    def chat(number, answer):
        question = {"role": "user", "content": f"question {number}"}
        return {"messages": [question, {"role": "assistant", "content": answer}]}

    training, validation = split([chat(n, a) for n in range(20) for a in ("yes", "no")], 0.2, seed=1)
    assert len(validation) == 8
    assert overlap(training, validation) == 0


ASKED = {
    "sentences": lambda number, answer: {"source": f"sentence {number}", "target": answer},
    "questions": lambda number, answer: {"question": "What?", "context": f"text {number}", "answer": answer},
    "words": lambda number, answer: {"tokens": ["word", str(number)], "tags": ["O", answer]},
    "prompts": lambda number, answer: {
        "messages": [{"role": "user", "content": f"prompt {number}"}],
        "chosen": answer,
        "rejected": "never",
    },
}


@pytest.mark.parametrize("row", ASKED.values(), ids=ASKED)
def test_what_is_asked_decides_the_side_and_not_the_answer(row):
    training, validation = split([row(n, answer) for n in range(20) for answer in ("yes", "no")], 0.2, seed=1)
    assert len(validation) == 8
    assert overlap(training, validation) == 0


def test_the_order_of_the_file_does_not_matter():
    _training, validation = split(ROWS, 0.1, seed=1)
    _training, of_reversed = split(ROWS[::-1], 0.1, seed=1)
    assert {row["text"] for row in validation} == {row["text"] for row in of_reversed}


def test_another_seed_holds_out_other_rows():
    assert split(ROWS, 0.1, seed=1)[1] != split(ROWS, 0.1, seed=2)[1]


BAD = {
    "few rows": (ROWS[:9], 0.1, "9 usable rows, at least 10"),
    "one text": ([ROWS[0]] * 20, 0.1, "only 1 different row"),
    "nothing held out": (ROWS, 0.0, "holds out none"),
}


@pytest.mark.parametrize(("rows", "fraction", "want"), BAD.values(), ids=BAD)
def test_rows_that_cannot_be_split_are_refused(rows, fraction, want):
    with pytest.raises(TrainerFailure, match=want):
        split(rows, fraction, seed=1)


def test_training_rows_that_are_held_out_as_well_are_left_out():
    assert overlap(ROWS[:50], ROWS[45:60]) == 5


def test_data_held_out_that_is_the_training_data_is_refused():
    with pytest.raises(TrainerFailure, match=r"95 of 100 training rows are held-out rows as well, .* 5 would be left"):
        splits.without_leaks(indexed(ROWS), indexed(ROWS[5:]))


def test_the_only_rows_with_a_label_are_learnt_and_not_measured():
    rows = [*ROWS, {"text": "rare", "label": "rare"}, {"text": " RARE ", "label": "0"}]
    for seed in range(20):
        training, _validation = split(rows, 0.5, seed)
        assert rows[-2:] == [row for row in training if "rare" in row["text"].lower()] or rows[-2] in training


def test_copies_are_counted_without_regard_to_white_space():
    rows = indexed([*ROWS, {**ROWS[0], "text": " sentence  number 0\n"}, {**ROWS[0], "label": "other"}])
    every = rows.asked > 0
    assert splits.copies(rows, every) == 1
    assert splits.contradictions(rows, every) == 1
