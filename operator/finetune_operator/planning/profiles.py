"""What an administrator offers jobs to run on: hardware, images, storage and prices.

Not here: reading the administrator's file (`runtime.config`), what an accelerator can do (`planning.catalog`).
"""

from __future__ import annotations

import enum
import typing
from collections.abc import Iterator

from pydantic import Field, StringConstraints, field_validator, model_validator

from finetune_operator.api.v1alpha1.hardware import CATALOG_KEY, CPU
from finetune_operator.api.v1alpha1.model import ApiModel, maybe, text
from finetune_operator.api.v1alpha1.sources import IMAGE
from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.api.v1alpha1.storage import CheckpointStorage
from finetune_operator.planning import catalog

GIB = 1024**3
ANY = "*"

LabelKey = typing.Annotated[
    str,
    StringConstraints(
        pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$", max_length=317
    ),
]
LabelValue = typing.Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$")]
ProfileName = typing.Annotated[str, StringConstraints(pattern=CATALOG_KEY, max_length=63)]
InstanceType = typing.Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=63)]
Price = typing.Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]
ImagePattern = typing.Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]*([:/@]\*)?$", max_length=512)
]


class CpuProfile(ApiModel):
    """The CPU hardware of a training pod."""

    memory_bytes: int = Field(
        default=16 * GIB, description="memoryBytes that one pod may ask for. Default: 16 GiB.", gt=0
    )
    request: str = Field(default="1", description="request of CPU, a Kubernetes quantity. Default: 1.")
    limit: str | None = Field(default=None, description="limit of CPU. Unset: none, the pod uses what is idle.")
    bf16: bool = Field(default=False, description="bf16 is worth using on these processors. Default: false.")


class MultiNode(enum.StrEnum):
    """What runs an attempt on several nodes."""

    JOBS = "jobs"
    """An Indexed Job and a headless Service."""
    JOBSET = "jobset"
    """A JobSet, which has both."""
    AUTO = "auto"
    """A JobSet where the cluster has them when the operator starts, else as jobs."""


class TrainerProfile(ApiModel):
    """How training pods are made."""

    image: str = Field(default="finetune-trainer:dev", description="image of the trainer.", min_length=1)
    image_pull_policy: str = Field(default="IfNotPresent", description="imagePullPolicy of training pods.")
    image_pull_secrets: tuple[str, ...] = Field(
        default=(), description="imagePullSecrets of training pods, in the namespaces of the jobs. Default: none."
    )
    termination_grace_period_seconds: int = Field(
        default=30, description="terminationGracePeriodSeconds a trainer has to save its state. Default: 30.", ge=1
    )
    start_deadline_seconds: int = Field(
        default=3600,
        description="startDeadlineSeconds after which a job ends whose pods have not all started (no image, no node, "
        "no volume), so that none holds devices for ever. 0: never. Default: 3600.",
        ge=0,
        le=31_536_000,
    )
    multi_node: MultiNode = Field(
        default=MultiNode.JOBS,
        description="multiNode training as which objects: `jobs` are an Indexed Job and a Service, `jobset` is a "
        "JobSet (https://jobset.sigs.k8s.io), `auto` a JobSet where its CRD is there when the operator starts. "
        "Default: jobs.",
    )


class Toleration(ApiModel):
    """A taint that training pods put up with, in Kubernetes' words."""

    key: str | None = maybe("key of the taint. Unset: every taint, with operator Exists.", limit=317)
    operator: typing.Literal["Exists", "Equal"] = Field(
        default="Equal", description="operator: Exists takes any value. Default: Equal."
    )
    value: str | None = Field(default=None, description="value of the taint. Unset: empty.", max_length=63)
    effect: typing.Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        default=None, description="effect of the taint. Unset: every effect."
    )
    toleration_seconds: int | None = Field(
        default=None, description="tolerationSeconds that a pod stays under NoExecute. Unset: for ever.", ge=0
    )

    @model_validator(mode="after")
    def _as_kubernetes_takes_it(self) -> typing.Self:
        if self.operator == "Exists" and self.value:
            raise ValueError("operator Exists takes no value; remove value or set operator: Equal")
        if self.operator == "Equal" and not self.key:
            raise ValueError("without a key the operator has to be Exists; set key or operator: Exists")
        if self.toleration_seconds is not None and self.effect != "NoExecute":
            raise ValueError("tolerationSeconds goes with effect NoExecute only; set it or remove tolerationSeconds")
        return self


