"""A file behind a web address, checked against its sha256, and gone on with where the connection broke."""

from __future__ import annotations

import json
import urllib.parse
from email.message import Message
from pathlib import Path, PurePosixPath
from typing import Any

from finetune_trainer.contract import HttpsSource
from finetune_trainer.sources.problems import Denied, Invalid, NotFound, Unreachable
from finetune_trainer.sources.store import Facts, Place
from finetune_trainer.sources.transport import Answer, get, shown
from finetune_trainer.sources.writing import Meter, digest, write

RESUME = ".resume.json"
"""Beside a file that is not whole: what it was when it began to come."""


def download(source: HttpsSource, place: Place) -> Facts:
    """Fetch the file.

    Raises:
        SourceProblem: it cannot be had, or it is another one than its sha256 says.
    """
    begun = _begun(place.begun(RESUME))
    headers = {"Range": f"bytes={begun['bytes']}-", "If-Range": begun["etag"]} if begun else {}
    with get(source.url, headers) as answer:
        if answer.status == 416:  # noqa: PLR2004 - nothing is left to send, or the file became shorter
            place.folder(0).joinpath(RESUME).unlink(missing_ok=True)
            raise Unreachable(f"{shown(source.url)} became another file meanwhile")
        _check_status(source, answer)
        length = answer.headers.get("Content-Length")
        at = begun["bytes"] if begun and answer.status == 206 else 0  # noqa: PLR2004 - 200 sends all of it again
        total = at + int(length) if length and length.isdigit() else None
        folder = place.folder(total or 0)
        file = folder / _name(source.url, answer)
        etag = answer.headers.get("ETag", "")
        if etag and not etag.startswith("W/"):
            _remember(folder / RESUME, file.name, etag)
        meter = Meter(shown(source.url), total, at)
        write(answer.blocks(), file, meter, at=at, limit=total or place.room())
    (folder / RESUME).unlink(missing_ok=True)
    found = digest(file)
    if source.sha256 and found != source.sha256:
        file.unlink()
        raise Invalid(f"{shown(source.url)} has sha256 {found}, asked for is {source.sha256}: the file is another one")
    return {"sha256": found, **({"etag": etag} if etag else {})}


def _check_status(source: HttpsSource, answer: Answer) -> None:
    where = shown(source.url)
    if answer.status in (401, 403):
        raise Denied(
            f"{where} answers {answer.status}: it is not open to everybody. Sign the address, or use s3 or hub"
        )
    if answer.status in (404, 410):
        raise NotFound(f"{where} answers {answer.status}: there is no such file")
    if answer.status not in (200, 206):
        raise Invalid(f"{where} answers {answer.status}")


def _name(url: str, answer: Answer) -> str:
    """Take the file's name from the address, or from what the server calls it: its ending tells what it is."""
    message = Message()
    message["Content-Disposition"] = answer.headers.get("Content-Disposition", "")
    given = message.get_filename() or urllib.parse.unquote(urllib.parse.urlsplit(url).path)
    return PurePosixPath(given.replace("\\", "/")).name.lstrip(".") or "file"


def _begun(known: Path | None) -> dict[str, Any]:
    if known is None:
        return {}
    try:
        found = json.loads(known.read_text(encoding="utf-8"))
        size = (known.parent / found["name"]).stat().st_size
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return {"etag": found["etag"], "bytes": size} if size else {}


def _remember(known: Path, name: str, etag: str) -> None:
    known.write_text(json.dumps({"name": name, "etag": etag}), encoding="utf-8")
