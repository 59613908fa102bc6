"""Brings model and rows of a run from where they are to the job's volume; `fetch` is the entry.

Everything after it works on local paths, without a network.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from finetune_trainer.contract import FailureReason, HubSource, RemoteSource, TrainerRun
from finetune_trainer.data.reading import is_readable
from finetune_trainer.process.failures import TrainerFailure
from finetune_trainer.sources import store
from finetune_trainer.sources.problems import Denied, SourceProblem, Unreachable
from finetune_trainer.sources.retries import retried
from finetune_trainer.sources.transport import shown

FOLDER = "sources"
MODEL_FILES = ("*.json", "*.safetensors", "*.txt", "*.model", "*.tiktoken", "*.jinja")
"""What a model is loaded from. Weights that are pickled are programs, and do not even get here."""

MODEL, ROWS = "model", "rows"


def fetch(run: TrainerRun) -> TrainerRun:
    """Fetch what the run names by where it is, and name it by where it lies then.

    Raises:
        TrainerFailure: DataInvalid or ModelNotFound for what is not there or not what it should be, AuthFailed,
            StorageFull, or TrainerError where the other side does not answer.
    """
    model, data = run.model, run.dataset
    remote = model.remote
    if remote is None and model.path is None:
        remote = RemoteSource(field="spec.model", hub=HubSource(repository=model.name, revision=model.revision))
    if remote is not None:
        model = replace(model, path=_obtained(run, remote, MODEL), remote=None)
    if data.remote is not None:
        data = replace(data, path=_obtained(run, data.remote, ROWS), remote=None)
    if data.validation_remote is not None:
        data = replace(data, validation_path=_obtained(run, data.validation_remote, ROWS), validation_remote=None)
    return replace(run, model=model, dataset=data)


def presentable(run: TrainerRun) -> TrainerRun:
    """Leave out of a run what others must not read: the query of a web address often is a signature."""
    data = run.dataset
    sides = {"remote": data.remote, "validation_remote": data.validation_remote}
    shortened = {
        name: replace(remote, https=replace(remote.https, url=shown(remote.https.url)))
        for name, remote in sides.items()
        if remote and remote.https
    }
    return replace(run, dataset=replace(data, **shortened))


def _obtained(run: TrainerRun, remote: RemoteSource, what: str) -> str:
    volume = Path(run.cache_directory) / FOLDER if run.cache_directory else None
    # Where it is and what is taken of it; not by which secret, which may be renewed between attempts.
    identity = json.dumps([what, asdict(replace(remote, field=""))], sort_keys=True)
    start = time.monotonic()

    def download(place: store.Place) -> store.Facts:
        facts = retried(lambda: _downloaded(remote, what, place), place.bytes)
        seconds = time.monotonic() - start
        print(f"{remote.field}: fetched {place.bytes():,} bytes in {seconds:.1f} s")
        return facts

    try:
        return str(store.obtain(volume, store.key_of(identity, _title(remote)), remote.field, download))
    except SourceProblem as problem:
        raise TrainerFailure(_reason(problem, what), f"{remote.field}: {problem}") from problem


def _title(remote: RemoteSource) -> str:
    """Give the last part of the name that the source has, without what may be secret."""
    name = (
        (remote.https and shown(remote.https.url))
        or (remote.s3 and remote.s3.uri)
        or (remote.oci and (remote.oci.path or remote.oci.image))
        or (remote.hub and remote.hub.repository)
        or remote.field
    )
    return PurePosixPath(name).name


def _downloaded(remote: RemoteSource, what: str, place: store.Place) -> store.Facts:
    """Ask the source that is set; its module is imported only then."""
    wanted = WANTED[what]
    if remote.https:
        from finetune_trainer.sources import https

        return https.download(remote.https, place)
    if remote.s3:
        from finetune_trainer.sources import s3

        return s3.download(remote.s3, place, wanted)
    if remote.oci:
        from finetune_trainer.sources.oci import files

        return files.download(remote.oci, place, wanted)
    if remote.hub:
        from finetune_trainer.sources import hub

        if what == MODEL:
            return hub.download_model(remote.hub, place, MODEL_FILES)
        return hub.download_dataset(remote.hub, place)
    raise TrainerFailure(FailureReason.INVALID_RUN, f"{remote.field} names no source")


def _is_model_file(name: str) -> bool:
    return any(fnmatch(PurePosixPath(name).name, pattern) for pattern in MODEL_FILES)


def _is_rows_file(name: str) -> bool:
    return is_readable(Path(name)) and not any(part.startswith(".") for part in PurePosixPath(name).parts)


WANTED: dict[str, Callable[[str], bool]] = {MODEL: _is_model_file, ROWS: _is_rows_file}


def _reason(problem: SourceProblem, what: str) -> FailureReason:
    if isinstance(problem, Denied):
        return FailureReason.AUTH_FAILED
    if isinstance(problem, Unreachable):
        return FailureReason.TRAINER_ERROR
    return FailureReason.MODEL_NOT_FOUND if what == MODEL else FailureReason.DATA_INVALID
