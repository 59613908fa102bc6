"""How a model is adapted: the method, its adapter, its quantization.

Not here: what a method needs (`planning.memory`).
"""

from __future__ import annotations

import enum
import typing

from pydantic import ConfigDict, Field

from finetune_operator.api.v1alpha1.model import ApiModel, rule, rules


class Method(enum.StrEnum):
    """Which weights are trained, and how the others are kept."""

    AUTO = "auto"
    FULL = "full"
    LORA = "lora"
    QLORA = "qlora"


class Lora(ApiModel):
    """Low-rank adapters, in PEFT's words."""

    rank: int | None = Field(default=None, description="rank of the adapter (PEFT's r). Unset: 8.", ge=1, le=1024)
    alpha: int | None = Field(
        default=None, description="alpha scales the adapter. Unset: twice the rank.", ge=1, le=4096
    )
    dropout: float = Field(default=0.0, description="dropout on the adapter's input, 0 to 0.9.", ge=0.0, le=0.9)
    target_modules: tuple[typing.Annotated[str, Field(min_length=1, max_length=128)], ...] | None = Field(
        default=None,
        description="targetModules are the layers that get an adapter, by the end of their name; `all-linear` alone "
        "means every linear layer. Unset: the architecture's attention and MLP projections.",
        min_length=1,
        max_length=64,
    )


class QuantizationType(enum.StrEnum):
    """Storage of the frozen weights."""

    NF4 = "nf4"
    FP4 = "fp4"
    INT8 = "int8"


class Quantization(ApiModel):
    """How the frozen weights are stored under qlora."""

    type: QuantizationType = Field(
        default=QuantizationType.NF4, description="type of the stored weights: nf4, fp4 (4 bits) or int8."
    )
    double_quant: bool = Field(
        default=True, description="doubleQuant also quantizes the scales: 0.37 bit less per weight. No effect on int8."
    )


class Technique(ApiModel):
    """How the model is adapted."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!has(self.quantization) || self.method == 'qlora'",
                "spec.technique.quantization: only method qlora stores quantized weights; "
                "set method: qlora or remove quantization",
            ),
            rule(
                "!has(self.lora) || self.method != 'full'",
                "spec.technique.lora: method full trains every weight and has no adapter; "
                "remove lora or set method: lora",
            ),
        )
    )

    method: Method = Field(
        default=Method.AUTO, description="method of adapting: `auto` lets the plan choose and say why."
    )
    lora: Lora | None = Field(
        default=None, description="lora shapes the adapter of lora and qlora. Unset: all defaults."
    )
    quantization: Quantization | None = Field(
        default=None, description="quantization of the frozen weights, for qlora. Unset: nf4 with double quantization."
    )
