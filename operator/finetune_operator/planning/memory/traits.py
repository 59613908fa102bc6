"""What the modules of an architecture do that no number of its config.json tells: the tables behind `memory.layers`.

Read off the modules of transformers and checked on them tensor by tensor: tests/fake.

Not here: the bytes that follow (`planning.memory.layers`).
"""

from __future__ import annotations

from finetune_operator.planning.catalog import Layout

FUSED_ROTARY = frozenset({Layout.PHI3, Layout.PHI3_SMALL, Layout.QWEN, Layout.GPT_NEOX, Layout.MODERNBERT})
"""Families that project queries, keys and values at once and rotate copies of queries and keys."""

COPIED_OUTPUT = frozenset({"phi3", "phi3small", "phi", "gpt_neox", "stablelm"})
"""Model types that rotate a part of each head and join it to the rest: a flash kernel's output comes in the order of
the joined heads, and is copied for the next matrix."""

SHARED_NORM_INPUT = frozenset({"gpt_neox", "falcon"})
"""Model types whose norms of a layer read the same values, because MLP and attention run side by side."""

ALWAYS_MASKED = frozenset({"falcon"})
"""Model types that hand the kernel a mask even where nothing is padded."""

CAPPED = frozenset({"gemma2"})
"""Model types that squeeze attention scores by a tanh, whose result is kept."""

WIDE_NORMS = ("gemma", "cohere")
"""Beginnings of model types that multiply a norm's result in fp32."""

CENTRED_NORMS = frozenset({"cohere"})
"""Model types that spell out a norm with a mean: what is centred is kept twice, to be squared and to be scaled."""

SLIDING_SHARE = {"gemma3_text": 5 / 6, "gemma3": 5 / 6, "modernbert": 2 / 3}
"""Part of the layers with a sliding window, where it is not all of them."""

WITHOUT_KERNEL = CAPPED | {"bloom", "gptj", "mpt", "deberta-v2", "megatron-bert"}
"""Model types whose attention transformers writes out, whatever it is asked for: biases by distance, and old code."""

WIDE_SCORES = frozenset({"gptj"})
"""Model types among them that lift queries and keys to fp32 before they multiply them."""

SPARSE_SHARE, SPARSE_FROM = 1 / 2, 1024
"""Part of Phi-3-small's layers that see blocks of a sequence only, with masks, and the length from which they do."""

PYTHON_GELU = frozenset({Layout.PHI, Layout.GPT2, Layout.GPTJ})
PYTHON_GELU_VALUES = 4
"""Values that `gelu_new` keeps, being written as several operations."""

LIFTED_GELU_VALUES = 7
"""The same under autocast, which computes powers in fp32."""

GEGELU_VALUES = 7
"""Values that Phi-3-small's clipped GeGELU keeps, being written as several operations: gate and up as they came, both
clipped, sigmoid, product, one more than up, and a byte each for which of them are infinite."""

GATED_GELU = frozenset({Layout.T5})
"""Families whose gate is such a GELU."""

RELU = frozenset({Layout.OPT})
"""Families whose activation keeps its result and not its input: the next matrix reads what is kept anyway."""

WRITTEN_GELU_IN_FLIGHT = {"bloom": 6}
"""Values in passing while the gradient of an activation is computed by operations of its own."""

DROPOUTS = {"phi": 2, "phi3small": 1, "gpt2": 2, "opt": 2, "starcoder2": 2, "distilbert": 1, "modernbert": 0}
"""Dropouts of a layer's results that are as wide as the layer, where they are not two of an encoder and none of a
decoder. Decoders are published with 0.1."""
