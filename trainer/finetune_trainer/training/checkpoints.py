"""Checkpoints on disk: complete or invisible, and known by the hash of every file.

A checkpoint is written into a staging folder, gets its manifest last and is renamed into place. Old ones go only after
the new one is there.

Not here: when to write one and what is in it (`loop.py`).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"
STAGING = ".staging"
TRASH = ".trash"
HASH_BLOCK = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """One file of a checkpoint."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a checkpoint is: whose, of which step, and which files belong to it.

    `fingerprint` tells runs apart that cannot continue each other; `facts` carries numbers over to the next attempt.
    """

    job_uid: str
    fingerprint: str
    step: int
    files: dict[str, FileEntry]
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """Sum up the files."""
        return sum(entry.bytes for entry in self.files.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A checkpoint that is complete and whole."""

    path: Path
    manifest: Manifest

    @property
    def step(self) -> int:
        """Give the step after which it was written."""
        return self.manifest.step


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """The newest good checkpoint, and why newer ones were passed over."""

    found: Checkpoint | None
    damaged: tuple[str, ...]


class CheckpointStore:
    """The checkpoints of one job in one folder; those of other jobs are left alone."""

    def __init__(self, directory: Path, *, keep: int, job_uid: str, fingerprint: str) -> None:
        self.directory = directory
        self.staging = directory / STAGING
        self._keep = keep
        self._job_uid = job_uid
        self._fingerprint = fingerprint
        self._kept_step: int | None = None

    def open(self) -> None:
        """Make the folder and clear away what an earlier attempt left half done."""
        self.directory.mkdir(parents=True, exist_ok=True)
        for leftover in (self.staging, self.directory / TRASH):
            shutil.rmtree(leftover, ignore_errors=True)

    def newest(self) -> Search:
        """Find the newest checkpoint of this job whose files are all as they were written.

        One without a readable manifest may be another job's, so it is told of and never removed.
        """
        damaged = []
        for path, manifest in self._own():
            if manifest.fingerprint != self._fingerprint:
                continue
            if problem := _damage(path, manifest):
                damaged.append(f"{path.name} is damaged ({problem})")
            else:
                found = Checkpoint(path=path, manifest=manifest)
                return Search(found=found, damaged=(*self._unreadable(after=found.step), *damaged))
        return Search(found=None, damaged=(*self._unreadable(after=-1), *damaged))

    def commit(self, step: int, facts: dict[str, Any]) -> Checkpoint:
        """Turn what the training library wrote for `step` into a checkpoint, then let old ones go.

        Raises:
            OSError: no space for the manifest; the checkpoint stays invisible.
        """
        staged = self.staging / f"checkpoint-{step}"
        files = {str(file.relative_to(staged)): _entry(file) for file in sorted(staged.rglob("*")) if file.is_file()}
        manifest = Manifest(job_uid=self._job_uid, fingerprint=self._fingerprint, step=step, files=files, facts=facts)
        _write_durably(staged / MANIFEST, json.dumps(asdict(manifest), indent=1).encode())
        target = self.directory / staged.name
        if target.exists():
            self._discard(target)
        staged.rename(target)
        _sync_folder(self.directory)
        self._prune(target)
        return Checkpoint(path=target, manifest=manifest)

    def keep_step(self, step: int | None) -> None:
        """Name the step whose checkpoint stays beside the newest ones."""
        self._kept_step = step

    def at(self, step: int) -> Checkpoint | None:
        """Find the whole checkpoint of a step."""
        for path, manifest in self._own():
            if manifest.step == step and manifest.fingerprint == self._fingerprint and not _damage(path, manifest):
                return Checkpoint(path=path, manifest=manifest)
        return None

    def abandon(self) -> int:
        """Remove what was written for a checkpoint that failed, and say how many bytes it had got to."""
        written = sum(file.stat().st_size for file in self.staging.rglob("*") if file.is_file())
        shutil.rmtree(self.staging, ignore_errors=True)
        return written

    def free_bytes(self) -> int:
        """Say how much room the storage has left."""
        return shutil.disk_usage(self.directory).free

    def _own(self) -> list[tuple[Path, Manifest]]:
        """List this job's checkpoints, newest first, without looking into their files."""
        found = []
        for path in self.directory.glob("checkpoint-*"):
            manifest = _read_manifest(path / MANIFEST)
            if manifest is not None and manifest.job_uid == self._job_uid:
                found.append((path, manifest))
        return sorted(found, key=lambda each: each[1].step, reverse=True)

    def _unreadable(self, *, after: int) -> list[str]:
        """Tell of checkpoints of later steps whose manifest cannot be read, newest first."""
        steps = {path.name: _step(path) for path in self.directory.glob("checkpoint-*")}
        later = sorted((step, name) for name, step in steps.items() if step > after)
        return [
            f"{name} is damaged (its {MANIFEST} cannot be read)"
            for _, name in reversed(later)
            if _read_manifest(self.directory / name / MANIFEST) is None
        ]

    def _prune(self, newest: Path) -> None:
        """Keep the newest ones of this plan, the just written one for sure; the others cannot be continued from."""
        alike = [each for each in self._own() if each[1].fingerprint == self._fingerprint]
        kept = {newest, *(path for path, _manifest in alike[: self._keep])}
        kept |= {path for path, manifest in alike if manifest.step == self._kept_step}
        for path, _manifest in self._own():
            if path not in kept:
                self._discard(path)

    def _discard(self, path: Path) -> None:
        """Rename before deleting, so that a half deleted checkpoint is never seen."""
        trash = self.directory / TRASH
        shutil.rmtree(trash, ignore_errors=True)
        path.rename(trash)
        shutil.rmtree(trash, ignore_errors=True)


def digest(file: Path) -> str:
    """Hash a file block by block."""
    sha = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(HASH_BLOCK):
            sha.update(block)
    return sha.hexdigest()


def _entry(file: Path) -> FileEntry:
    with file.open("rb") as stream:
        os.fsync(stream.fileno())
    return FileEntry(bytes=file.stat().st_size, sha256=digest(file))


def _read_manifest(file: Path) -> Manifest | None:
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
        files = {name: FileEntry(**entry) for name, entry in raw.pop("files").items()}
        return Manifest(files=files, **raw)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _step(path: Path) -> int:
    """Read the step off a folder's name; -1 where it is no checkpoint's."""
    number = path.name.rpartition("-")[2]
    return int(number) if number.isdecimal() else -1


def _damage(path: Path, manifest: Manifest) -> str | None:
    for name, entry in manifest.files.items():
        file = path / name
        try:
            if file.stat().st_size != entry.bytes:
                return f"{name} has {file.stat().st_size} bytes, expected {entry.bytes}"
            if digest(file) != entry.sha256:
                return f"sha256 of {name} differs"
        except OSError as error:
            return f"{name}: {error.strerror}"
    return None


def _write_durably(file: Path, content: bytes) -> None:
    with file.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    _sync_folder(file.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
