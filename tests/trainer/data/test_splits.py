import pytest
from finetune_trainer.data.splits import overlap, split
from finetune_trainer.failures import TrainerFailure

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


def test_rows_on_both_sides_are_counted():
    assert overlap(ROWS[:50], ROWS[45:60]) == 5
