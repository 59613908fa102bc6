"""Rows of any objective as plain batches, the way a model reads them: tokens and mask, without what is to be learnt.

Not here: the batches of training, which the libraries make.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

NO_LABEL = -100
Batch = dict[str, torch.Tensor]


def inputs(row: Mapping[str, Any], model: Any, most: int | None = None) -> Batch:
    """Read one row, its first `most` tokens: of a preference, its prompt with the better answer."""
    ids = (row["input_ids"] if "input_ids" in row else [*row["prompt_ids"], *row["chosen_ids"]])[:most]
    batch = {"input_ids": torch.tensor([ids]), "attention_mask": torch.ones(1, len(ids), dtype=torch.long)}
    if "token_type_ids" in row:
        batch["token_type_ids"] = torch.tensor([row["token_type_ids"][:most]])
    if model.config.is_encoder_decoder:
        written = [label for label in row["labels"] if label != NO_LABEL][:most]
        batch["decoder_input_ids"] = torch.tensor([[model.config.decoder_start_token_id, *written[:-1]]])
    return batch


def padded(rows: Sequence[Batch], pad: int) -> Batch:
    """Put rows into one batch, shorter ones filled up at their ends."""
    fill = {"input_ids": pad, "decoder_input_ids": pad}
    return {
        name: torch.nn.utils.rnn.pad_sequence(
            [each[name][0] for each in rows], batch_first=True, padding_value=fill.get(name, 0)
        )
        for name in rows[0]
    }


class Learnt:
    """The rows that a trainer learns from, in batches, as often as they are asked for."""

    def __init__(self, trainer: Any) -> None:
        self._rows, self._model = trainer.train_dataset, trainer.model
        self._size = min(trainer.args.per_device_train_batch_size, len(self._rows))
        self._pad = trainer.model.config.get_text_config().pad_token_id or 0

    def __len__(self) -> int:
        return len(self._rows) // self._size

    def __iter__(self) -> Iterator[Batch]:
        """Give whole batches; the rest is left out."""
        for first in range(0, len(self) * self._size, self._size):
            yield padded([inputs(self._rows[first + n], self._model) for n in range(self._size)], self._pad)


def writes(model: Any) -> bool:
    """Tell a model that writes texts from one that only decides."""
    return bool(getattr(model, "can_generate", bool)())
