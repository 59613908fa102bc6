"""Where a training pod finds and leaves its files: volumes, mounts and the paths inside the pod."""

from __future__ import annotations

from dataclasses import dataclass

from finetune_operator.api.identity import JobKey
from finetune_operator.api.v1alpha1.sources import DatasetSource
from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.api.v1alpha1.storage import ClaimTemplate
from finetune_operator.manifests import names
from finetune_operator.manifests.labels import Manifest, metadata

MODEL_MOUNT = "/mnt/model"
DATASET_MOUNT = "/mnt/dataset"
VALIDATION_MOUNT = "/mnt/validation"
WORK_MOUNT = "/mnt/work"
DESTINATION_MOUNT = "/mnt/destination"
RUN_MOUNT = "/etc/finetune"
RUN_FILE = "run.json"
SCRATCH_MOUNT = "/tmp"  # noqa: S108 - an emptyDir of the pod's own


CLAIM = "PersistentVolumeClaim"
CONFIG_MAP = "ConfigMap"


@dataclass(frozen=True, slots=True)
class Required:
    """An object, or a key of a ConfigMap, that has to be there before a pod can start; `field` names it in the spec."""

    kind: str
    name: str
    field: str
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Mount:
    """One volume of the pod and where it is mounted; `path` is what to read there."""

    name: str
    source: Manifest
    mount_path: str
    path: str
    read_only: bool

    @property
    def volume(self) -> Manifest:
        """The entry of `spec.volumes`."""
        return {"name": self.name, **self.source}

    @property
    def volume_mount(self) -> Manifest:
        """The entry of `volumeMounts`."""
        return {"name": self.name, "mountPath": self.mount_path, **({"readOnly": True} if self.read_only else {})}


def mounts(key: JobKey, spec: FineTuneJobSpec, attempt: int) -> tuple[Mount, ...]:
    """Return every mount of a training pod."""
    validation = spec.dataset.validation
    return (
        Mount("run", {"configMap": {"name": names.attempt(key, attempt)}}, RUN_MOUNT, f"{RUN_MOUNT}/{RUN_FILE}", True),
        Mount("scratch", {"emptyDir": {}}, SCRATCH_MOUNT, SCRATCH_MOUNT, False),
        work(key, spec),
        *((mount,) if (mount := model(spec)) else ()),
        dataset("dataset", DATASET_MOUNT, spec.dataset.source),
        *((dataset("validation", VALIDATION_MOUNT, validation.source),) if validation and validation.source else ()),
        *destinations(spec),
    )


def model(spec: FineTuneJobSpec) -> Mount | None:
    """Return the model's mount, or None where the hub has it."""
    claim = spec.model.source.claim if spec.model.source else None
    if claim is None:
        return None
    return _claim("model", MODEL_MOUNT, claim.name, claim.path, read_only=True)


def dataset(name: str, mount_path: str, source: DatasetSource) -> Mount:
    """Return the mount of a set of rows."""
    if source.claim:
        return _claim(name, mount_path, source.claim.name, source.claim.path, read_only=True)
    if source.config_map is None:
        raise ValueError("a dataset source has neither claim nor configMap")  # the CRD's rule admits no such thing
    key = source.config_map.key
    volume = {"configMap": {"name": source.config_map.name, "items": [{"key": key, "path": key}]}}
    return Mount(name, volume, mount_path, f"{mount_path}/{key}", True)


def work(key: JobKey, spec: FineTuneJobSpec) -> Mount:
    """Return the mount of checkpoints and artifacts. On a claim of the user's each job has a folder of its own."""
    storage = spec.checkpoints.storage
    if storage and storage.ephemeral:
        return Mount("work", {"emptyDir": {}}, WORK_MOUNT, WORK_MOUNT, False)
    if storage and storage.claim:
        below = "/".join(part for part in (storage.claim.path, names.stem(key)) if part)
        return _claim("work", WORK_MOUNT, storage.claim.name, below, read_only=False)
    return _claim("work", WORK_MOUNT, names.work_claim(key), None, read_only=False)


def destinations(spec: FineTuneJobSpec) -> tuple[Mount, ...]:
    """Return the mounts of the places that get copies."""
    return tuple(
        _claim(f"destination-{n}", f"{DESTINATION_MOUNT}/{n}", to.claim.name, to.claim.path, read_only=False)
        for n, to in enumerate(spec.output.destinations)
        if to.claim
    )


def claim_template(spec: FineTuneJobSpec) -> ClaimTemplate | None:
    """Return the template of the claim to make, or None where the storage is the user's or the pod's."""
    storage = spec.checkpoints.storage
    return ClaimTemplate() if storage is None else storage.template


def work_claim(key: JobKey, template: ClaimTemplate) -> Manifest:
    """Return the claim for checkpoints and artifacts."""
    class_name = {"storageClassName": template.storage_class_name} if template.storage_class_name else {}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata(key, names.work_claim(key)),
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": template.size}},
            **class_name,
        },
    }


def required(spec: FineTuneJobSpec) -> tuple[Required, ...]:
    """Return every object that the spec names and somebody else makes."""
    found = []
    if spec.model.source and spec.model.source.claim:
        found.append(Required(CLAIM, spec.model.source.claim.name, "spec.model.source.claim.name"))
    sources = [("spec.dataset.source", spec.dataset.source)]
    if spec.dataset.validation and spec.dataset.validation.source:
        sources.append(("spec.dataset.validation.source", spec.dataset.validation.source))
    for field, source in sources:
        if source.claim:
            found.append(Required(CLAIM, source.claim.name, f"{field}.claim.name"))
        elif source.config_map:
            found.append(Required(CONFIG_MAP, source.config_map.name, f"{field}.configMap", source.config_map.key))
    storage = spec.checkpoints.storage
    if storage and storage.claim:
        found.append(Required(CLAIM, storage.claim.name, "spec.checkpoints.storage.claim.name"))
    for n, to in enumerate(spec.output.destinations):
        if to.claim:
            found.append(Required(CLAIM, to.claim.name, f"spec.output.destinations[{n}].claim.name"))
    return tuple(found)


def _claim(name: str, mount_path: str, claim: str, path: str | None, *, read_only: bool) -> Mount:
    return Mount(
        name,
        {"persistentVolumeClaim": {"claimName": claim, **({"readOnly": True} if read_only else {})}},
        mount_path,
        f"{mount_path}/{path}" if path else mount_path,
        read_only,
    )
