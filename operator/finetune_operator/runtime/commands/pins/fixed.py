"""What a caller fixed, and what that does to a job; `parse` reads it.

Any field of the spec that has no short name is pinned by its path, such as `training.packing=true`.

Not here: which pins there are (`pins.names`), whether they contradict each other (`runtime.commands.admission`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import yaml

from finetune_operator.api.schema import JsonObject
from finetune_operator.api.v1alpha1.hardware import OffloadTarget, Strategy
from finetune_operator.api.v1alpha1.spec import Task
from finetune_operator.api.v1alpha1.technique import Method
from finetune_operator.api.v1alpha1.training import Training
from finetune_operator.planning import catalog
from finetune_operator.planning.catalog import ModelKind, ModelShape
from finetune_operator.planning.memory.software import QUERY_AND_VALUE, STACKS, STARTS_DEEPSPEED, Software
from finetune_operator.planning.memory.workload import PARAMETERS_STAGE, Quantizer, Stack
from finetune_operator.planning.profiles import HardwareProfile, Profiles
from finetune_operator.runtime.commands.complaints import BadInput, like
from finetune_operator.runtime.commands.pins import tables
from finetune_operator.runtime.commands.pins.names import PINS, QUANTIZATION, QUANTIZATIONS
from finetune_operator.runtime.commands.pins.tables import Path

MOST_DEVICES, MOST_NODES = 64, 256
"""What is offered of a card of which only the memory is known."""

CARD: Final = "pinned-card"
"""The name of the hardware that is such a card."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pins:
    """What a caller fixed, by name. `paths` are fields of the spec that have no short name."""

    named: Mapping[str, Any]
    paths: Mapping[Path, Any]
    shape: ModelShape | None = None
    """The model, where it is given beside the job."""

    @property
    def stack(self) -> Stack:
        """How the software that ran computes."""
        traits = {PINS[name].stack: value for name, value in self.named.items() if PINS[name].stack}
        if self.named.get("quantization") == Quantizer.GPTQ:
            traits["quantizer"] = Quantizer.GPTQ
        if self._divides:
            traits = {"shards_quantized": True} | traits
        return replace(STACKS[self._software], **traits)

    @property
    def _divides(self) -> bool:
        """Whether parameters were divided, as somebody says who knows how the run was: what ran could do it."""
        fields = self._fields
        fsdp = fields.get(tables.STRATEGY) is Strategy.FSDP
        offloaded = fields.get((*tables.OFFLOAD, "parameters")) is OffloadTarget.CPU
        return fsdp or offloaded or fields.get(tables.STAGE) == PARAMETERS_STAGE

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know who fixed a run as it was."""
        ran = "microBatchSize" in self.named and not self.named.keys() & {"software", "loss"}
        words = (
            "computed as TRL's fused loss, which this project's trainer has; plain transformers keeps full logits: pin "
            "software=transformers"
        )
        started = "this software's scripts start DeepSpeed on one device too, and are planned with it"
        return (*((words,) if ran else ()), *((started,) if self._starts is not None else ()))

    @property
    def _software(self) -> Software:
        named: Software = self.named.get("software", Software.TRL)
        return named

    @property
    def _starts(self) -> int | None:
        """The stage with which DeepSpeed is started where a table tells of one device; None where it is not."""
        said, alone = self._said, Strategy.NONE
        stages = STARTS_DEEPSPEED.get(self._software, {}) if said.get(tables.STRATEGY) is alone else {}
        method = _quantized(said, self.named).get(tables.METHOD)
        return stages.get(method) if method else None

    @property
    def _fields(self) -> dict[Path, Any]:
        """Every field of the spec that is fixed, with what the software is known to do where nothing is said."""
        found = self._said
        if self._starts is not None:
            found |= {tables.STRATEGY: Strategy.DEEPSPEED, tables.STAGE: self._starts}
        adapted = found.get(tables.METHOD) in ADAPTED
        if adapted and self._software in QUERY_AND_VALUE:
            found = {(*tables.LORA, "targetModules"): ["q", "v"]} | found
        return found

    @property
    def _said(self) -> dict[Path, Any]:
        """Every field of the spec that a name stands for; a name of one field counts before a word for several."""
        found: dict[Path, Any] = {}
        for name, value in sorted(self.named.items(), key=lambda pair: not isinstance(pair[1], tables.Several)):
            if isinstance(value, tables.Several):
                found |= value
            elif PINS[name].spec and value != Quantizer.GPTQ:
                found[PINS[name].spec] = QUANTIZATIONS[value] if name == "quantization" else value
        return found

    def offered(self, profiles: Profiles) -> Profiles:
        """Return what is offered, with the card of which only the memory is known."""
        size = self._fields.get(tables.DEVICE_MEMORY)
        if size is None:
            return profiles
        card = HardwareProfile(
            accelerator=self._fields.get(tables.ACCELERATOR, tables.STAND_IN),
            device_memory_bytes=size,
            devices_per_node=MOST_DEVICES,
            nodes=MOST_NODES,
        )
        return profiles.model_copy(update={"hardware": {**profiles.hardware, CARD: card}})

    def applied(self, spec: JsonObject) -> JsonObject:
        """Return the spec of a job with every pin in it, and without what the pins leave no room for.

        Raises:
            BadInput: pins contradict each other.
        """
        fields = _on_card(_quantized(self._fields, self.named))
        spec = _cleared(spec, self.named, fields)
        for path, value in [*fields.items(), *self.paths.items()]:
            spec = _put(spec, path, value)
        if "task" not in self.named and (self.shape or ("model", "name") in fields.keys() | self.paths.keys()):
            spec = _tasked(spec, _model(spec, self.shape))
        if (*tables.LORA, "targetModules") in fields.keys() | self.paths.keys():
            spec = _targeted(spec, _model(spec, self.shape))
        return _batched(_offloading_as_said(spec, fields), self.named)


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


INSTEAD: Final[Mapping[Path, tuple[Path, ...]]] = {
    ("hardware", "accelerator"): (("hardware", "profile"), ("hardware", "instanceType")),
    ("hardware", "instanceType"): (("hardware", "profile"), ("hardware", "accelerator")),
    ("hardware", "profile"): (("hardware", "accelerator"), ("hardware", "instanceType")),
    ("training", "epochs"): (("training", "maxSteps"),),
    ("training", "maxSteps"): (("training", "epochs"),),
    tables.PEFT_TYPE: (("technique", "peft"),),
    ("model", "name"): (("model", "shape"),),
}
"""Fields of a job that make room for a pinned one, whatever its value."""

TASKS: Final[Mapping[ModelKind, tuple[Task, ...]]] = {
    ModelKind.ENCODER: (Task.TEXT_CLASSIFICATION, Task.TOKEN_CLASSIFICATION, Task.QUESTION_ANSWERING),
    ModelKind.ENCODER_DECODER: (Task.TRANSLATION, Task.QUESTION_ANSWERING, Task.INSTRUCTION),
}
"""What models do that do not write on, the usual one first."""

OFFLOADERS: Final = frozenset({Strategy.DEEPSPEED, Strategy.FSDP})
ADAPTED: Final = frozenset({Method.AUTO, Method.LORA, Method.QLORA, Method.DORA, Method.QDORA})
QUANTIZED: Final = frozenset({Method.AUTO, Method.QLORA, Method.QDORA})
MADE_QUANTIZED: Final = {Method.LORA: Method.QLORA, Method.DORA: Method.QDORA}


def _quantized(fields: dict[Path, Any], named: Mapping[str, Any]) -> dict[Path, Any]:
    """Return the fields with a method that has quantized weights, where such were pinned."""
    stored, method = named.get("quantization", "none"), fields.get(tables.METHOD)
    if stored == "none" or method is None:
        return fields
    if method in {Method.FULL, Method.PEFT}:
        raise BadInput(f"--pin quantization: method {method.value} has no weights in {stored}; pin method=qlora")
    return fields | {tables.METHOD: MADE_QUANTIZED.get(method, method)}


def _on_card(fields: dict[Path, Any]) -> dict[Path, Any]:
    """Return the fields with the hardware that is a card of which only the memory is known."""
    if tables.DEVICE_MEMORY not in fields:
        return fields
    kept = {path: value for path, value in fields.items() if path not in {tables.DEVICE_MEMORY, tables.ACCELERATOR}}
    return kept | {("hardware", "profile"): CARD}


def _cleared(spec: JsonObject, named: Mapping[str, Any], fields: Mapping[Path, Any]) -> JsonObject:
    """Take out what the job says and a pin contradicts."""
    gone = [path for field in fields for path in INSTEAD.get(field, ())]
    gone += [QUANTIZATION] if "quantization" in named else []
    if method := fields.get(tables.METHOD):
        rooms = {
            "goals": method is Method.AUTO,
            "lora": method in ADAPTED,
            "peft": method is Method.PEFT,
            "quantization": method in QUANTIZED,
        }
        gone += [("technique", field) for field, has_room in rooms.items() if not has_room]
    if strategy := fields.get(tables.STRATEGY):
        gone += [tables.STAGE] if strategy is not Strategy.DEEPSPEED else []
        gone += [tables.OFFLOAD] if strategy not in OFFLOADERS else []
    for path in gone:
        spec = _drop(spec, path)
    return spec


def _model(spec: JsonObject, given: ModelShape | None) -> ModelShape | None:
    name = (spec.get("model") or {}).get("name")
    return given or (catalog.find(name) if isinstance(name, str) else None)


def _tasked(spec: JsonObject, model: ModelShape | None) -> JsonObject:
    """Return the spec with a task that its model can do, where the model was pinned and the task was not."""
    able = TASKS.get(model.kind) if model else None
    return spec if able is None or spec.get("task") in able else _put(spec, ("task",), able[0])


def _targeted(spec: JsonObject, model: ModelShape | None) -> JsonObject:
    """Return the spec with the names that its model has for what a table calls its targets."""
    lora = (spec.get("technique") or {}).get("lora") or {}
    asked = lora.get("targetModules")
    if not isinstance(asked, list) or not all(isinstance(word, str) for word in asked):
        return spec
    return _put(spec, (*tables.LORA, "targetModules"), tables.targets(asked, model))


def _offloading_as_said(spec: JsonObject, fields: Mapping[Path, Any]) -> JsonObject:
    """Take out an offload of nothing where there is nobody to do it; a run whose strategy is known says if it does."""
    distribution = spec.get("distribution") or {}
    offload = distribution.get("offload")
    if offload is None and fields.get(tables.STRATEGY) in OFFLOADERS:
        return _put(spec, tables.OFFLOAD, {"optimizer": OffloadTarget.NONE, "parameters": OffloadTarget.NONE})
    alone = distribution.get("strategy") in {Strategy.NONE, Strategy.DDP}
    nothing = set((offload or {}).values()) <= {OffloadTarget.NONE}
    return _drop(spec, tables.OFFLOAD) if alone and nothing else spec


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
