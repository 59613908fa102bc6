"""What a job may run on: an accelerator, how many of them, how much memory each and its node have, and the price.

Not here: what an administrator offers (`planning.profiles`), what exists (`planning.catalog`).
"""

from __future__ import annotations

from dataclasses import dataclass

from finetune_operator.api.v1alpha1.hardware import CPU, Hardware
from finetune_operator.api.v1alpha1.reasons import Reason
from finetune_operator.planning import catalog
from finetune_operator.planning.catalog import Accelerator, Instance, Vendor
from finetune_operator.planning.profiles import GIB, HardwareProfile, Profiles
from finetune_operator.planning.refusal import Refusal

AUTO = "auto"
"""The accelerator that lets the plan choose among all that are offered."""

DEVICE_SHARE = 0.92
"""Part of a device's memory that a plan may fill: the rest is for what a prediction cannot know."""

USUAL_COUNTS = (1, 2, 4, 8)
"""Devices of a node, where nothing says how many there are."""

HOST_BYTES_PER_DEVICE = 60 * GIB
"""Memory of a node for each of its devices where nothing says how much there is; clouds sell 28 to 256 GiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A kind of node, and how many devices and nodes of it a job may take."""

    name: str
    accelerator: Accelerator
    device_bytes: int
    """What one process may use of its device's memory; on a CPU, of the pod's."""
    host_bytes: int
    """Memory of the node that one pod may ask for."""
    cpus: float | None
    device_counts: tuple[int, ...]
    node_counts: tuple[int, ...]
    instance: Instance | None = None
    profile: str | None = None
    price_per_hour: float | None = None
    """USD for a node, whole. Unset: by the cheapest instance type with so many devices."""
    prices: tuple[tuple[str, float], ...] = ()
    """The administrator's prices by instance type, which come before the catalog's."""

    @property
    def is_cpu(self) -> bool:
        """Whether there is no device beside the processors."""
        return self.accelerator.vendor is Vendor.CPU

    def price(self, devices: int, nodes: int, host_bytes: int) -> float | None:
        """Return USD per hour for nodes with so many devices and so much memory each; None where no price is known."""
        if self.price_per_hour is not None:
            return nodes * self.price_per_hour
        if self.instance is not None:
            return nodes * self._price_of(self.instance)
        fitting = () if self.is_cpu else catalog.holding(self.accelerator.key, devices, host_bytes)
        cheapest = min((self._price_of(one) for one in fitting), default=None)
        return None if cheapest is None else nodes * cheapest

    def _price_of(self, instance: Instance) -> float:
        return dict(self.prices).get(instance.name, instance.price_usd_per_hour)


def machines(hardware: Hardware, profiles: Profiles) -> tuple[Machine, ...] | Refusal:
    """Return what the job may run on, or why its words name nothing."""
    if hardware.profile:
        return _of_profile(hardware, profiles)
    if hardware.instance_type:
        return _of_instance(hardware, profiles)
    wish = hardware.accelerator or CPU
    if wish == AUTO:
        return everything(hardware, profiles)
    found = catalog.find_accelerator(wish)
    if found is None:
        like = ", ".join(catalog.nearest_accelerators(wish)) or "see `catalog accelerators`"
        return Refusal(
            Reason.UNKNOWN_HARDWARE, f"spec.hardware.accelerator: '{wish}' is not in the catalog; known are: {like}"
        )
    return (_of_accelerator(found, hardware, profiles),)


def everything(hardware: Hardware, profiles: Profiles) -> tuple[Machine, ...]:
    """Return all that is on offer: the administrator's profiles, or where there are none the whole catalog."""
    if profiles.hardware:
        offered = tuple(_from_profile(name, one, hardware, profiles) for name, one in profiles.hardware.items())
        return tuple(one for one in offered if one is not None and not one.accelerator.inference_only)
    gpus = (one for one in catalog.accelerators() if one.vendor in {Vendor.NVIDIA, Vendor.AMD})
    return tuple(_of_accelerator(one, hardware, profiles) for one in gpus)


