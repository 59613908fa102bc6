"""What a job runs on, and how the model is spread over it.

Not here: what an accelerator can do (`planning.catalog`), what the administrator offers (`planning.profiles`).
"""

from __future__ import annotations

import enum
import typing

from pydantic import ConfigDict, Field

from finetune_operator.api.v1alpha1.model import PATH, ApiModel, at_most_one, maybe, rule, rules

CPU: typing.Final = "cpu"
CATALOG_KEY: typing.Final = r"^[a-z0-9][a-z0-9.-]*$"


class Hardware(ApiModel):
    """What the job runs on."""

    model_config = ConfigDict(json_schema_extra=rules(at_most_one("profile", "accelerator", "instanceType")))

    profile: str | None = maybe(
        "profile of hardware that the administrator offers, by its name. Unset: see accelerator.",
        limit=63,
        pattern=CATALOG_KEY,
    )
    accelerator: str | None = maybe(
        "accelerator by its key in the catalog, such as `nvidia-l4`, or `cpu`. Unset, with profile and instanceType "
        "unset: `cpu`.",
        limit=63,
        pattern=CATALOG_KEY,
    )
    instance_type: str | None = maybe(
        "instanceType of a cloud, by its key in the catalog, such as `Standard_NC24ads_A100_v4`. Unset: any node that "
        "has the accelerator.",
        limit=63,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
    )
    devices_per_node: int | None = Field(
        default=None,
        description="devicesPerNode is the number of accelerators in each pod. Unset: planned, the fewest that fit.",
        ge=1,
        le=64,
    )
    nodes: int | None = Field(
        default=None,
        description="nodes that train together, one pod on each. Unset: planned, 1 unless one cannot hold the job.",
        ge=1,
        le=256,
    )

    @property
    def asked_accelerator(self) -> str | None:
        """The accelerator that the job names, `cpu` where it names nothing; None where profile or instance decide."""
        if self.profile or self.instance_type:
            return None
        return self.accelerator or CPU


class Strategy(enum.StrEnum):
    """How several devices share the work."""

    AUTO = "auto"
    NONE = "none"
    DDP = "ddp"
    DEEPSPEED = "deepspeed"
    FSDP = "fsdp"


class OffloadTarget(enum.StrEnum):
    """Where a part of the training state lies while it is not computed with."""

    NONE = "none"
    CPU = "cpu"


class Offload(ApiModel):
    """What leaves the devices' memory for that of the node."""

    optimizer: OffloadTarget = Field(
        default=OffloadTarget.NONE,
        description="optimizer states lie in the memory of the node: `cpu`. Default: `none`.",
    )
    parameters: OffloadTarget = Field(
        default=OffloadTarget.NONE,
        description="parameters lie in the memory of the node: `cpu`; with deepspeed that takes ZeRO stage 3. "
        "Default: `none`.",
    )


class Distribution(ApiModel):
    """How the work is spread over devices and nodes."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!has(self.zeroStage) || self.strategy == 'deepspeed'",
                f"{PATH}.zeroStage: ZeRO is DeepSpeed's; set strategy: deepspeed or remove zeroStage",
            ),
            rule(
                "!has(self.offload) || self.strategy in ['deepspeed', 'fsdp']",
                f"{PATH}.offload: only deepspeed and fsdp offload; set strategy: deepspeed or remove offload",
            ),
            rule(
                "self.strategy != 'deepspeed' || !has(self.zeroStage) || !has(self.offload) || "
                "self.offload.parameters == 'none' || self.zeroStage == 3",
                f"{PATH}.offload.parameters: DeepSpeed offloads parameters at ZeRO stage 3; "
                "set zeroStage: 3 or offload only the optimizer",
            ),
            rule(
                "self.strategy != 'deepspeed' || !has(self.zeroStage) || !has(self.offload) || "
                "self.offload.optimizer == 'none' || self.zeroStage > 0",
                f"{PATH}.offload.optimizer: DeepSpeed offloads what ZeRO has sharded; set zeroStage: 1 or higher",
            ),
            rule(
                "self.strategy != 'fsdp' || !has(self.offload) || self.offload.optimizer == self.offload.parameters",
                f"{PATH}.offload: fsdp offloads parameters and optimizer together; set both to cpu or both to none",
            ),
        )
    )

    strategy: Strategy = Field(
        default=Strategy.AUTO,
        description="strategy: `none` uses one device, `ddp` copies the model to each, `deepspeed` and `fsdp` shard "
        "it. Default: `auto`, the simplest that fits.",
    )
    zero_stage: int | None = Field(
        default=None,
        description="zeroStage of DeepSpeed: 0 shards nothing, 1 optimizer states, 2 also gradients, 3 also "
        "parameters. Unset: the lowest that fits.",
        ge=0,
        le=3,
    )
    offload: Offload | None = Field(
        default=None, description="offload to the memory of the node. Unset: only when nothing else fits."
    )
