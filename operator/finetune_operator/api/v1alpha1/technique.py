"""How a model is adapted: the method, its adapter, its quantization.

Not here: what a method needs (`planning.memory`), how it is spread over devices (`hardware.Distribution`).
"""

from __future__ import annotations

import enum
import typing

from finetune_trainer.contract import UNUSABLE_PEFT_TYPES
from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StringConstraints,
    WithJsonSchema,
)

from finetune_operator.api.v1alpha1.model import PATH, ApiModel, choices, rule, rules

Layer = typing.Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")]


class Method(enum.StrEnum):
    """Which weights are trained, and how the others are kept."""

    AUTO = "auto"
    FULL = "full"
    LORA = "lora"
    QLORA = "qlora"
    DORA = "dora"
    QDORA = "qdora"
    PEFT = "peft"


class Goal(enum.StrEnum):
    """What `auto` shall aim at."""

    REDUCE_COST = "reduce-cost"
    REDUCE_MEMORY = "reduce-memory"
    FEWER_PARAMETERS = "fewer-parameters"
    AGGREGATE_GPU_MEMORY = "aggregate-gpu-memory"
    QUALITY = "quality"


class LoraVariant(enum.StrEnum):
    """Ways to start or scale a LoRA adapter, by PEFT's names: `use_rslora`, else a value of `init_lora_weights`."""

    LORA = "lora"
    RSLORA = "rslora"
    GAUSSIAN = "gaussian"
    ORTHOGONAL = "orthogonal"
    PISSA = "pissa"
    OLORA = "olora"
    EVA = "eva"
    LOFTQ = "loftq"


