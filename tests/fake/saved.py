"""Lists what autograd keeps of one layer's forward pass, as Markdown: `python tests/fake/saved.py llama-3.2-3b`.

Each line is a storage, named by the innermost module whose forward saved it first and by its values per token:
h hidden, i intermediate, q and k heads times head width, a heads, r rank, s sequence. A cell is bytes per token, or
bytes per layer where the size does not depend on tokens (copies of weights). Weights themselves are left out.

Not here: the peak of a whole step (`measure.py`).
"""

from __future__ import annotations

import re
import sys
import weakref
from collections import Counter
from contextlib import ExitStack
from typing import Any

import techniques
import torch
from architectures import ARCHITECTURES
from case import Case
from gpu import like_a_gpu
from measure import autocast, inputs, make, materialize, prepare
from torch._subclasses.fake_tensor import FakeTensorMode

SEQUENCE = 1904
"""No width is a multiple of it, so what is divisible by it is kept per token, and all else per layer."""

LAYERS = re.compile(
    r"(?:.*\b(?P<side>en|de)coder\.)?(?:.*?\.)??(?:layers|layer|blocks|block|h)\.(?P<index>\d+)(?:\.(?P<within>.*))?$"
)
NAMES = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.bool: "bool", torch.int64: "int64", torch.uint8: "uint8"}

SHORT_SEQUENCE = 336
LAYER = "layer"
ITSELF = "(layer)"
"""What the layer's own forward saves, outside of its modules."""
SMALL = (100, 1024**2)
"""Bytes per token, and per layer, that are not worth a line."""

VARIANTS = {
    "full": {"method": "full"},
    "lora fp32": {"method": "lora"},
    "lora bf16": {"method": "lora", "adapter_dtype": "bf16"},
    "lora qv fp32": {"method": "lora", "targets": "qv"},
    "dora fp32": {"method": "dora"},
    "full autocast": {"method": "full", "precision": "bf16-autocast"},
    "lora autocast": {"method": "lora", "precision": "bf16-autocast"},
    "full mixed": {"method": "full", "precision": "mixed"},
    "qlora": {"method": "qlora", "quant": "nf4", "adapter_dtype": "bf16"},
}


def saved(case: Case) -> Counter[tuple[str, str, str, float]]:
    """Return what the second layer keeps: (module, width, type, bytes per token), and how often."""
    found: dict[int, tuple[str, str, str, float] | None] = {}
    path: list[str] = []
    with ExitStack() as stack:
        stack.enter_context(techniques.without_values())
        model = make(case)
        stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
        materialize(model)
        stack.enter_context(torch.device("cpu"))
        stack.enter_context(like_a_gpu())
        prepare(model, case)
        for name, module in model.named_modules():
            module.register_forward_pre_hook(lambda _module, _inputs, name=name: path.append(name))
            module.register_forward_hook(lambda _module, _inputs, _outputs: path.__delitem__(-1))
        weights = {each.untyped_storage()._cdata for each in [*model.parameters(), *model.buffers()]}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()._cdata
            if storage not in weights and storage not in found:
                found[storage] = described(path[-1] if path else "", tensor, model, case)
                weakref.finalize(tensor.untyped_storage(), found.pop, storage)
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), autocast(case):
            loss = model(**inputs(case)).loss
        kept = Counter(entry for entry in found.values() if entry)
        del loss
    return kept


def described(name: str, tensor: torch.Tensor, model: Any, case: Case) -> tuple[str, str, str, float] | None:
    """Describe a tensor of the second layer."""
    found = LAYERS.match(name)
    if not found or found["index"] != "1":
        return None
    size = tensor.untyped_storage().nbytes()
    per_token, rest = divmod(size // tensor.element_size(), case.seq)
    side = f"{found['side']}coder." if found["side"] else ""
    return (
        side + (found["within"] or ITSELF).replace(".default", "").replace(".base_layer", ""),
        LAYER if rest else width(per_token, model.config, case),
        NAMES.get(tensor.dtype, str(tensor.dtype)),
        size if rest else size / case.seq,
    )


def width(values: int, config: Any, case: Case) -> str:
    """Name a number of values per token."""
    hidden, heads = config.hidden_size, config.num_attention_heads
    intermediate = getattr(config, "intermediate_size", None) or getattr(config, "d_ff", None) or 4 * hidden
    head = getattr(config, "head_dim", None) or getattr(config, "d_kv", None) or hidden // heads
    groups = 1 if getattr(config, "multi_query", False) else getattr(config, "num_key_value_heads", None) or heads
    query, keys = heads * head, groups * head
    names = {
        "1": 1, "r": case.rank, "a": heads, "h": hidden, "i": intermediate, "2i": 2 * intermediate, "q": query,
        "k": keys, "q+k": query + keys, "q+2k": query + 2 * keys, "a*s": heads * case.seq, "s": case.seq,
    }  # fmt: skip
    return next((name for name, value in names.items() if value == values), str(values))


def table(model: str, attention: str = "sdpa") -> str:
    """Return the Markdown table of an architecture."""
    columns = {
        name: merged(saved(Case(model=model, layers=2, seq=sequence(model), attention=attention, **settings)))
        for name, settings in VARIANTS.items()
    }
    rows = list(dict.fromkeys(entry for column in columns.values() for entry in column))
    lines = [f"| module | values | type | {' | '.join(columns)} |", "| --- " * 3 + "| ---: " * len(columns) + "|"]
    for entry in sorted(rows, key=lambda entry: (entry[1] == LAYER, entry[0])):
        if max(column[entry] for column in columns.values()) >= SMALL[entry[1] == LAYER]:
            cells = [f"{column[entry]:,.0f}" if column[entry] else "-" for column in columns.values()]
            lines.append(f"| {' | '.join(entry)} | {' | '.join(cells)} |")
    for kind, per_layer in (("per token", False), ("per layer", True)):
        sums = [
            sum(each for entry, each in one.items() if (entry[1] == LAYER) == per_layer) for one in columns.values()
        ]
        lines.append(f"| **all** | {kind} | | {' | '.join(f'**{each:,.0f}**' for each in sums)} |")
    return "\n".join(lines)


def sequence(model: str) -> int:
    """Choose how long rows are; BERT and T5 do not go as far."""
    return SEQUENCE if ARCHITECTURES[model].model == "AutoModelForCausalLM" else SHORT_SEQUENCE


def merged(found: Counter[tuple[str, str, str, float]]) -> Counter[tuple[str, str, str]]:
    """Add up what adapters keep of projections with the same input, and name them together."""
    alike: dict[tuple[str, str, str], list[str]] = {}
    sums: Counter[tuple[str, str, str]] = Counter()
    for (name, values, kind, size), times in found.items():
        parent, _, part = name.rpartition(".lora_")
        group = f"{parent.rpartition('.')[0]}.*.lora_{part}" if parent else name
        alike.setdefault((group, values, kind), []).append(name)
        sums[group, values, kind] += size * times
    return Counter(
        {(f"{key[0]} (x{len(alike[key])})" if "*" in key[0] else key[0], *key[1:]): sums[key] for key in sums}
    )


if __name__ == "__main__":
    sys.stdout.write(table(*sys.argv[1:3]))
