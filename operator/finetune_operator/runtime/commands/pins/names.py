"""Every pin by its name: how its value is read, the field or the trait that it fixes, and what it means.

A pin is a field of the spec under a short name, or a trait of the software that ran (`planning.memory.workload.Stack`).

Not here: what pins do to a job (`pins.fixed`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from finetune_operator.api.schema import JsonObject
from finetune_operator.api.v1alpha1.hardware import OffloadTarget
from finetune_operator.api.v1alpha1.spec import Task
from finetune_operator.api.v1alpha1.technique import PeftType
from finetune_operator.api.v1alpha1.training import Optimizer, Precision
from finetune_operator.planning.memory.software import Software
from finetune_operator.planning.memory.workload import Attention, Loading, Loss, Measured, Quantizer
from finetune_operator.runtime.commands.pins import tables
from finetune_operator.runtime.commands.pins.readers import Reader, memory, number, one_of, switch, whole, width, words
from finetune_operator.runtime.commands.pins.tables import Path

QUANTIZATION: Final = ("technique", "quantization")
QUANTIZATIONS: Final[Mapping[str, JsonObject]] = {
    "nf4": {"type": "nf4", "doubleQuant": False},
    "nf4-double": {"type": "nf4", "doubleQuant": True},
    "fp4": {"type": "fp4", "doubleQuant": False},
    "int8": {"type": "int8"},
    "none": {"type": "none"},
    Quantizer.GPTQ.value: {},
}
"""Formats of frozen weights. A job cannot ask for the last, so it is a trait of the software."""


FORMATS: Final = {"nf4-dq": "nf4-double", "gptq": Quantizer.GPTQ.value, "llm.int8": "int8"}
"""What tables call formats."""


def _format(text: str) -> Any:
    return one_of(QUANTIZATIONS)(FORMATS.get(text, text))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """One thing that can be fixed: how its value is read, where it goes, and what it means."""

    read: Reader
    meaning: str
    spec: Path = ()
    stack: str = ""


def described() -> Iterable[tuple[str, str]]:
    """Return each pin with its meaning in a line."""
    return ((name, pin.meaning) for name, pin in PINS.items())


PINS: Final[Mapping[str, Pin]] = {
    "software": Pin(
        read=tables.software, meaning=f"whose code ran: {', '.join(list(Software)[:4])}, litgpt, ... (unset: trl)"
    ),
    "model": Pin(spec=("model", "name"), read=str, meaning="as `catalog models` shows"),
    "task": Pin(spec=("task",), read=one_of(tuple(Task)), meaning="what the model learns to do"),
    "method": Pin(
        spec=tables.METHOD, read=tables.method, meaning="full, lora, qlora, dora, qdora, or PEFT's: ia3, vera, ..."
    ),
    "rank": Pin(spec=("technique", "lora", "rank"), read=whole, meaning="rank of the LoRA or DoRA adapter"),
    "dropout": Pin(spec=("technique", "lora", "dropout"), read=number, meaning="dropout on the adapter's input"),
    "targetModules": Pin(
        spec=("technique", "lora", "targetModules"),
        read=words,
        meaning="layers with an adapter: q_proj,v_proj; q,v in any model; all",
    ),
    "modulesToSave": Pin(
        spec=("technique", "lora", "modulesToSave"), read=words, meaning="layers trained whole: lm_head,embed_tokens"
    ),
    "peft": Pin(spec=("technique", "peft", "type"), read=one_of(tuple(PeftType)), meaning="adapter of method peft"),
    "quantization": Pin(spec=QUANTIZATION, read=_format, meaning="frozen weights: " + ", ".join(QUANTIZATIONS)),
    "microBatchSize": Pin(
        spec=("training", "microBatchSize"), read=whole, meaning="rows that a device computes at once"
    ),
    "batchSize": Pin(spec=("training", "batchSize"), read=whole, meaning="rows of one optimizer step, all devices"),
    "gradientAccumulation": Pin(
        read=whole, meaning="micro-batches of one optimizer step; sets batchSize, on one device if no number is given"
    ),
    "sequenceLength": Pin(spec=("training", "sequenceLength"), read=whole, meaning="tokens of a row"),
    "gradientCheckpointing": Pin(
        spec=("training", "gradientCheckpointing"), read=switch, meaning="activations computed again: true or false"
    ),
    "precision": Pin(
        spec=("training", "precision"), read=one_of(tuple(Precision)), meaning="fp32, fp16, bf16 or bf16-mixed"
    ),
    "optimizer": Pin(
        spec=("training", "optimizer"), read=one_of(tuple(Optimizer)), meaning="by transformers' name: adamw_torch"
    ),
    "learningRate": Pin(spec=("training", "learningRate"), read=number, meaning="learning rate at its peak"),
    "maxSteps": Pin(spec=("training", "maxSteps"), read=whole, meaning="optimizer steps; takes the place of epochs"),
    "epochs": Pin(
        spec=("training", "epochs"), read=number, meaning="passes over the rows; takes the place of maxSteps"
    ),
    "strategy": Pin(
        spec=tables.STRATEGY,
        read=tables.strategy,
        meaning="none, ddp, deepspeed (or zero3, zero3+offload), fsdp; offloads what is said",
    ),
    "zeroStage": Pin(spec=("distribution", "zeroStage"), read=whole, meaning="stage of DeepSpeed's ZeRO, 0 to 3"),
    "offloadOptimizer": Pin(
        spec=("distribution", "offload", "optimizer"), read=one_of(tuple(OffloadTarget)), meaning="cpu or none"
    ),
    "offloadParameters": Pin(
        spec=("distribution", "offload", "parameters"), read=one_of(tuple(OffloadTarget)), meaning="cpu or none"
    ),
    "accelerator": Pin(
        spec=tables.ACCELERATOR, read=tables.accelerator, meaning="as `catalog accelerators` shows, auto, or 24GB"
    ),
    "deviceMemory": Pin(spec=tables.DEVICE_MEMORY, read=memory, meaning="memory of each device, such as 24GiB"),
    "instanceType": Pin(spec=("hardware", "instanceType"), read=str, meaning="as `catalog instances` shows"),
    "profile": Pin(spec=("hardware", "profile"), read=str, meaning="hardware that the administrator offers"),
    "devicesPerNode": Pin(spec=("hardware", "devicesPerNode"), read=whole, meaning="devices of each pod"),
    "nodes": Pin(spec=("hardware", "nodes"), read=whole, meaning="pods that train together"),
    "attention": Pin(
        stack="attention",
        read=one_of(tuple(Attention)),
        meaning="flash; eager, which keeps the scores; padded, with a mask (unset: flash)",
    ),
    "loss": Pin(
        stack="loss",
        read=one_of(tuple(Loss)),
        meaning="logits: fused, full (fp32), chunked, shifted (a copy), half (16 bits), none; unset: by task",
    ),
    "autocast": Pin(
        stack="autocast", read=switch, meaning="fp32 matrices are cast down for each computation (unset: true)"
    ),
    "adapterBytes": Pin(
        stack="adapter_bytes", read=width, meaning="bytes of an adapter's weight: 2 or 4 (unset: 4; 2 with deepspeed)"
    ),
    "fusedActivation": Pin(
        stack="fused_activation", read=switch, meaning="approximated GELU in one kernel (unset: false)"
    ),
    "keepsInputs": Pin(
        stack="keeps_inputs",
        read=switch,
        meaning="4-bit matrices keep their inputs: bitsandbytes < 0.42 (unset: false)",
    ),
    "liftsLogits": Pin(
        stack="lifts_logits", read=switch, meaning="the model itself casts logits to fp32, not autocast (unset: true)"
    ),
    "optimizerInBackward": Pin(
        stack="optimizer_in_backward", read=switch, meaning="each weight steps at its gradient (unset: false)"
    ),
    "offloadActivations": Pin(
        stack="offload_activations", read=switch, meaning="checkpoints wait in the node's memory (unset: false)"
    ),
    "measured": Pin(
        stack="measured", read=one_of(tuple(Measured)), meaning="the figure is of a process, reserved or active"
    ),
    "lifted": Pin(
        stack="lifted", read=switch, meaning="what is not quantized is in fp32 beside 4-bit weights (unset: false)"
    ),
    "shardsQuantized": Pin(
        stack="shards_quantized",
        read=switch,
        meaning="4-bit weights lie in parts on devices (unset: where fsdp or zeroStage 3 is pinned)",
    ),
    "loading": Pin(
        stack="loading", read=one_of(tuple(Loading)), meaning="sharded, or whole on each device first (unset: sharded)"
    ),
}
