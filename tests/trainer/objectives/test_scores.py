"""Scores, against what seqeval 1.2.2 and SQuAD's script give; thousands of random rows were compared with seqeval."""

import math

import numpy as np
import pytest
from finetune_trainer.objectives import scores

NAMES = {
    "all right": ([["B-PER", "I-PER", "O"]], [["B-PER", "I-PER", "O"]], 1.0, 1.0, 1.0),
    "nothing found": ([["B-PER", "O"]], [["O", "O"]], 0.0, 0.0, 0.0),
    "nothing there": ([["O", "O"]], [["O", "O"]], 0.0, 0.0, 0.0),
    "half a name is none": ([["B-PER", "I-PER"]], [["B-PER", "O"]], 0.0, 0.0, 0.0),
    "another kind is none": ([["B-PER"]], [["B-LOC"]], 0.0, 0.0, 0.0),
    "two names side by side": ([["B-LOC", "B-LOC"]], [["B-LOC", "I-LOC"]], 0.0, 0.0, 0.0),
    "one of two": ([["B-LOC", "O", "B-PER"]], [["B-LOC", "O", "O"]], 2 / 3, 1.0, 0.5),
    "tags without places": ([["NOUN", "VERB"]], [["NOUN", "NOUN"]], 0.5, 0.5, 0.5),
    "names that do not begin": (
        [["B-PER", "I-PER", "O", "B-LOC"], ["I-LOC", "I-LOC", "B-LOC", "O", "I-PER"]],
        [["B-PER", "O", "O", "B-LOC"], ["I-LOC", "I-LOC", "I-LOC", "O", "I-PER"]],
        4 / 9,
        0.5,
        0.4,
    ),
}


@pytest.mark.parametrize(("truth", "found", "want_f1", "want_precision", "want_recall"), NAMES.values(), ids=NAMES)
def test_names_count_whole(truth, found, want_f1, want_precision, want_recall):  # noqa: PLR0917
    score = scores.names(truth, found)
    assert (score["f1"], score["precision"], score["recall"]) == pytest.approx((want_f1, want_precision, want_recall))


WORDS = ("exact-match", "f1", "rouge-l")
ANSWERS = {
    "equal": ("the cat", "the cat", 1.0, 1.0, 1.0),
    "articles, case and points do not matter to a match": ("The cat.", "a Cat", 1.0, 1.0, 0.5),
    "one word of two": ("black cat", "cat", 0.0, 2 / 3, 2 / 3),
    "the same words in another order": ("one two three", "three two one", 0.0, 1.0, 1 / 3),
    "words between are passed over": ("one two three", "one more two and three", 0.0, 0.75, 0.75),
    "another": ("cat", "dog", 0.0, 0.0, 0.0),
    "none": ("cat", "", 0.0, 0.0, 0.0),
}


@pytest.mark.parametrize(("truth", "answer", "match", "f1", "rouge"), ANSWERS.values(), ids=ANSWERS)
def test_answers_are_compared_by_their_words(truth, answer, match, f1, rouge):  # noqa: PLR0917
    assert scores.texts([truth], [answer], WORDS) == pytest.approx({"exact-match": match, "f1": f1, "rouge-l": rouge})


LOSSES = {
    "one of two, undecided": ([[0.0, 0.0]], [1], math.log(2)),
    "the mean over rows": ([[0.0, 0.0], [math.log(3), 0.0]], [0, 1], (math.log(2) + math.log(4)) / 2),
    "large scores": ([[1000.0, 0.0]], [1], 1000.0),
    "classes that a row has not": ([[0.0, 0.0, -math.inf, -math.inf]], [0], math.log(2)),
    "several choices of a row": ([[[0.0, 0.0], [math.log(3), 0.0]]], [[0, 0]], (math.log(2) + math.log(4 / 3)) / 2),
    "labels that are each true or not": ([[0.0, math.log(3)]], [[1.0, 0.0]], (math.log(2) + math.log(4)) / 2),
}


@pytest.mark.parametrize(("given", "truth", "want"), LOSSES.values(), ids=LOSSES)
def test_the_loss_is_that_of_the_true_classes(given, truth, want):
    assert scores.cross_entropy(np.array(given), np.array(truth)) == pytest.approx(want)


def test_only_what_is_wanted_is_computed():
    assert set(scores.texts(["a cat"], ["a cat"], ("rouge-l", "loss"))) == {"rouge-l"}