def _of_profile(hardware: Hardware, profiles: Profiles) -> tuple[Machine, ...] | Refusal:
    name = hardware.profile or ""
    profile = profiles.hardware.get(name)
    if profile is None:
        offered = ", ".join(profiles.hardware) or "none; ask the administrator, or name an accelerator"
        return Refusal(
            Reason.UNKNOWN_HARDWARE, f"spec.hardware.profile: '{name}' is not offered here; profiles are: {offered}"
        )
    machine = _from_profile(name, profile, hardware, profiles)
    if machine is None:
        return Refusal(
            Reason.UNKNOWN_HARDWARE,
            f"profiles.hardware.{name}: accelerator '{profile.accelerator}' or instanceType '{profile.instance_type}' "
            "is not in the catalog; the administrator has to correct it",
        )
    return (machine,)


def _from_profile(name: str, profile: HardwareProfile, hardware: Hardware, profiles: Profiles) -> Machine | None:
    accelerator = catalog.find_accelerator(profile.accelerator)
    instance = catalog.find_instance(profile.instance_type) if profile.instance_type else None
    if accelerator is None or (profile.instance_type and instance is None):
        return None
    is_cpu = accelerator.vendor is Vendor.CPU
    memory = profile.memory_bytes or (instance.memory_bytes if instance else None)
    host = memory or (profiles.cpu.memory_bytes if is_cpu else HOST_BYTES_PER_DEVICE * profile.devices_per_node)
    most = 1 if is_cpu else profile.devices_per_node
    return Machine(
        name=name,
        profile=name,
        accelerator=accelerator,
        device_bytes=host if is_cpu else _device_bytes(accelerator, profile.device_memory_bytes),
        host_bytes=host,
        cpus=profile.cpus or (instance.cpus if instance else None),
        device_counts=_counts(hardware.devices_per_node, most),
        node_counts=_counts(hardware.nodes, profile.nodes),
        instance=instance,
        price_per_hour=profile.price_per_hour,
        prices=tuple(profiles.prices.items()),
    )


def _of_instance(hardware: Hardware, profiles: Profiles) -> tuple[Machine, ...] | Refusal:
    name = hardware.instance_type or ""
    instance = catalog.find_instance(name)
    accelerator = catalog.find_accelerator(instance.accelerator) if instance else None
    if instance is None or accelerator is None:
        like = ", ".join(catalog.nearest_instances(name)) or "see `catalog instances`"
        return Refusal(
            Reason.UNKNOWN_HARDWARE, f"spec.hardware.instanceType: '{name}' is not in the catalog; known are: {like}"
        )
    is_cpu = accelerator.vendor is Vendor.CPU
    machine = Machine(
        name=instance.name,
        accelerator=accelerator,
        device_bytes=instance.memory_bytes if is_cpu else _device_bytes(accelerator),
        host_bytes=instance.memory_bytes,
        cpus=instance.cpus,
        device_counts=_counts(hardware.devices_per_node, max(1, instance.devices)),
        node_counts=_counts(hardware.nodes, hardware.nodes or 1),
        instance=instance,
        prices=tuple(profiles.prices.items()),
    )
    return (machine,)


def _of_accelerator(accelerator: Accelerator, hardware: Hardware, profiles: Profiles) -> Machine:
    is_cpu = accelerator.vendor is Vendor.CPU
    wish = hardware.devices_per_node
    most = 1 if is_cpu else max(USUAL_COUNTS[-1], wish or 0)
    return Machine(
        name=accelerator.key,
        accelerator=accelerator,
        device_bytes=profiles.cpu.memory_bytes if is_cpu else _device_bytes(accelerator),
        host_bytes=profiles.cpu.memory_bytes if is_cpu else HOST_BYTES_PER_DEVICE * most,
        cpus=None,
        device_counts=_counts(wish, most),
        node_counts=_counts(hardware.nodes, hardware.nodes or 1),
        prices=tuple(profiles.prices.items()),
    )


def _device_bytes(accelerator: Accelerator, said: int | None = None) -> int:
    return int(DEVICE_SHARE * (said or accelerator.memory_bytes))


def _counts(wish: int | None, most: int) -> tuple[int, ...]:
    """Return the numbers to try, smallest first: the asked one alone, as long as so many are offered."""
    if wish is not None:
        return (wish,) if wish <= most else ()
    return tuple(sorted({*(count for count in USUAL_COUNTS if count <= most), most}))
