"""Layers of an image: the files of a path taken out of their archives, one layer over the other.

Nothing of an archive is trusted: names stay inside the folder, links inside the image, devices are passed over.

Not here: where the archives come from (`files.py`).
"""

from __future__ import annotations

import posixpath
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

from finetune_trainer.sources.problems import Invalid
from finetune_trainer.sources.writing import BLOCK, below

WHITEOUT = ".wh."
"""Begins the name of a file that an upper layer takes away."""

OPAQUE = ".wh..wh..opq"
"""Says that an upper layer begins a folder anew."""


class Unpacker:
    """Takes files at `path` (empty: all) out of layers into a folder, as far as they are wanted."""

    def __init__(self, folder: Path, path: str, wanted: Callable[[str], bool], *, limit: int) -> None:
        self._folder = folder
        self._path = path.strip("/")
        self._wanted = wanted
        self._room = limit
        self._links: dict[str, str] = {}

    def add(self, archive: Path) -> None:
        """Lay a layer over those before it.

        Raises:
            Invalid: not an archive, or more in it than there is room for.
        """
        try:
            with tarfile.open(archive, "r:*") as tar:
                for member in tar:
                    self._take(tar, member)
        except tarfile.TarError as error:
            message = f"a layer cannot be unpacked ({error}); build the image with gzip layers, or none at all"
            raise Invalid(message) from error

    def finish(self) -> None:
        """Put files where links are that lead to them.

        Raises:
            Invalid: a link leads to what was not taken.
        """
        for name, target in self._links.items():
            found = below(self._folder, target)
            if not found.is_file():
                raise Invalid(f"{name} is a link to {target}, which is not below the path {self._path or '/'!r}")
            place = below(self._folder, name)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(found, place)

    def _take(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        name = _inside(member.name)
        parent, base = posixpath.split(name)
        if base.startswith(WHITEOUT):
            self._remove(parent if base == OPAQUE else posixpath.join(parent, base.removeprefix(WHITEOUT)))
        elif not self._is_asked_for(name) or not self._wanted(name):
            return
        elif member.isfile():
            self._write(tar, member, name)
        elif member.issym() or member.islnk():
            start = parent if member.issym() and not member.linkname.startswith("/") else ""
            self._remove(name)
            self._links[name] = _inside(posixpath.join(start, member.linkname))

    def _write(self, tar: tarfile.TarFile, member: tarfile.TarInfo, name: str) -> None:
        self._room -= member.size
        if self._room < 0:
            raise Invalid(f"the image holds more at {self._path or '/'!r} than there is room for; name a smaller path")
        self._remove(name)
        place = below(self._folder, name)
        place.parent.mkdir(parents=True, exist_ok=True)
        content = tar.extractfile(member)
        if content is not None:
            with place.open("wb") as stream:
                shutil.copyfileobj(content, stream, BLOCK)

    def _remove(self, name: str) -> None:
        for link in [each for each in self._links if each == name or each.startswith(f"{name}/")]:
            del self._links[link]
        if name:
            place = below(self._folder, name)
            shutil.rmtree(place, ignore_errors=True) if place.is_dir() else place.unlink(missing_ok=True)

    def _is_asked_for(self, name: str) -> bool:
        return not self._path or name == self._path or name.startswith(f"{self._path}/")


def _inside(name: str) -> str:
    """Read a name as the image does, whose root is its own: `/../etc` is `etc`."""
    return posixpath.normpath(posixpath.join("/", name)).lstrip("/")
