"""Files of an image or of an artifact in a registry.

An artifact's layers are the files themselves, named by their titles; an image's are archives to be unpacked.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from finetune_trainer.contract import OciSource
from finetune_trainer.sources.oci.layers import Unpacker
from finetune_trainer.sources.oci.registry import Registry, parse
from finetune_trainer.sources.problems import NotFound
from finetune_trainer.sources.store import Facts, Place
from finetune_trainer.sources.writing import Meter, below

TITLE = "org.opencontainers.image.title"
UNPACK = "io.deis.oras.content.unpack"
"""Marks a layer of an artifact that is a folder's archive."""

BLOBS = ".blobs"
LIFTED = ".lifted"


def download(source: OciSource, place: Place, wanted: Callable[[str], bool]) -> Facts:
    """Fetch the files below the path that are wanted.

    Raises:
        SourceProblem: they cannot be had.
    """
    registry = Registry(parse(source.image), Path(source.docker_config) if source.docker_config else None)
    manifest, name = registry.manifest()
    layers = [each for each in manifest["layers"] if not _is_file(each) or _is_asked_for(_title(each), source, wanted)]
    total = sum(int(each["size"]) for each in layers)
    folder = place.folder(total + sum(int(each["size"]) for each in layers if not _is_file(each)))
    meter = Meter(source.image, total, place.bytes())
    unpacker = Unpacker(folder, source.path or "", wanted, limit=place.room())
    for layer in layers:
        archive = folder / BLOBS / str(layer["digest"]).replace(":", "-")
        registry.blob(layer, below(folder, _title(layer)) if _is_file(layer) else archive, meter)
        if not _is_file(layer):
            unpacker.add(archive)
    unpacker.finish()
    shutil.rmtree(folder / BLOBS, ignore_errors=True)
    _lift(folder, source)
    return {"digest": name}


def _lift(folder: Path, source: OciSource) -> None:
    """Move what lies at the path to the top, where a claim or a bucket would have it."""
    if not any(file.is_file() for file in folder.rglob("*")):
        where = f"at {source.path!r} in" if source.path else "in"
        raise NotFound(f"no usable file {where} {source.image}; name its path")
    found = below(folder, source.path) if source.path else folder
    if not found.is_dir() or found == folder:
        return
    lifted = folder / LIFTED
    found.rename(lifted)
    shutil.rmtree(folder / Path(source.path or "").parts[0], ignore_errors=True)
    for each in list(lifted.iterdir()):
        each.rename(folder / each.name)
    lifted.rmdir()


def _is_file(layer: Mapping[str, Any]) -> bool:
    notes = layer.get("annotations") or {}
    return TITLE in notes and notes.get(UNPACK) != "true"


def _title(layer: Mapping[str, Any]) -> str:
    return str(layer["annotations"][TITLE])


def _is_asked_for(title: str, source: OciSource, wanted: Callable[[str], bool]) -> bool:
    path = source.path or ""
    return wanted(title) and (not path or title == path or title.startswith(f"{path}/"))
