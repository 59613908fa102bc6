"""One step of any model, method and setting: `a_workload_of` in words, and strategies for hypothesis."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from finetune_operator.api.v1alpha1.hardware import Strategy
from finetune_operator.api.v1alpha1.technique import Method, PeftType
from finetune_operator.api.v1alpha1.training import Optimizer, Precision
from finetune_operator.planning import catalog
from finetune_operator.planning.catalog import ModelShape
from finetune_operator.planning.memory.adapters import lora, peft
from finetune_operator.planning.memory.workload import (
    Adapter,
    Attention,
    Loading,
    Loss,
    Quantizer,
    Sharding,
    Stack,
    Workload,
)
from hypothesis import strategies as some

SHAPES = some.sampled_from(catalog.models())
DEVICES = some.sampled_from([1, 2, 3, 8, 64])


def an_adapter(shape: ModelShape, method: Method, kind: PeftType = PeftType.IA3, **options: Any) -> Adapter | None:
    """The adapter of a method: of rank 8 beside all that it usually sits beside, unless told otherwise."""
    if method is Method.FULL:
        return None
    if method is Method.PEFT:
        return peft.peft(shape, kind, options)
    make = lora.dora if method in {Method.DORA, Method.QDORA} else lora.lora
    targets = options.get("targets", lora.default_targets(shape))
    return make(shape, options.get("r", 8), targets, dropout=options.get("dropout", False))


def a_workload_of(shape: ModelShape, method: Method = Method.LORA, **facts: Any) -> Workload:
    """A step of four rows of 512 tokens in bf16 on one device, with the facts that are given."""
    usual = Workload(
        method=method,
        quantizer=Quantizer.NF4_DOUBLE if method in {Method.QLORA, Method.QDORA} else None,
        adapter=an_adapter(shape, method),
        micro_batch_size=4,
        sequence_length=512,
        precision=Precision.BF16,
        loss=Loss.NONE if shape.kind is catalog.ModelKind.ENCODER else Loss.FUSED,
    )
    return replace(usual, **facts)


@some.composite
def shardings(draw: some.DrawFn) -> Sharding:
    """Every way to share."""
    strategy = draw(some.sampled_from([Strategy.NONE, Strategy.DDP, Strategy.DEEPSPEED, Strategy.FSDP]))
    if strategy is Strategy.NONE:
        return Sharding()
    stage = {Strategy.DDP: 0, Strategy.FSDP: 3}.get(strategy, draw(some.integers(0, 3)))
    moved = stage > 0 and draw(some.booleans())
    return Sharding(
        strategy=strategy,
        stage=stage,
        devices=draw(DEVICES),
        offload_optimizer=moved,
        offload_parameters=moved and stage == 3 and draw(some.booleans()),
    )


@some.composite
def adapters(draw: some.DrawFn, shape: ModelShape, method: Method) -> Adapter | None:
    """Any adapter of a method."""
    options = {"r": draw(some.sampled_from([2, 8, 256])), "dropout": draw(some.booleans())}
    found = an_adapter(shape, method, draw(some.sampled_from(PeftType)), **options)
    if found is not None and draw(some.integers(0, 3)) == 0:
        return lora.with_embeddings(shape, found, ("embed_tokens", "lm_head"))
    return found


@some.composite
def workloads(draw: some.DrawFn) -> tuple[ModelShape, Workload]:
    """Any step, with the model that takes it."""
    shape = draw(SHAPES)
    method = draw(some.sampled_from([one for one in Method if one is not Method.AUTO]))
    stack = Stack(
        attention=draw(some.sampled_from(Attention)),
        autocast=draw(some.booleans()),
        keeps_inputs=draw(some.booleans()),
        fused_activation=draw(some.booleans()),
        lifted=draw(some.booleans()),
        loading=draw(some.sampled_from(Loading)),
    )
    work = a_workload_of(
        shape,
        method,
        adapter=draw(adapters(shape, method)),
        micro_batch_size=draw(some.integers(1, 64)),
        sequence_length=draw(some.sampled_from([8, 512, 4096, 131_072])),
        accumulation=draw(some.sampled_from([1, 2, 16])),
        gradient_checkpointing=draw(some.booleans()),
        precision=draw(some.sampled_from(Precision)),
        adapter_bytes=draw(some.sampled_from([2, 4])),
        optimizer=draw(some.sampled_from(Optimizer)),
        loss=draw(some.sampled_from(Loss)),
        stack=stack,
        sharding=draw(shardings()),
    )
    if work.quantizer is not None:
        work = replace(work, quantizer=draw(some.sampled_from(Quantizer)))
    return shape, work