class HardwareProfile(ApiModel):
    """Hardware that jobs may ask for by name in `spec.hardware.profile`."""

    accelerator: str = text("accelerator by its key in the catalog, or `cpu`.", limit=63, pattern=CATALOG_KEY)
    instance_type: InstanceType | None = Field(
        default=None,
        description="instanceType by its key in the catalog, from which CPU, memory and price are known. Unset: they "
        "are what this profile says.",
    )
    devices_per_node: int = Field(
        default=1, description="devicesPerNode that a job gets at most. Default: 1.", ge=1, le=64
    )
    nodes: int = Field(default=1, description="nodes that a job gets at most. Default: 1.", ge=1, le=256)
    device_memory_bytes: int | None = Field(
        default=None,
        description="deviceMemoryBytes of each device, where it is a part of one (MIG) or not the catalog's. Unset: "
        "the accelerator's.",
        gt=0,
    )
    memory_bytes: int | None = Field(
        default=None,
        description="memoryBytes of the node that one pod may ask for. Unset: by the instance type, else as for cpu.",
        gt=0,
    )
    cpus: float | None = Field(
        default=None,
        description="cpus that one pod may ask for. Unset: by the instance type, else as for cpu.",
        gt=0,
        le=4096,
        allow_inf_nan=False,
    )
    node_selector: dict[LabelKey, LabelValue] = Field(
        default={}, description="nodeSelector: labels of the nodes. Default: none."
    )
    tolerations: tuple[Toleration, ...] = Field(default=(), description="tolerations of the pods. Default: none.")
    runtime_class_name: str | None = maybe(
        "runtimeClassName of the pods. Unset: the cluster's default.", pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
    )
    resource: str | None = maybe(
        "resource by which pods ask for devices, such as `nvidia.com/mig-3g.40gb`. Unset: the catalog's.",
        pattern=r"^[a-z0-9][a-z0-9.-]*/[A-Za-z0-9][A-Za-z0-9._-]*$",
    )
    image: str | None = maybe(
        "image of the trainer on this hardware. Unset: profiles.trainer.image.", limit=512, pattern=IMAGE
    )
    price_per_hour: Price | None = Field(
        default=None,
        description="pricePerHour of a node in USD. Unset: by the instance type, else no cost is named.",
    )

    @model_validator(mode="after")
    def _processors_are_no_devices(self) -> typing.Self:
        if self.accelerator == CPU and self.resource:
            raise ValueError("accelerator cpu has no devices to ask for; remove resource or name an accelerator")
        return self


class Profiles(ApiModel):
    """What jobs may run on and with, and what it costs."""

    cpu: CpuProfile = Field(default=CpuProfile(), description="cpu hardware, which every cluster has.")
    trainer: TrainerProfile = Field(default=TrainerProfile(), description="trainer pods: their image and how they end.")
    hardware: dict[ProfileName, HardwareProfile] = Field(
        default={}, description="hardware that jobs may name in spec.hardware.profile, by name. Default: none."
    )
    allowed_images: tuple[ImagePattern, ...] = Field(
        default=(),
        description="allowedImages that jobs may name in spec.image, beside the images of trainer and hardware. "
        "`repository:*` allows each of its tags, `repository@*` each of its digests, `prefix/*` all below. "
        "Default: none.",
    )
    default_storage: CheckpointStorage | None = Field(
        default=None,
        description="defaultStorage of checkpoints for jobs that name none. Unset: a claim of 2Gi made for the job.",
    )
    prices: dict[InstanceType, Price] = Field(
        default={}, description="prices of nodes in USD per hour, by instance type. Default: the catalog's."
    )

    @field_validator("default_storage")
    @classmethod
    def _one_storage(cls, storage: CheckpointStorage | None) -> CheckpointStorage | None:
        if storage is not None and len(storage.model_dump(exclude_none=True)) != 1:
            raise ValueError("set exactly one of claim, template, ephemeral")
        return storage

    def completed(self, spec: FineTuneJobSpec) -> FineTuneJobSpec:
        """Return the job with what the administrator decides where it says nothing."""
        if self.default_storage is None or spec.checkpoints.storage is not None:
            return spec
        checkpoints = spec.checkpoints.model_copy(update={"storage": self.default_storage})
        return spec.model_copy(update={"checkpoints": checkpoints})

    def allows(self, image: str) -> bool:
        """Say whether a job may run this trainer image; it is compared as it is written."""
        own = {self.trainer.image, *(one.image for one in self.hardware.values() if one.image)}
        return image in own or any(_matches(pattern, image) for pattern in self.allowed_images)


def misnamed(profiles: Profiles) -> Iterator[str]:
    """Return what the file names and the catalog does not have, each with the path of its key below `profiles`."""
    for name, offered in profiles.hardware.items():
        if catalog.find_accelerator(offered.accelerator) is None:
            like = catalog.nearest_accelerators(offered.accelerator)
            yield _unknown(f"hardware.{name}.accelerator", offered.accelerator, like)
        if offered.instance_type and catalog.find_instance(offered.instance_type) is None:
            like = catalog.nearest_instances(offered.instance_type)
            yield _unknown(f"hardware.{name}.instanceType", offered.instance_type, like)
    for instance in profiles.prices:
        if catalog.find_instance(instance) is None:
            yield _unknown(f"prices.{instance}", instance, catalog.nearest_instances(instance))


def _unknown(path: str, word: str, like: tuple[str, ...]) -> str:
    hint = f"; did you mean {' or '.join(like)}?" if like else ""
    return f"{path}: '{word}' is not in the catalog{hint}"


def _matches(pattern: str, image: str) -> bool:
    if not pattern.endswith(ANY):
        return image == pattern
    prefix = pattern.removesuffix(ANY)
    rest = image.removeprefix(prefix)
    if rest in (image, ""):
        return False
    return prefix.endswith("/") or "/" not in rest  # `trainer:*` must not allow the registry `trainer:5000/`