class Lora(ApiModel):
    """Low-rank adapters, in PEFT's words."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "self.variant != 'orthogonal' || !has(self.rank) || self.rank % 2 == 0",
                f"{PATH}.rank: variant orthogonal needs an even rank; add one or take another variant",
            )
        )
    )

    rank: int | None = Field(default=None, description="rank of the adapter (PEFT's r). Unset: 8.", ge=1, le=1024)
    alpha: int | None = Field(
        default=None, description="alpha scales the adapter. Unset: twice the rank.", ge=1, le=4096
    )
    dropout: float = Field(
        default=0.0, description="dropout on the adapter's input, 0 to 0.9. Default: 0.", ge=0.0, le=0.9
    )
    target_modules: tuple[Layer, ...] | None = Field(
        default=None,
        description="targetModules are the layers that get an adapter, by the end of their name; `all-linear` alone "
        "means every linear layer. Unset: the architecture's attention and MLP projections.",
        min_length=1,
        max_length=64,
    )
    modules_to_save: tuple[Layer, ...] | None = Field(
        default=None,
        description="modulesToSave are layers trained whole and saved with the adapter, such as `lm_head` or "
        "`embed_tokens`. Unset: only what the task needs, such as the head of a classifier.",
        min_length=1,
        max_length=16,
    )
    variant: LoraVariant = Field(
        default=LoraVariant.LORA,
        description="variant of start and scale by PEFT's name. `rslora` scales by the root of the rank; `gaussian`, "
        "`orthogonal`, `pissa`, `olora`, `eva` and `loftq` start the adapter otherwise. Default: `lora`.",
    )


class PeftType(enum.StrEnum):
    """Adapters of PEFT beside LoRA: its `peft_type` in lower case, with dashes."""

    IA3 = "ia3"
    ADALORA = "adalora"
    PROMPT_TUNING = "prompt-tuning"
    PREFIX_TUNING = "prefix-tuning"
    P_TUNING = "p-tuning"
    VERA = "vera"
    OFT = "oft"
    BOFT = "boft"
    LOHA = "loha"
    LOKR = "lokr"
    FOURIERFT = "fourierft"
    HRA = "hra"
    LN_TUNING = "ln-tuning"
    MISS = "miss"
    RANDLORA = "randlora"
    VBLORA = "vblora"
    TRAINABLE_TOKENS = "trainable-tokens"
    C3A = "c3a"
    DELORA = "delora"
    GRALORA = "gralora"
    HIRA = "hira"
    ROAD = "road"
    SHIRA = "shira"
    WAVEFT = "waveft"


PROMPT_TYPES: typing.Final = (PeftType.PROMPT_TUNING, PeftType.PREFIX_TUNING, PeftType.P_TUNING)
"""Adapters that are input of the model, not weights: there is nothing to merge."""

OPTIONS: typing.Final = 32
OptionName = typing.Annotated[str, StringConstraints(pattern=r"^[a-zA-Z][a-zA-Z0-9_]*$", max_length=64)]
OptionText = typing.Annotated[str, StringConstraints(strict=True, max_length=256)]
Options = typing.Annotated[
    dict[OptionName, StrictBool | StrictInt | StrictFloat | OptionText],
    Field(max_length=OPTIONS),
    WithJsonSchema(
        {
            "type": "object",
            "maxProperties": OPTIONS,
            "additionalProperties": {"x-kubernetes-preserve-unknown-fields": True},
        }
    ),
]
"""Free-form: the schema of a CRD cannot say `number, string or boolean`. The operator refuses what is none of them."""


def _usable(kind: object) -> object:
    """Refuse by name what PEFT has and a job cannot use; the API server tells what can be used."""
    if isinstance(kind, str) and kind in UNUSABLE_PEFT_TYPES:
        raise ValueError(f"{kind} cannot be used: {UNUSABLE_PEFT_TYPES[kind]}")
    return kind


class Peft(ApiModel):
    """An adapter of PEFT other than LoRA."""

    type: typing.Annotated[PeftType, BeforeValidator(_usable)] = Field(
        description="type of the adapter, PEFT's `peft_type` in lower case with dashes."
    )
    options: Options = Field(
        default={},
        description="options of the adapter's PEFT config by their names there, such as `num_virtual_tokens: 20`; each "
        "is a number, a string or a boolean. Unset: PEFT's own defaults.",
    )


class QuantizationType(enum.StrEnum):
    """Storage of the frozen weights."""

    NF4 = "nf4"
    FP4 = "fp4"
    INT8 = "int8"
    NONE = "none"


class Quantization(ApiModel):
    """How the frozen weights are stored under qlora and qdora."""

    type: QuantizationType = Field(
        default=QuantizationType.NF4,
        description="type of the stored weights: `nf4`, `fp4` (4 bits), `int8` or `none`, which keeps method auto "
        "from methods that quantize. Default: `nf4`.",
    )
    double_quant: bool = Field(
        default=True,
        description="doubleQuant also quantizes the scales: 0.37 bit less per weight. No effect on int8. "
        "Default: true.",
    )


class Technique(ApiModel):
    """How the model is adapted."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!has(self.goals) || self.method == 'auto'",
                f"{PATH}.goals: only method auto works towards goals; remove goals or set method: auto",
            ),
            rule(
                "!has(self.lora) || self.method in ['auto', 'lora', 'qlora', 'dora', 'qdora']",
                f"{PATH}.lora: methods full and peft have no LoRA adapter; remove lora or set method: lora",
            ),
            rule(
                "has(self.peft) == (self.method == 'peft')",
                f"{PATH}.peft: goes with method peft and only with it; set both or neither",
            ),
            rule(
                "!has(self.quantization) || self.quantization.type == 'none' || "
                "self.method in ['auto', 'qlora', 'qdora']",
                f"{PATH}.quantization: only methods qlora and qdora store quantized weights; "
                "set method: qlora or remove quantization",
            ),
            rule(
                "!has(self.quantization) || self.quantization.type != 'none' || !(self.method in ['qlora', 'qdora'])",
                f"{PATH}.quantization.type: none contradicts methods qlora and qdora; "
                "set method: lora or dora, or another type",
            ),
            rule(
                "!has(self.lora) || self.lora.variant != 'pissa' || !(self.method in ['qlora', 'qdora'])",
                f"{PATH}.lora.variant: pissa cannot start from quantized weights; set variant: olora or method: lora",
            ),
            rule(
                "!has(self.lora) || self.lora.variant != 'loftq' || self.method in ['qlora', 'qdora']",
                f"{PATH}.lora.variant: loftq makes up for quantization; set method: qlora or another variant",
            ),
        )
    )

    method: Method = Field(
        default=Method.AUTO,
        description="method of adapting: `full` trains every weight, `lora` and `dora` an adapter, `qlora` and `qdora` "
        "an adapter on quantized weights, `peft` another adapter of PEFT. Default: `auto`, the plan chooses and says "
        "why.",
    )
    goals: tuple[Goal, ...] = choices(
        "goals that method auto works towards, the most important first. Unset: what fits, simplest first.",
        most=5,
    )
    lora: Lora | None = Field(
        default=None,
        description="lora shapes the adapter of lora, qlora, dora and qdora. Unset: all defaults.",
    )
    peft: Peft | None = Field(default=None, description="peft says which adapter method peft uses. Unset otherwise.")
    quantization: Quantization | None = Field(
        default=None,
        description="quantization of the frozen weights, for qlora and qdora. Unset: nf4 with double quantization.",
    )
