"""The devices that jobs can run on, as their data sheets and their drivers describe them.

Not here: which clouds sell them (`planning.catalog.instances`), what an administrator offers (`planning.profiles`).
"""

from __future__ import annotations

import enum
import functools
from typing import Literal

from finetune_operator.api.v1alpha1.model import ApiModel
from finetune_operator.planning.catalog import lookup

GIB = 2**30
GB = 10**9


class Vendor(enum.StrEnum):
    """Who makes a device, which decides the image and the resource that pods ask for."""

    NVIDIA = "nvidia"
    AMD = "amd"
    CPU = "cpu"
    FPGA = "fpga"


class Confidence(enum.StrEnum):
    """Whether the utilization comes from published runs or is an assumption."""

    HIGH = "high"
    LOW = "low"


class Tflops(ApiModel):
    """Dense peaks in 10^12 operations a second; what is missing is not in the hardware."""

    fp32: float = 0.0
    tf32: float | None = None
    fp16: float | None = None
    bf16: float | None = None


class Accelerator(ApiModel):
    """One device of a node."""

    key: str
    aliases: tuple[str, ...] = ()
    vendor: Vendor
    name: str
    source: str
    nominal_gb: int = 0
    memory_gib: float = 0.0
    tflops: Tflops = Tflops()
    bandwidth_gb_per_second: float = 0.0
    interconnect_gb_per_second: float = 0.0
    flash_attention: bool = False
    resource: str | None = None
    inference_only: bool = False
    utilization: float
    confidence: Confidence

    @property
    def names(self) -> tuple[str, ...]:
        """Every name it is found under, its own first."""
        return (self.key, *self.aliases)

    @property
    def memory_bytes(self) -> int:
        """What a process can use of the device's own memory; 0 where there is none."""
        return int(self.memory_gib * GIB)

    @property
    def bandwidth_bytes_per_second(self) -> float:
        """How fast the device reads its memory."""
        return self.bandwidth_gb_per_second * GB

    @property
    def interconnect_bytes_per_second(self) -> float:
        """How fast it sends to another device of its node, in one direction."""
        return self.interconnect_gb_per_second * GB

    @property
    def bf16(self) -> bool:
        """Whether it computes in bfloat16 at full speed."""
        return self.tflops.bf16 is not None

    def tflops_of(self, precision: Literal["fp32", "half"]) -> float:
        """Return the dense peak in that precision; half is bfloat16, or float16 on devices without it."""
        if precision == "fp32":
            return self.tflops.fp32
        return self.tflops.bf16 or self.tflops.fp16 or self.tflops.fp32


@functools.cache
def accelerators() -> tuple[Accelerator, ...]:
    """Return every accelerator of the catalog."""
    return tuple(Accelerator.model_validate(entry) for entry in lookup.read("accelerators.yaml"))


def find_accelerator(name: str) -> Accelerator | None:
    """Return the accelerator of that key or alias, letter case aside."""
    return lookup.by_name(accelerators(), name)


def nearest_accelerators(name: str) -> tuple[str, ...]:
    """Return up to three names of accelerators like the given one, most alike first."""
    return lookup.alike(accelerators(), name)
