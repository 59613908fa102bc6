"""ONNX for models that classify, tag, point or rewrite: traced by torch, checked by running ONNX Runtime.

Not here: language models (`onnx_decoders.py`).
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from finetune_trainer.export import comparison
from finetune_trainer.export.comparison import Answers, Difference
from finetune_trainer.objectives.batches import Batch, padded

FILE = "model.onnx"


class Traced(torch.nn.Module):
    """A model whose inputs stand in a fixed order and whose output is nothing but logits."""

    def __init__(self, model: Any, names: Sequence[str]) -> None:
        super().__init__()
        self.model, self.names = model, tuple(names)

    def forward(self, *values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Ask the model."""
        return comparison.logits_of(self.model(**dict(zip(self.names, values, strict=True))))


def write(model: Any, batches: Sequence[Batch], target: Path) -> None:
    """Write the model for batches and texts of any size."""
    model.eval().float()
    model.config.use_cache = False
    pair = padded([batches[0], batches[-1]], model.config.get_text_config().pad_token_id or 0)
    outputs = ("start_logits", "end_logits") if hasattr(model, "qa_outputs") else ("logits",)
    dynamic = [{0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC} for _name in pair]
    target.mkdir(parents=True)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns of operators that other libraries would bring
    with warnings.catch_warnings(action="ignore"):  # torch warns of its own insides
        torch.onnx.export(
            Traced(model, tuple(pair)).eval(),
            tuple(pair.values()),
            str(target / FILE),
            input_names=list(pair),
            output_names=list(outputs),
            dynamic_shapes={"values": tuple(dynamic)},
            dynamo=True,
            verbose=False,
        )
    model.config.save_pretrained(target)


def check(target: Path, batches: Sequence[Batch], expected: Answers, pad: int) -> Difference:
    """Run what was written on all rows at once, padded, which is no size that it was traced with."""
    import onnxruntime

    session = onnxruntime.InferenceSession(target / FILE, providers=["CPUExecutionProvider"])
    batch = padded(batches, pad)
    outputs = session.run(None, {each.name: batch[each.name].numpy() for each in session.get_inputs()})
    places = "decoder_input_ids" if "decoder_input_ids" in batches[0] else "input_ids"
    found = []
    for number, row in enumerate(batches):
        length = row[places].shape[1]
        rows = [logits[number : number + 1] for logits in outputs]
        by_place = rows[0].ndim == 3 or len(rows) > 1  # noqa: PLR2004 - row, place, choice
        found.append(comparison.flat([each[:, :length] for each in rows] if by_place else rows))
    return comparison.difference(expected, found)
