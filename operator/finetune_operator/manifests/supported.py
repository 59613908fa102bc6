"""What a plan may ask for that pods and trainer of this release cannot do yet; `unsupported` is the entry.

A job is planned whether or not it can run here, so that its memory, time and cost are known. What is listed here is
refused before anything is created.

Not here: what can never work (`planning.checks`), what an administrator forbids beside images (`planning.machines`).
"""

from __future__ import annotations

from collections.abc import Iterator

from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.planning.catalog import Vendor
from finetune_operator.planning.plan import Plan
from finetune_operator.planning.profiles import Profiles

PLANNED_ONLY = "this release plans it but does not run it yet"


def unsupported(spec: FineTuneJobSpec, plan: Plan, profiles: Profiles) -> str | None:
    """Return the first thing that cannot run, and the way out; None where everything can."""
    for found in (_image(spec, profiles), _hardware(spec, plan, profiles), _delivery(spec)):
        for message in found:
            return message
    return None


def _image(spec: FineTuneJobSpec, profiles: Profiles) -> Iterator[str]:
    if spec.image is not None and not profiles.allows(spec.image):
        allowed = ", ".join(profiles.allowed_images) or "none beside the administrator's own"
        yield f"spec.image: '{spec.image}' is not among the allowed images ({allowed}); remove it, or have it allowed"


def _hardware(spec: FineTuneJobSpec, plan: Plan, profiles: Profiles) -> Iterator[str]:
    profile = profiles.hardware.get(plan.machine.profile or "")
    if plan.machine.accelerator.vendor is Vendor.AMD and not (spec.image or (profile and profile.image)):
        yield (
            f"spec.hardware: {plan.accelerator}: the trainer's own image has no ROCm; set spec.image, or let the "
            "administrator set profiles.hardware.*.image, to one that has"
        )


def _delivery(spec: FineTuneJobSpec) -> Iterator[str]:
    for number, to in enumerate(spec.output.destinations):
        if not to.claim:
            yield f"spec.output.destinations[{number}]: only claim: of the others {PLANNED_ONLY}"
