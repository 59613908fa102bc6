"""Scores of answers against the true ones: names in tagged words, answers by their words; and of labels their loss.

Written here where a library would bring scikit-learn along, which is 40 MiB for a few sums.

Not here: which of them a run asks for (`measures.py`).
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

ARTICLES = re.compile(r"\b(a|an|the)\b")
TOKEN = re.compile(r"[^\W_]+")
PUNCTUATION = str.maketrans("", "", string.punctuation)
Span = tuple[int, int, int, str]


def names(truth: Sequence[Sequence[str]], chosen: Sequence[Sequence[str]]) -> dict[str, float]:
    """Score whole names, as seqeval does: a name counts if its kind, its first and its last word are right."""
    true, found = set(_spans(truth)), set(_spans(chosen))
    words = [
        (one, other) for row, guess in zip(truth, chosen, strict=True) for one, other in zip(row, guess, strict=True)
    ]
    right = sum(one == other for one, other in words)
    return {**ratios(len(true & found), len(found), len(true)), "accuracy": right / max(1, len(words))}


def ratios(both: int, chosen: int, true: int) -> dict[str, float]:
    """Return precision, recall and their harmonic mean; of nothing, all are 0."""
    f1 = 2 * both / (chosen + true) if chosen + true else 0.0
    return {"f1": f1, "precision": both / chosen if chosen else 0.0, "recall": both / true if true else 0.0}


def cross_entropy(scores: Any, truth: Any) -> float:
    """Return the mean loss of rows: of each one's true class, or of all classes where each may be true or not.

    Of all rows at once; the library takes means of batches, and means of these.
    """
    scores = np.asarray(scores, dtype=np.float64)
    if truth.ndim == scores.ndim:
        return float((np.logaddexp(0, scores) - truth * scores).mean())
    true = np.take_along_axis(scores, truth[..., None], axis=-1)[..., 0]
    return float((np.logaddexp.reduce(scores, axis=-1) - true).mean())


def texts(truth: Sequence[str], written: Sequence[str], wanted: Sequence[str]) -> dict[str, float]:
    """Score texts against the true ones by the metrics that are wanted; chrF and BLEU from 0 to 100, others to 1.

    Exact match and F1 are SQuAD's: words without case, articles and punctuation. ROUGE-L is the F1 of the longest
    words in the same order, as of rouge-score without stemming.
    """
    found = {name: 0.0 for name in wanted if name in _BY_PAIR}
    for true, guess in zip(truth, written, strict=True):
        for name in found:
            found[name] += _BY_PAIR[name](true, guess) / len(truth)
    if {"bleu", "chrf"} & set(wanted):
        import sacrebleu

        corpora = {"bleu": sacrebleu.corpus_bleu, "chrf": sacrebleu.corpus_chrf}
        found |= {name: float(corpora[name](written, [truth]).score) for name in corpora if name in wanted}
    return found


def _equal(true: str, guess: str) -> float:
    return float(_words(true) == _words(guess))


def _shared(true: str, guess: str) -> float:
    words, guessed = _words(true), _words(guess)
    return ratios(sum((Counter(words) & Counter(guessed)).values()), len(guessed), len(words))["f1"]


def _rouge_l(true: str, guess: str) -> float:
    words, guessed = TOKEN.findall(true.lower()), TOKEN.findall(guess.lower())
    return ratios(_common(words, guessed), len(guessed), len(words))["f1"]


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """Count the longest run of words that both have in the same order, gaps allowed."""
    row = [0] * (len(other) + 1)
    for word in one:
        before = 0
        for place, against in enumerate(other, 1):
            before, row[place] = row[place], before + 1 if word == against else max(row[place], row[place - 1])
    return row[-1]


def _words(text: str) -> list[str]:
    return ARTICLES.sub(" ", text.lower().translate(PUNCTUATION)).split()


def _spans(rows: Sequence[Sequence[str]]) -> Iterable[Span]:
    """Find the names: a tag `B-X` begins one, `I-X` goes on with one of its kind; other tags stand for one word."""
    for row, tags in enumerate(rows):
        start, kind = 0, ""
        for position, tag in enumerate([*tags, "O"]):
            place, dash, name = tag.partition("-")
            if kind and not (place == "I" and name == kind):
                yield row, start, position, kind
                kind = ""
            if tag != "O" and not kind:
                start, kind = position, name if dash else tag


_BY_PAIR: Mapping[str, Callable[[str, str], float]] = {"exact-match": _equal, "f1": _shared, "rouge-l": _rouge_l}
