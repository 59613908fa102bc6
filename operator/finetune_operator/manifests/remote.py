"""Where a training pod fetches files from, and the Secrets that reach it for that: by name, unread here.

Not here: files that are mounted (`volumes.py`), fetching them (the trainer's `sources`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from finetune_trainer import contract

from finetune_operator.api.v1alpha1.sources import DatasetSource, Https, HubDataset, OciSource, S3Source, SecretKey
from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.manifests.labels import Manifest
from finetune_operator.manifests.volumes import Mount

SECRET_MOUNT = "/etc/finetune-secrets"  # noqa: S105 - a folder
DOCKER_CONFIG_KEY, DOCKER_CONFIG_FILE = ".dockerconfigjson", "config.json"
TOKEN = "HF_TOKEN"  # noqa: S105 - the name of a variable
REQUIRED_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
OPTIONAL_KEYS = ("AWS_SESSION_TOKEN", "AWS_REGION")


@dataclass(frozen=True, slots=True)
class Need:
    """One set of files to fetch: the role that they play, its field in the spec, and exactly one place."""

    role: str
    field: str
    https: Https | None = None
    hub: contract.HubSource | None = None
    token: SecretKey | None = None
    s3: S3Source | None = None
    oci: OciSource | None = None

    @property
    def prefix(self) -> str:
        """Begin the names of this role's environment variables: two roles may have two Secrets."""
        return f"{self.role.upper()}_"


def model(spec: FineTuneJobSpec) -> contract.RemoteSource | None:
    """Return where the model is fetched from, or None where it is mounted."""
    need = _model(spec)
    return _source(need) if need else None


def dataset(spec: FineTuneJobSpec) -> contract.RemoteSource | None:
    """Return where the rows are fetched from, or None where they are mounted."""
    need = _rows("dataset", "spec.dataset.source", spec.dataset.source)
    return _source(need) if need else None


def validation(spec: FineTuneJobSpec) -> contract.RemoteSource | None:
    """Return where the held-out rows are fetched from, or None where they are mounted or are none of their own."""
    need = _validation(spec)
    return _source(need) if need else None


def environment(spec: FineTuneJobSpec) -> list[Manifest]:
    """Return the environment variables that hold credentials; the kubelet reads the Secrets."""
    return [variable for need in _needs(spec) for variable in _variables(need)]


def mounts(spec: FineTuneJobSpec) -> tuple[Mount, ...]:
    """Return the mounts of Docker configurations."""
    return tuple(_docker_config(need) for need in _needs(spec) if need.oci and need.oci.pull_secret_ref)


def secrets(spec: FineTuneJobSpec) -> Iterator[tuple[str, str]]:
    """Return the Secrets that the pod gets for this, each with the field of the spec that names it."""
    for need in _needs(spec):
        if need.token:
            yield (
                need.token.name,
                f"{need.field}.tokenSecretRef" if need.role != "model" else "spec.model.tokenSecretRef",
            )
        if need.s3 and need.s3.secret_ref:
            yield need.s3.secret_ref.name, f"{need.field}.secretRef"
        if need.oci and need.oci.pull_secret_ref:
            yield need.oci.pull_secret_ref.name, f"{need.field}.pullSecretRef"


def _needs(spec: FineTuneJobSpec) -> tuple[Need, ...]:
    found = (_model(spec), _rows("dataset", "spec.dataset.source", spec.dataset.source), _validation(spec))
    return tuple(need for need in found if need)


def _model(spec: FineTuneJobSpec) -> Need | None:
    source, about = spec.model.source, spec.model
    if source and source.claim:
        return None
    if source and source.s3:
        return Need("model", "spec.model.source.s3", s3=source.s3)
    if source and source.oci:
        return Need("model", "spec.model.source.oci", oci=source.oci)
    hub = contract.HubSource(repository=about.name, revision=about.revision)
    return Need("model", "spec.model.source.hub" if source else "spec.model", hub=hub, token=about.token_secret_ref)


def _validation(spec: FineTuneJobSpec) -> Need | None:
    own = spec.dataset.validation.source if spec.dataset.validation else None
    return _rows("validation", "spec.dataset.validation.source", own) if own else None


def _rows(role: str, field: str, source: DatasetSource) -> Need | None:
    if source.https:
        return Need(role, f"{field}.https", https=source.https)
    if source.s3:
        return Need(role, f"{field}.s3", s3=source.s3)
    if source.oci:
        return Need(role, f"{field}.oci", oci=source.oci)
    if source.hub:
        return Need(role, f"{field}.hub", hub=_hub(source.hub), token=source.hub.token_secret_ref)
    return None


def _hub(rows: HubDataset) -> contract.HubSource:
    return contract.HubSource(repository=rows.name, revision=rows.revision, subset=rows.subset, split=rows.split)


def _source(need: Need) -> contract.RemoteSource:
    https, hub, s3, oci = need.https, need.hub, need.s3, need.oci
    return contract.RemoteSource(
        field=need.field,
        https=contract.HttpsSource(url=https.url, sha256=https.sha256) if https else None,
        hub=contract.HubSource(
            repository=hub.repository,
            revision=hub.revision,
            subset=hub.subset,
            split=hub.split,
            token_variable=need.prefix + TOKEN if need.token else None,
        )
        if hub
        else None,
        s3=contract.S3Source(
            uri=s3.uri, endpoint=s3.endpoint, credentials_prefix=need.prefix if s3.secret_ref else None
        )
        if s3
        else None,
        oci=contract.OciSource(
            image=oci.image,
            path=oci.path,
            docker_config=_docker_config(need).path if oci.pull_secret_ref else None,
        )
        if oci
        else None,
    )


def _variables(need: Need) -> Iterator[Manifest]:
    if need.token:
        yield _variable(need.prefix + TOKEN, need.token.name, need.token.key)
    if need.s3 and need.s3.secret_ref:
        for key in REQUIRED_KEYS:
            yield _variable(need.prefix + key, need.s3.secret_ref.name, key)
        for key in OPTIONAL_KEYS:
            yield _variable(need.prefix + key, need.s3.secret_ref.name, key, optional=True)


def _variable(variable: str, secret: str, key: str, *, optional: bool = False) -> Manifest:
    where = {"name": secret, "key": key, **({"optional": True} if optional else {})}
    return {"name": variable, "valueFrom": {"secretKeyRef": where}}


def _docker_config(need: Need) -> Mount:
    secret = need.oci.pull_secret_ref.name if need.oci and need.oci.pull_secret_ref else ""
    items = [{"key": DOCKER_CONFIG_KEY, "path": DOCKER_CONFIG_FILE}]
    folder = f"{SECRET_MOUNT}/{need.role}"
    volume = {"secret": {"secretName": secret, "items": items, "defaultMode": 0o440}}
    return Mount(f"pull-secret-{need.role}", volume, folder, f"{folder}/{DOCKER_CONFIG_FILE}", True)
