"""Scores of answers against the true ones: names in tagged words, answers by their words, labels.

Written here where a library would bring scikit-learn along, which is 40 MiB for a few sums.

Not here: translations (`rewrite.py` asks sacrebleu).
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Iterable, Sequence

ARTICLES = re.compile(r"\b(a|an|the)\b")
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


def answers(truth: Sequence[str], chosen: Sequence[str]) -> dict[str, float]:
    """Score answers as SQuAD does: equal, and by the words that they share, without case, articles, punctuation."""
    pairs = [(_words(true), _words(guess)) for true, guess in zip(truth, chosen, strict=True)]
    return {
        "exactMatch": sum(true == guess for true, guess in pairs) / len(pairs),
        "f1": sum(_shared(true, guess) for true, guess in pairs) / len(pairs),
    }


def _shared(true: list[str], guess: list[str]) -> float:
    both = sum((Counter(true) & Counter(guess)).values())
    return ratios(both, len(guess), len(true))["f1"]


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
