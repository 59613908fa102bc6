"""How long rows are in tokens: the histogram that a job can be planned with, and what the sequence length cuts off.

Not here: making tokens (`objectives/`), keeping them (`prepared.py`).
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from finetune_trainer.contract import FailureReason, TokenHistogram
from finetune_trainer.process.failures import TrainerFailure

SHARE_CUT = 0.05
"""Share of rows cut off above which the sequence length looks like a mistake rather than a choice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """What is known of all rows' lengths, those left out included; `truncated` ones are longer than the limit."""

    tokens: TokenHistogram
    p99: int
    total: int
    truncated: int
    unlearnable: int
    """Rows with nothing to learn within the limit, which are left out."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Lengths as they come, four bytes a row; `left_out` holds those of rows that have nothing to learn."""

    limit: int
    counts: array[int] = field(default_factory=lambda: array("I"))
    left_out: array[int] = field(default_factory=lambda: array("I"))

    def add(self, length: int, *, learns: bool) -> None:
        """Count a row of that many tokens before it is cut."""
        self.counts.append(length)
        if not learns:
            self.left_out.append(length)

    def lengths(self) -> Lengths:
        """Sum up.

        Raises:
            TrainerFailure: DataInvalid, when there is nothing to learn in any row.
        """
        return summed(np.frombuffer(self.counts, dtype=np.uint32), self.limit, unlearnable=len(self.left_out))


def summed(counts: np.ndarray[Any, Any], limit: int, *, unlearnable: int) -> Lengths:
    """Sum up the lengths of rows before they are cut.

    Raises:
        TrainerFailure: DataInvalid, when there is nothing to learn in any row.
    """
    if unlearnable == len(counts):
        message = f"no row has an answer within spec.training.sequenceLength {limit}: raise it"
        raise TrainerFailure(FailureReason.DATA_INVALID, message)
    median, p95, p99 = (int(np.percentile(counts, q, method="higher")) for q in (50, 95, 99))
    return Lengths(
        tokens=TokenHistogram(median=median, p95=p95, max=int(counts.max()), rows=len(counts)),
        p99=p99,
        total=int(counts.sum(dtype=np.uint64)),
        truncated=int((counts > limit).sum()),
        unlearnable=unlearnable,
    )


def tell(found: Lengths, limit: int, *, packed: bool) -> None:
    """Say how long the rows are, ready to be pasted into the spec, and what is lost at the limit."""
    tokens = found.tokens
    print(f"tokens: {found.total:,} in {tokens.rows:,} training rows; p99 {found.p99:,}. To plan with them, set")
    print(
        f"  spec.dataset.tokens: {{median: {tokens.median}, p95: {tokens.p95}, max: {tokens.max}, rows: {tokens.rows}}}"
    )
    if found.truncated and not packed:
        share = found.truncated / tokens.rows
        way_out = f"; raise spec.training.sequenceLength (p95 is {tokens.p95})" if share > SHARE_CUT else ""
        print(
            f"warning: {found.truncated} of {tokens.rows} rows ({share:.2%}) are longer than {limit} tokens and are "
            f"cut there{way_out}"
        )
    if found.unlearnable:
        print(f"warning: {found.unlearnable} rows have nothing to learn within {limit} tokens and are left out")
