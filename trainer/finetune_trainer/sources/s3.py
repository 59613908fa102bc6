"""A file or folder in object storage: S3, or whatever speaks its protocol."""

from __future__ import annotations

import os
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3
from minio import Minio
from minio.error import MinioException, S3Error

from finetune_trainer.contract import S3Source
from finetune_trainer.sources.problems import Denied, Invalid, NotFound, SourceProblem, Unreachable
from finetune_trainer.sources.store import Facts, Place
from finetune_trainer.sources.transport import trusted
from finetune_trainer.sources.writing import BLOCK, Meter, below, digest, write

AWS = "https://s3.amazonaws.com"
CONNECT_SECONDS, SILENCE_SECONDS = 10.0, 60.0
MD5_LENGTH = 32
"""Length of an etag that is the file's MD5; those of files that came in parts or are encrypted are not."""

DENIED = frozenset(
    (
        *("AccessDenied", "AllAccessDisabled", "ExpiredToken", "InvalidAccessKeyId", "InvalidToken"),
        *("RequestTimeTooSkewed", "SignatureDoesNotMatch", "AuthorizationHeaderMalformed"),
    )
)
NOT_FOUND = frozenset(("NoSuchBucket", "NoSuchKey", "NoSuchVersion", "MethodNotAllowed", "InvalidBucketName"))
CHANGED = "PreconditionFailed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file of the storage; `name` is its place below what was asked for."""

    key: str
    name: str
    size: int
    etag: str

    @property
    def has_md5(self) -> bool:
        """Tell whether the etag looks like the file's MD5."""
        return len(self.etag) == MD5_LENGTH and "-" not in self.etag


def download(source: S3Source, place: Place, wanted: Callable[[str], bool]) -> Facts:
    """Fetch the file, or the files of the folder that are wanted.

    Raises:
        SourceProblem: they cannot be had.
    """
    parts = urllib.parse.urlsplit(source.uri)
    bucket, key = parts.netloc, urllib.parse.unquote(parts.path).strip("/")
    client = _client(source)
    with _explained(source):
        entries = _entries(client, bucket, key, wanted)
        if not entries:
            raise NotFound(f"{source.uri} holds no file that can be used; name the folder or the file")
        total = sum(entry.size for entry in entries)
        folder = place.folder(total)
        meter = Meter(source.uri, total, place.bytes())
        for entry in entries:
            _fetch((client, bucket), entry, below(folder, entry.name), meter)
    return {"etag": entries[0].etag} if len(entries) == 1 else {"files": len(entries)}


def _entries(client: Minio, bucket: str, key: str, wanted: Callable[[str], bool]) -> list[Entry]:
    """List the one object of that name, else those below it."""
    found = [_entry(each, key.rpartition("/")[2]) for each in _listed(client, bucket, key) if each.object_name == key]
    if found:
        return found
    prefix = f"{key}/" if key else ""
    below_it = (
        _entry(each, str(each.object_name).removeprefix(prefix))
        for each in _listed(client, bucket, prefix)
        if not each.is_dir and not str(each.object_name).endswith("/")
    )
    return [entry for entry in below_it if wanted(entry.name)]


def _listed(client: Minio, bucket: str, prefix: str) -> Iterator[Any]:
    return iter(client.list_objects(bucket, prefix=prefix, recursive=True))


def _entry(listed: Any, name: str) -> Entry:
    etag = str(listed.etag or "").strip('"')
    return Entry(key=str(listed.object_name), name=name, size=int(listed.size), etag=etag)


def _fetch(where: tuple[Minio, str], entry: Entry, file: Path, meter: Meter) -> None:
    """Fetch one file, going on with what lies there."""
    client, bucket = where
    at = file.stat().st_size if file.exists() else 0
    if at < entry.size or at == 0:
        same = {"If-Match": f'"{entry.etag}"'} if entry.etag else None
        answer = client.get_object(bucket, entry.key, offset=at, request_headers=same)
        try:
            write(answer.stream(BLOCK), file, meter, at=at, limit=entry.size)
            encrypted = answer.headers.get("x-amz-server-side-encryption", "AES256") != "AES256"
        finally:
            answer.close()
            answer.release_conn()
        if file.stat().st_size < entry.size:
            raise Unreachable(f"{entry.key}: the connection broke before the end")
    else:
        encrypted = False
    if entry.has_md5 and not encrypted and digest(file, "md5") != entry.etag:
        file.unlink()
        raise Unreachable(f"{entry.key} came damaged: its MD5 is not the etag {entry.etag}")


def _client(source: S3Source) -> Minio:
    address = urllib.parse.urlsplit(source.endpoint or AWS)
    given = _credentials(source)
    pool = urllib3.PoolManager(
        timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=SILENCE_SECONDS),
        retries=False,  # ours go on where the connection broke
        ssl_context=trusted(),
    )
    return Minio(
        address.netloc,
        access_key=given.get("AWS_ACCESS_KEY_ID"),
        secret_key=given.get("AWS_SECRET_ACCESS_KEY"),
        session_token=given.get("AWS_SESSION_TOKEN"),
        region=given.get("AWS_REGION"),
        secure=address.scheme == "https",
        http_client=pool,
    )


def _credentials(source: S3Source) -> Mapping[str, str]:
    if source.credentials_prefix is None:
        return {}
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION")
    found = {name: os.environ.get(source.credentials_prefix + name) for name in names}
    return {name: value for name, value in found.items() if value}


@contextmanager
def _explained(source: S3Source) -> Iterator[None]:
    """Say what the storage's errors mean."""
    try:
        yield
    except S3Error as error:
        raise _meaning(source, error) from error
    except (urllib3.exceptions.HTTPError, MinioException) as error:
        raise Unreachable(f"{source.endpoint or AWS} does not answer: {type(error).__name__}: {error}") from error
    except ValueError as error:
        raise Invalid(f"{source.uri}: {error}") from error


def _meaning(source: S3Source, error: S3Error) -> SourceProblem:
    said = f"{source.uri}: the storage says {error.code}"
    if error.code in DENIED:
        way_out = "check the keys of its Secret" if source.credentials_prefix else "name a Secret in secretRef"
        return Denied(f"{said}: {way_out}, and that they may list and read the bucket")
    if error.code in NOT_FOUND:
        return NotFound(f"{said}: check bucket and key, and the endpoint ({source.endpoint or 'AWS'})")
    if error.code == CHANGED:
        return Unreachable(f"{source.uri} became another file meanwhile")
    return Unreachable(said)
