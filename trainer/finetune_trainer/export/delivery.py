"""Artifacts on their way out: each written beside its place, all swapped into it together, then copied.

Not here: what is in them (`artifacts.py`).
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from finetune_trainer.contract import Artifact
from finetune_trainer.training.checkpoints import digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """An artifact that lies complete beside its place; `logit_difference` as in the contract."""

    kind: str
    name: str
    logit_difference: float | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """The artifacts of one run on their way into its output folder."""

    output: Path
    written: list[Written] = field(default_factory=list)

    def write(self, kind: str, name: str, fill: Callable[[Path], float | None]) -> None:
        """Fill an artifact's folder; what is left of an earlier try goes first.

        `fill` returns the difference of the artifact's logits, where there is one to tell.
        """
        folder = self.beside(name)
        self.output.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        try:
            found = fill(folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        self.written.append(Written(kind=kind, name=name, logit_difference=found))

    def beside(self, name: str) -> Path:
        """Name the folder that an artifact is written in until it takes its place."""
        return self.output / f".{name}.partial"

    def publish(self, pages: dict[str, bytes], copies: tuple[str, ...]) -> tuple[Artifact, ...]:
        """Add the pages to each artifact, swap all into place, copy them, and say what they are."""
        for each in self.written:
            _write(self.beside(each.name), pages)
            _swap(self.beside(each.name), self.output / each.name)
        _write(self.output, pages)
        for copy in (Path(copy) for copy in copies):
            for each in self.written:
                partial = copy / f".{each.name}.partial"
                shutil.rmtree(partial, ignore_errors=True)
                shutil.copytree(self.output / each.name, partial)
                _swap(partial, copy / each.name)
            _write(copy, pages)
        return tuple(_artifact(self.output, each) for each in self.written)


def _write(folder: Path, pages: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in pages.items():
        (folder / name).write_bytes(content)


def _swap(partial: Path, target: Path) -> None:
    """Put a whole artifact in the place of an old one."""
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    partial.rename(target)
    shutil.rmtree(old, ignore_errors=True)
    size = sum(file.stat().st_size for file in target.rglob("*") if file.is_file())
    print(f"wrote {target} ({size:,} bytes)")


def _artifact(output: Path, written: Written) -> Artifact:
    folder = output / written.name
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    lines = sorted(f"{digest(file)}  {file.relative_to(folder)}\n" for file in files)
    return Artifact(
        kind=written.kind,
        path=written.name,
        bytes=sum(file.stat().st_size for file in files),
        sha256=hashlib.sha256("".join(lines).encode()).hexdigest(),
        logit_difference=written.logit_difference,
    )
