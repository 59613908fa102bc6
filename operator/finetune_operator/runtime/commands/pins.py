"""Choices that a caller fixes with `--pin name=value`, so that a published run is planned exactly as it was run.

A pin is a field of the spec under a short name, or a trait of the software that ran (`planning.memory.workload.Stack`).
Any other field of the spec is pinned by its path, such as `training.packing=true`.

Not here: whether pins contradict each other (`runtime.commands.admission`).
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from finetune_operator.api.schema import JsonObject
from finetune_operator.api.v1alpha1.hardware import OffloadTarget, Strategy
from finetune_operator.api.v1alpha1.spec import Task
from finetune_operator.api.v1alpha1.technique import Method, PeftType
from finetune_operator.api.v1alpha1.training import Optimizer, Precision, Training
from finetune_operator.planning.memory.workload import PARAMETERS_STAGE, Attention, Loading, Loss, Quantizer, Stack
from finetune_operator.runtime.commands.complaints import BadInput, like

Reader = Callable[[str], Any]
Path = tuple[str, ...]

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """One thing that can be fixed: how its value is read, where it goes, and what it means."""

    read: Reader
    meaning: str
    spec: Path = ()
    stack: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pins:
    """What a caller fixed, by name. `paths` are fields of the spec that have no short name."""

    named: Mapping[str, Any]
    paths: Mapping[Path, Any]

    @property
    def stack(self) -> Stack:
        """How the software that ran computes."""
        traits = {PINS[name].stack: value for name, value in self.named.items() if PINS[name].stack}
        if self.named.get("quantization") == Quantizer.GPTQ:
            traits["quantizer"] = Quantizer.GPTQ
        return Stack(**{"shards_quantized": self._divides} | traits)

    @property
    def _divides(self) -> bool:
        """Whether parameters were divided, as somebody says who knows how the run was: what ran could do it."""
        fsdp = self.named.get("strategy") is Strategy.FSDP
        offloaded = self.named.get("offloadParameters") is OffloadTarget.CPU
        return fsdp or offloaded or self.named.get("zeroStage") == PARAMETERS_STAGE

    def applied(self, spec: JsonObject) -> JsonObject:
        """Return the spec of a job with every pin in it, and without what the pins leave no room for.

        Raises:
            BadInput: pins contradict each other.
        """
        spec = _cleared(spec, self.named)
        for name, value in self.named.items():
            if PINS[name].spec and value != Quantizer.GPTQ:
                spec = _put(spec, PINS[name].spec, QUANTIZATIONS[value] if name == "quantization" else value)
        for path, value in self.paths.items():
            spec = _put(spec, path, value)
        return _batched(_offloading_as_said(spec, self.named), self.named)


def parse(texts: Iterable[str]) -> Pins:
    """Read `name=value` texts; the last one of a name counts.

    Raises:
        BadInput: a name or a value is not known.
    """
    named: dict[str, Any] = {}
    paths: dict[Path, Any] = {}
    for text in texts:
        name, sign, value = (part.strip() for part in text.partition("="))
        if not sign or not name or not value:
            raise BadInput(f"--pin {text}: write it as name=value, such as method=lora")
        if "." in name:
            paths[_path(text, name)] = _value(text, value)
            continue
        if name not in PINS:
            raise BadInput(f"--pin {name}: there is no such pin; {like(name, PINS)}; any other field by its path")
        try:
            named[name] = PINS[name].read(value)
        except ValueError as error:
            raise BadInput(f"--pin {name}: {error}, not {value!r}") from error
    return Pins(named=named, paths=paths)


def _path(text: str, name: str) -> Path:
    path = tuple(name.removeprefix("spec.").split("."))
    if not all(path):
        raise BadInput(f"--pin {text}: a path has a word between its dots, such as training.packing=true")
    return path


def _value(text: str, value: str) -> Any:
    """Read a value as a manifest has it."""
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise BadInput(f"--pin {text}: the value is no YAML: {' '.join(str(error).split())}") from error


def described() -> Iterable[tuple[str, str]]:
    """Return each pin with its meaning in a line."""
    return ((name, pin.meaning) for name, pin in PINS.items())


def one_of(words: Iterable[str]) -> Reader:
    """Make a reader of closed words."""
    known = {str(word.value if isinstance(word, enum.Enum) else word): word for word in words}

    def read(text: str) -> Any:
        if text not in known:
            raise ValueError(f"must be one of {', '.join(known)}")
        return known[text]

    return read


def whole(text: str) -> int:
    """Read a whole number."""
    try:
        return int(text)
    except ValueError as error:
        raise ValueError("must be a whole number") from error


def number(text: str) -> float:
    """Read a number."""
    try:
        return float(text)
    except ValueError as error:
        raise ValueError("must be a number") from error


def switch(text: str) -> bool:
    """Read true or false."""
    return {"true": True, "false": False}[str(one_of(("true", "false"))(text))]


def words(text: str) -> list[str]:
    """Read words between commas."""
    return [word.strip() for word in text.split(",")]


def _bytes(text: str) -> int:
    return int(one_of(("2", "4"))(text))


PINS: Final[Mapping[str, Pin]] = {
    "task": Pin(spec=("task",), read=one_of(tuple(Task)), meaning="what the model learns to do"),
    "method": Pin(
        spec=("technique", "method"), read=one_of(tuple(Method)), meaning="full, lora, qlora, dora, qdora or peft"
    ),
    "rank": Pin(spec=("technique", "lora", "rank"), read=whole, meaning="rank of the LoRA or DoRA adapter"),
    "dropout": Pin(spec=("technique", "lora", "dropout"), read=number, meaning="dropout on the adapter's input"),
    "targetModules": Pin(
        spec=("technique", "lora", "targetModules"), read=words, meaning="layers with an adapter: q_proj,v_proj"
    ),
    "modulesToSave": Pin(
        spec=("technique", "lora", "modulesToSave"), read=words, meaning="layers trained whole: lm_head,embed_tokens"
    ),
    "peft": Pin(spec=("technique", "peft", "type"), read=one_of(tuple(PeftType)), meaning="adapter of method peft"),
    "quantization": Pin(
        spec=QUANTIZATION, read=one_of(QUANTIZATIONS), meaning="frozen weights: " + ", ".join(QUANTIZATIONS)
    ),
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
        spec=("distribution", "strategy"),
        read=one_of(tuple(Strategy)),
        meaning="none, ddp, deepspeed or fsdp; nothing is offloaded unless said",
    ),
    "zeroStage": Pin(spec=("distribution", "zeroStage"), read=whole, meaning="stage of DeepSpeed's ZeRO, 0 to 3"),
    "offloadOptimizer": Pin(
        spec=("distribution", "offload", "optimizer"), read=one_of(tuple(OffloadTarget)), meaning="cpu or none"
    ),
    "offloadParameters": Pin(
        spec=("distribution", "offload", "parameters"), read=one_of(tuple(OffloadTarget)), meaning="cpu or none"
    ),
    "accelerator": Pin(
        spec=("hardware", "accelerator"), read=str.lower, meaning="as `catalog accelerators` shows, or auto"
    ),
    "instanceType": Pin(spec=("hardware", "instanceType"), read=str, meaning="as `catalog instances` shows"),
    "profile": Pin(spec=("hardware", "profile"), read=str, meaning="hardware that the administrator offers"),
    "devicesPerNode": Pin(spec=("hardware", "devicesPerNode"), read=whole, meaning="devices of each pod"),
    "nodes": Pin(spec=("hardware", "nodes"), read=whole, meaning="pods that train together"),
    "attention": Pin(
        stack="attention",
        read=one_of(tuple(Attention)),
        meaning="flash, or eager, which keeps the scores (unset: flash)",
    ),
    "loss": Pin(
        stack="loss",
        read=one_of(tuple(Loss)),
        meaning="logits: fused (chunks), full (fp32), shifted (a copy), half (16 bits) or none; unset: by task",
    ),
    "autocast": Pin(
        stack="autocast", read=switch, meaning="fp32 matrices are cast down for each computation (unset: true)"
    ),
    "adapterBytes": Pin(
        stack="adapter_bytes", read=_bytes, meaning="bytes of an adapter's weight: 2 or 4 (unset: 4; 2 with deepspeed)"
    ),
    "fusedActivation": Pin(
        stack="fused_activation", read=switch, meaning="approximated GELU in one kernel (unset: false)"
    ),
    "keepsInputs": Pin(
        stack="keeps_inputs",
        read=switch,
        meaning="4-bit matrices keep their inputs: bitsandbytes < 0.42 (unset: false)",
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

INSTEAD: Final[Mapping[str, tuple[Path, ...]]] = {
    "accelerator": (("hardware", "profile"), ("hardware", "instanceType")),
    "instanceType": (("hardware", "profile"), ("hardware", "accelerator")),
    "profile": (("hardware", "accelerator"), ("hardware", "instanceType")),
    "epochs": (("training", "maxSteps"),),
    "maxSteps": (("training", "epochs"),),
    "quantization": (QUANTIZATION,),
}
"""Fields of a job that make room for a pin, whatever its value."""

OFFLOADERS: Final = frozenset({Strategy.DEEPSPEED, Strategy.FSDP})
ADAPTED: Final = frozenset({Method.AUTO, Method.LORA, Method.QLORA, Method.DORA, Method.QDORA})
QUANTIZED: Final = frozenset({Method.AUTO, Method.QLORA, Method.QDORA})


def _cleared(spec: JsonObject, named: Mapping[str, Any]) -> JsonObject:
    """Take out what the job says and a pin contradicts."""
    gone = [path for name in named for path in INSTEAD.get(name, ())]
    if method := named.get("method"):
        rooms = {
            "goals": method is Method.AUTO,
            "lora": method in ADAPTED,
            "peft": method is Method.PEFT,
            "quantization": method in QUANTIZED,
        }
        gone += [("technique", field) for field, has_room in rooms.items() if not has_room]
    if strategy := named.get("strategy"):
        gone += [("distribution", "zeroStage")] if strategy is not Strategy.DEEPSPEED else []
        gone += [("distribution", "offload")] if strategy not in OFFLOADERS else []
    for path in gone:
        spec = _drop(spec, path)
    return spec


def _offloading_as_said(spec: JsonObject, named: Mapping[str, Any]) -> JsonObject:
    """Take out an offload of nothing where there is nobody to do it; a run whose strategy is known says if it does."""
    distribution = spec.get("distribution") or {}
    offload, path = distribution.get("offload"), ("distribution", "offload")
    if offload is None and named.get("strategy") in OFFLOADERS:
        return _put(spec, path, {"optimizer": OffloadTarget.NONE, "parameters": OffloadTarget.NONE})
    alone = distribution.get("strategy") in {Strategy.NONE, Strategy.DDP}
    nothing = set((offload or {}).values()) <= {OffloadTarget.NONE}
    return _drop(spec, path) if alone and nothing else spec


def _batched(spec: JsonObject, named: Mapping[str, Any]) -> JsonObject:
    """Return the spec with the effective batch that micro-batch, accumulation and devices make."""
    training, hardware = spec.get("training") or {}, spec.get("hardware") or {}
    micro, count = training.get("microBatchSize"), named.get("gradientAccumulation")
    devices = (hardware.get("devicesPerNode") or 1) * (hardware.get("nodes") or 1)
    if count is None:
        if "batchSize" in training or not named.keys() & {"microBatchSize", "devicesPerNode", "nodes"}:
            return spec
        part, usual = (micro or 1) * devices, Training().batch_size
        return _put(spec, ("training", "batchSize"), -(-usual // max(1, part)) * part)
    if not micro:
        raise BadInput("--pin gradientAccumulation: says nothing without microBatchSize; pin that as well")
    size = micro * count * devices
    if named.get("batchSize", size) != size:
        raise BadInput(
            f"--pin gradientAccumulation: {micro} rows x {count} x {devices} devices are {size}, and batchSize is "
            f"{named['batchSize']}; leave one of them out"
        )
    spec = _put(spec, ("training", "batchSize"), size)
    for field in ("devicesPerNode", "nodes"):
        spec = _put(spec, ("hardware", field), hardware.get(field) or 1)
    return spec


def _put(spec: JsonObject, path: Path, value: Any) -> JsonObject:
    """Return a copy with a value at a path."""
    first, *rest = path
    inner = spec.get(first)
    return {**spec, first: _put(inner if isinstance(inner, dict) else {}, tuple(rest), value) if rest else value}


def _drop(spec: JsonObject, path: Path) -> JsonObject:
    """Return a copy with nothing at a path."""
    first, *rest = path
    inner = spec.get(first)
    if not rest:
        return {name: value for name, value in spec.items() if name != first}
    return {**spec, first: _drop(inner, tuple(rest))} if isinstance(inner, dict) else spec
