"""Where a training pod finds and leaves its files: volumes, mounts and the paths inside the pod."""

from __future__ import annotations

from dataclasses import dataclass

from finetune_operator.api import keys
from finetune_operator.api.identity import JobKey
from finetune_operator.api.v1alpha1.sources import ClaimPath, DatasetSource
from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.api.v1alpha1.storage import ClaimTemplate
from finetune_operator.manifests import names
from finetune_operator.manifests.labels import Manifest, metadata

MODEL_MOUNT = "/mnt/model"
ADAPTER_MOUNT = "/mnt/adapter"
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
    written: bool = False
    """Whether the pods write to it."""


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


def mounts(key: JobKey, spec: FineTuneJobSpec, *, adapter: ClaimPath | None = None) -> tuple[Mount, ...]:
    """Return every mount of a training pod; `adapter` is that of another job to go on from."""
    own = spec.dataset.validation.source if spec.dataset.validation else None
    return (
        _run(),
        Mount("scratch", {"emptyDir": {}}, SCRATCH_MOUNT, SCRATCH_MOUNT, False),
        work(key, spec),
        *((mount,) if (mount := model(spec)) else ()),
        *((inherited(adapter),) if adapter else ()),
        *((mount,) if (mount := dataset("dataset", DATASET_MOUNT, spec.dataset.source)) else ()),
        *((mount,) if own and (mount := dataset("validation", VALIDATION_MOUNT, own)) else ()),
        *destinations(spec),
    )


def inspection_mounts(spec: FineTuneJobSpec) -> tuple[Mount, ...]:
    """Return every mount of the pod that reads a model's config.json."""
    scratch = Mount("scratch", {"emptyDir": {}}, SCRATCH_MOUNT, SCRATCH_MOUNT, False)
    return (_run(), scratch, *((mount,) if (mount := model(spec)) else ()))


def _run() -> Mount:
    """Return the mount of the run: an annotation of the pod, as a file."""
    where = {"path": RUN_FILE, "fieldRef": {"fieldPath": f"metadata.annotations['{keys.ANNOTATION_RUN}']"}}
    return Mount("run", {"downwardAPI": {"items": [where]}}, RUN_MOUNT, f"{RUN_MOUNT}/{RUN_FILE}", True)


def model(spec: FineTuneJobSpec) -> Mount | None:
    """Return the model's mount, or None where the trainer fetches it."""
    claim = spec.model.source.claim if spec.model.source else None
    if claim is None:
        return None
    return _claim("model", MODEL_MOUNT, claim.name, claim.path, read_only=True)


def inherited(adapter: ClaimPath) -> Mount:
    """Return the mount of the adapter that another job left."""
    return _claim("adapter", ADAPTER_MOUNT, adapter.name, adapter.path, read_only=True)


def dataset(name: str, mount_path: str, source: DatasetSource) -> Mount | None:
    """Return the mount of a set of rows, or None where the trainer fetches them."""
    if source.claim:
        return _claim(name, mount_path, source.claim.name, source.claim.path, read_only=True)
    if source.config_map is None:
        return None
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


def work_claim(key: JobKey, template: ClaimTemplate, *, nodes: int = 1) -> Manifest:
    """Return the claim for checkpoints and artifacts: the job's own, unless it is to outlive it."""
    about = metadata(key, names.work_claim(key))
    if template.keep:
        del about["ownerReferences"]
    class_name = {"storageClassName": template.storage_class_name} if template.storage_class_name else {}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": about,
        "spec": {
            "accessModes": ["ReadWriteOnce" if nodes == 1 else "ReadWriteMany"],
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
        found.append(Required(CLAIM, storage.claim.name, "spec.checkpoints.storage.claim.name", written=True))
    for n, to in enumerate(spec.output.destinations):
        if to.claim:
            field = f"spec.output.destinations[{n}].claim.name"
            found.append(Required(CLAIM, to.claim.name, field, written=True))
    return tuple(found)


def _claim(name: str, mount_path: str, claim: str, path: str | None, *, read_only: bool) -> Mount:
    return Mount(
        name,
        {"persistentVolumeClaim": {"claimName": claim, **({"readOnly": True} if read_only else {})}},
        mount_path,
        f"{mount_path}/{path}" if path else mount_path,
        read_only,
    )
