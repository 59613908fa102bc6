"""The store of what was fetched: complete or invisible, on the job's volume, found again by the job's next attempt.

Within one job a source is fetched once: an attempt that goes on from a checkpoint must see the rows that the one
before it saw, even where they have changed since.

Not here: how files come (`https.py`, `s3.py`, `oci/files.py`, `hub.py`).
"""

from __future__ import annotations

import atexit
import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from finetune_trainer.contract import FailureReason
from finetune_trainer.process.failures import TrainerFailure

MANIFEST = ".source.json"
KEY_LENGTH, TITLE_LENGTH = 12, 40
SCRATCH = Path(tempfile.gettempdir()) / "finetune-trainer" / "sources"

SHARE_OF_VOLUME = 0.5
"""Most of the room left that a source may take of the job's volume: checkpoints and artifacts need the rest."""

Facts = Mapping[str, Any]


class Place:
    """Where one source's files go while they come."""

    def __init__(self, volume: Path, scratch: Path, key: str) -> None:
        self._candidates = (volume / f".{key}.partial", scratch / f".{key}.partial")
        self._key = key
        self._chosen: Path | None = None

    def folder(self, size: int) -> Path:
        """Give the folder for so many bytes: on the volume if it has the room, else on the pod's own disk.

        Raises:
            TrainerFailure: StorageFull.
        """
        volume, scratch = self._candidates
        for folder, share in ((volume, SHARE_OF_VOLUME), (scratch, 1.0)):
            folder.mkdir(parents=True, exist_ok=True)
            room = shutil.disk_usage(folder).free + _bytes_in(folder)
            if size <= room * share:
                self._chosen = folder
                break
        else:
            message = f"{size:,} bytes are to be fetched, {room:,} are free on the pod's disk; give the claim more room"
            raise TrainerFailure(FailureReason.STORAGE_FULL, message)
        if self._chosen == scratch:
            shutil.rmtree(volume, ignore_errors=True)
            print(
                f"note: {size:,} bytes would take more than half of what is free on the job's volume, so they go to "
                "the pod's own disk and the next attempt fetches them again; raise "
                "spec.checkpoints.storage.template.size to keep them"
            )
        return self._chosen

    def begun(self, name: str) -> Path | None:
        """Find a file that an earlier try left, so that it can be gone on with."""
        return next((folder / name for folder in self._candidates if (folder / name).is_file()), None)

    def room(self) -> int:
        """Say how many bytes may come where nobody announces how many will."""
        folder = self._candidates[0]
        folder.mkdir(parents=True, exist_ok=True)
        return int((shutil.disk_usage(folder).free + _bytes_in(folder)) * SHARE_OF_VOLUME)

    def bytes(self) -> int:
        """Say how much lies there already."""
        return sum(_bytes_in(folder) for folder in self._candidates)

    def complete(self, source: str, facts: Facts) -> Path:
        """Make what came visible."""
        partial = self._chosen or self.folder(0)
        files = {str(file.relative_to(partial)): file.stat().st_size for file in _files(partial)}
        manifest = {"source": source, "facts": dict(facts), "files": files}
        (partial / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        for file in _files(partial):
            with file.open("rb") as stream:
                os.fsync(stream.fileno())
        target = partial.parent / self._key
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
        return target


def key_of(identity: str, title: str) -> str:
    """Name the folder of a source: by its title for people, by the hash of what tells it from others for us."""
    readable = re.sub(r"[^A-Za-z0-9_-]+", "-", title).strip("-")[:TITLE_LENGTH]
    return f"{readable}-{hashlib.sha256(identity.encode()).hexdigest()[:KEY_LENGTH]}"


def obtain(volume: Path | None, key: str, source: str, download: Callable[[Place], Facts]) -> Path:
    """Give the folder of a source, downloading it unless an attempt of this job has.

    `volume` is the job's folder for such things (None: it has none).
    """
    scratch = SCRATCH if volume else _own_folder()
    folders = tuple(dict.fromkeys((volume or scratch, scratch)))
    folders[0].mkdir(parents=True, exist_ok=True)
    with _alone(folders[0] / f".{key}.lock"):
        for folder in folders:
            if facts := _found(folder / key):
                said = ", ".join(f"{name} {value}" for name, value in facts.items())
                print(f"{source}: here already{f' ({said})' if said else ''}")
                return folder / key
        place = Place(folders[0], scratch, key)
        facts = download(place)
        return place.complete(source, facts)


def _own_folder() -> Path:
    """Make a folder of this process's own, which goes when the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="finetune-sources-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _found(folder: Path) -> Facts | None:
    """Read what is there, if all of it is."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        whole = all((folder / name).stat().st_size == size for name, size in manifest["files"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return {**manifest["facts"], "bytes": sum(manifest["files"].values())} if whole else None


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Let the processes of one pod in one after the other; storage that knows no locks lets them all in."""
    with file.open("w") as stream:
        with suppress(OSError):
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file() and file.name != MANIFEST)


def _bytes_in(folder: Path) -> int:
    return sum(file.stat().st_size for file in _files(folder)) if folder.is_dir() else 0
