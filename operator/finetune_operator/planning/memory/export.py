"""Memory that writing a language model for ONNX Runtime takes, after training and beside the trainer.

onnxruntime-genai's builder is a process of its own. It holds every weight in fp32, and once more while it turns it over
or packs it into 4 bits; the trainer has let the model go by then and keeps its libraries.

Not here: training itself (`planning.memory.host`, `planning.memory.device`), what else a pod needs (`pod.py`).
"""

from __future__ import annotations

from finetune_operator.planning.catalog import ModelKind, ModelShape
from finetune_operator.planning.memory.estimate import MIB
from finetune_operator.planning.memory.workload import Loss, Quantizer, Workload

BUILDER_STACK = 860 * MIB
"""The builder with its libraries and no weights (measured 795 to 810 MiB)."""

WHOLE_BYTES = 6.1
"""Bytes a parameter, written in fp32 (measured 5.1 to 5.8; see bench/)."""

PACKED_BYTES = 11.0
"""Bytes a parameter, written in 4 bits (measured 9.7 to 10.2)."""


def builder(shape: ModelShape, work: Workload) -> int:
    """Return the peak of the builder for what a workload trains; 0 for a model that it does not write.

    Models that classify, tag, point or rewrite are written by the trainer's own process.
    """
    if shape.kind is not ModelKind.DECODER or work.loss is Loss.NONE:
        return 0
    packed = work.quantizer not in {None, Quantizer.INT8}
    return round(BUILDER_STACK + (PACKED_BYTES if packed else WHOLE_BYTES) * shape.parameters)
