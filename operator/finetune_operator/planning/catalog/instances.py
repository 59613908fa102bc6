"""The machines that clouds rent out, with what they hold and what an hour of them costs.

Not here: what their accelerators can do (`planning.catalog.accelerators`), the administrator's own prices
(`planning.profiles`).
"""

from __future__ import annotations

import datetime as dt
import enum
import functools

from finetune_operator.api.v1alpha1.model import ApiModel
from finetune_operator.planning.catalog import lookup
from finetune_operator.planning.catalog.accelerators import GIB


class Provider(enum.StrEnum):
    """Clouds that rent machines out."""

    AWS = "aws"
    AZURE = "azure"
    GCP = "gcp"


class Instance(ApiModel):
    """One instance type. The price is that of an hour on demand with Linux, in a region, as listed on a day."""

    name: str
    provider: Provider
    accelerator: str
    devices: int
    cpus: int
    memory_gib: float
    price_usd_per_hour: float
    price_date: dt.date
    region: str
    source: str
    note: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The one name it is found under."""
        return (self.name,)

    @property
    def memory_bytes(self) -> int:
        """Memory of the machine, beside that of its devices."""
        return int(self.memory_gib * GIB)


@functools.cache
def instances() -> tuple[Instance, ...]:
    """Return every instance type of the catalog."""
    return tuple(Instance.model_validate(entry) for entry in lookup.read("instances.yaml")["instances"])


def find_instance(name: str) -> Instance | None:
    """Return the instance type of that name, letter case aside."""
    return lookup.by_name(instances(), name)


def nearest_instances(name: str) -> tuple[str, ...]:
    """Return up to three names of instance types like the given one, most alike first."""
    return lookup.alike(instances(), name)


def holding(accelerator: str, devices: int, memory_bytes: int = 0) -> tuple[Instance, ...]:
    """Return the instance types with at least so many of that accelerator, and so much memory beside them."""
    return tuple(
        one
        for one in instances()
        if one.accelerator == accelerator and one.devices >= devices and one.memory_bytes >= memory_bytes
    )


def cheapest(accelerator: str, devices: int) -> Instance | None:
    """Return the cheapest instance type that has at least so many of that accelerator; None where nobody sells one."""
    return min(holding(accelerator, devices), key=lambda one: one.price_usd_per_hour, default=None)
