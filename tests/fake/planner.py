"""Asks the planner for the memory of a counted step: `predicted` is the only place that knows both.

Not here: cases (`case.py`), counting (`measure.py`).
"""

from __future__ import annotations

from typing import Any

from case import Case
from configs import CONFIGS
from finetune_operator.api.v1alpha1.technique import Method, PeftType
from finetune_operator.api.v1alpha1.training import Optimizer, Precision
from finetune_operator.planning import catalog
from finetune_operator.planning.memory import device
from finetune_operator.planning.memory.adapters import lora, peft
from finetune_operator.planning.memory.workload import Adapter, Attention, Loss, Quantizer, Stack, Workload

METHODS = {"full": Method.FULL, "lora": Method.LORA, "qlora": Method.QLORA, "dora": Method.DORA, "qdora": Method.QDORA}
QUERY_AND_VALUE = (
    *("q_proj", "v_proj", "qkv_proj", "query_key_value", "query", "value", "q", "v"),
    *("c_attn", "Wqkv", "q_lin", "v_lin", "query_proj", "value_proj"),
)
PRECISIONS = {
    "bf16": Precision.BF16,
    "bf16-autocast": Precision.BF16,
    "mixed": Precision.BF16_MIXED,
    "fp32": Precision.FP32,
}
OPTIMIZERS = {
    "adamw": Optimizer.ADAMW_FUSED,  # one parameter at a time: hardly more than none
    "adamw-fused": Optimizer.ADAMW_FUSED,
    "adamw-foreach": Optimizer.ADAMW,
}


def predicted(case: Case) -> int:
    """Return the live bytes that the planner predicts, without its margins."""
    shape = shape_of(case)
    work = Workload(
        method=METHODS.get(case.method, Method.PEFT),
        quantizer=Quantizer.NF4_DOUBLE if case.quant else None,
        adapter=_adapter(shape, case),
        micro_batch_size=case.micro_batch,
        sequence_length=case.seq,
        accumulation=case.accumulation,
        gradient_checkpointing=case.checkpointing,
        precision=PRECISIONS[case.precision],
        adapter_bytes=2 if case.adapter_dtype == "bf16" else 4,
        optimizer=OPTIMIZERS[case.optimizer],
        loss=Loss.NONE if shape.kind is catalog.ModelKind.ENCODER else Loss(case.loss),
        stack=Stack(attention=_attention(case), autocast=case.autocasts, lifted=case.quant == "nf4-prepared"),
    )
    return round(device.live_bytes(shape, work))


def shape_of(case: Case) -> catalog.ModelShape:
    """Return the model's shape: from its config.json, or as the catalog has it."""
    config = CONFIGS.get(case.model)
    shape = catalog.find(case.model) if config is None else catalog.from_config(config, name=case.model)
    if case.layers:
        both = {"layers": case.layers, "decoder_layers": case.layers if shape.decoder_layers else 0}
        shape = catalog.ModelShape.model_validate(shape.model_dump() | both)
    return shape


def _attention(case: Case) -> Attention:
    if case.kernel == "eager":
        return Attention.EAGER
    return Attention.PADDED if case.attention == "sdpa-masked" else Attention.FLASH


def _adapter(shape: catalog.ModelShape, case: Case) -> Adapter | None:
    names = QUERY_AND_VALUE if case.targets == "qv" else (lora.ALL_LINEAR,)
    if case.method == "full":
        return None
    if case.method in METHODS:
        make = lora.dora if case.method.endswith("dora") else lora.lora
        adapter = make(shape, case.rank, names)
    else:
        adapter = peft.peft(shape, PeftType(case.method), _options(case, names))
    if case.targets == "all+embeddings":
        return lora.with_embeddings(shape, adapter, ("embed_tokens", "lm_head"))
    return adapter


def _options(case: Case, names: tuple[str, ...]) -> dict[str, Any]:
    tokens = {"num_virtual_tokens": case.rank, "encoder_hidden_size": 128}
    return {"r": case.rank, "init_r": case.rank, "oft_block_size": 32, "target_modules": ",".join(names), **tokens}
