"""A registry of images and artifacts, spoken to in the words of the OCI distribution specification.

The oras library pushes for us but is not used to fetch: it knows no time limits, and tells a missing image from a
forbidden one only in words.

Not here: what is made of the layers (`files.py`).
"""

from __future__ import annotations

import base64
import hashlib
import json
import platform
import re
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune_trainer.sources.problems import Denied, Invalid, NotFound, Unreachable
from finetune_trainer.sources.transport import Answer, get
from finetune_trainer.sources.writing import BLOCK, Meter, digest, write

DOCKER_HUB = "docker.io"
DOCKER_HUB_HOST = "registry-1.docker.io"
DOCKER_HUB_KEYS = (f"https://index.{DOCKER_HUB}/v1/", f"index.{DOCKER_HUB}", DOCKER_HUB)
MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
LARGEST_MANIFEST = 4 * 1024 * 1024
CHALLENGE = re.compile(r'([a-zA-Z_]+)="([^"]*)"')
WITHOUT_TLS = ("localhost", "127.0.0.1", "[::1]")
"""Hosts that are spoken to without TLS, beside services of the cluster."""

SERVICES = (".svc", ".svc.cluster.local")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """The parts of an image's name; `version` is a tag or a digest."""

    host: str
    repository: str
    version: str

    @property
    def url(self) -> str:
        """Give the address of the repository in the registry."""
        name = self.host.rpartition(":")[0] if ":" in self.host.rpartition("]")[2] else self.host
        scheme = "http" if name in WITHOUT_TLS or name.endswith(SERVICES) else "https"
        host = DOCKER_HUB_HOST if self.host == DOCKER_HUB else self.host
        return f"{scheme}://{host}/v2/{self.repository}"


def parse(image: str) -> Reference:
    """Take an image's name apart, as Docker does."""
    name, _at, content = image.partition("@")
    head, _slash, rest = name.partition("/")
    host, path = (head, rest) if rest and (head == "localhost" or set(head) & set(".:")) else (DOCKER_HUB, name)
    repository, _colon, tag = path.partition(":")
    if host == DOCKER_HUB and "/" not in repository:
        repository = f"library/{repository}"
    return Reference(host=host, repository=repository, version=content or tag or "latest")


class Registry:
    """One repository of a registry, asked with the credentials that a Docker configuration has for it."""

    def __init__(self, reference: Reference, docker_config: Path | None) -> None:
        self._reference = reference
        self._basic = _credentials(reference.host, docker_config)
        self._authorization = ""

    def manifest(self) -> tuple[dict[str, Any], str]:
        """Give the manifest and its digest; of an image for several machines, the one for this machine.

        Raises:
            SourceProblem: there is none, or it is not what its digest says.
        """
        found, name = self._manifest(self._reference.version)
        if found.get("mediaType") in INDEXES or "manifests" in found:
            found, name = self._manifest(_for_this_machine(found["manifests"]))
        if not isinstance(found.get("layers"), list):
            raise Invalid(f"{self._reference.host} gives no manifest of an image or artifact: rebuild it")
        return found, name

    def blob(self, layer: Mapping[str, Any], file: Path, meter: Meter) -> None:
        """Fetch a layer into a file, going on with what lies there.

        Raises:
            SourceProblem: it cannot be had, or it is not what its digest says.
        """
        size, name = int(layer["size"]), str(layer["digest"])
        at = file.stat().st_size if file.exists() else 0
        if at < size:
            headers = {"Range": f"bytes={at}-"} if at else {}
            with self._ask(f"blobs/{name}", headers) as answer:
                at = at if answer.status == 206 else 0  # noqa: PLR2004 - 200 sends all of it again
                write(answer.blocks(), file, meter, at=at, limit=size)
            if file.stat().st_size < size:
                raise Unreachable(f"the layer {name} came to {file.stat().st_size:,} of {size:,} bytes")
        if not name.startswith("sha256:") or digest(file) != name.removeprefix("sha256:"):
            file.unlink()
            raise Invalid(f"the layer {name} does not have that digest; push the image again")

    def _manifest(self, version: str) -> tuple[dict[str, Any], str]:
        with self._ask(f"manifests/{version}", {"Accept": ", ".join((*MANIFESTS, *INDEXES))}) as answer:
            body = b""
            for block in answer.blocks(BLOCK):
                body += block
                if len(body) > LARGEST_MANIFEST:
                    raise Invalid(f"the manifest is longer than {LARGEST_MANIFEST:,} bytes")
        name = f"sha256:{hashlib.sha256(body).hexdigest()}"
        if version.startswith("sha256:") and version != name:
            raise Invalid(f"the manifest {version} does not have that digest; the registry is damaged")
        try:
            found: dict[str, Any] = json.loads(body)
        except ValueError as error:
            raise Invalid(f"{self._reference.host} answers with no manifest; is it a registry?") from error
        return found, name

    @contextmanager
    def _ask(self, path: str, headers: Mapping[str, str]) -> Iterator[Answer]:
        url = f"{self._reference.url}/{path}"
        for is_last in (False, True):
            authorization = {"Authorization": self._authorization} if self._authorization else {}
            with get(url, {**headers, **authorization}) as answer:
                if answer.status == 401 and not is_last:  # noqa: PLR2004 - the registry says how to ask
                    challenge = answer.headers.get("WWW-Authenticate", "")
                else:
                    self._check(answer)
                    yield answer
                    return
            self._authorization = self._answer_to(challenge)

    def _check(self, answer: Answer) -> None:
        named = f"{self._reference.host}/{self._reference.repository}:{self._reference.version}"
        if answer.status in (401, 403):
            hint = "its credentials do not open it" if self._basic else "it needs pullSecretRef, or does not exist"
            raise Denied(f"{named}: the registry answers {answer.status}: {hint}")
        if answer.status == 404:  # noqa: PLR2004
            raise NotFound(f"{named}: the registry has no such image")
        if answer.status not in (200, 206):
            raise Invalid(f"{named}: the registry answers {answer.status}")

    def _answer_to(self, challenge: str) -> str:
        """Do what the registry asks for: send the password, or fetch a token with it."""
        kind = challenge.partition(" ")[0].lower()
        if kind == "basic" and self._basic:
            return f"Basic {self._basic}"
        asked = dict(CHALLENGE.findall(challenge))
        if kind != "bearer" or "realm" not in asked:
            return ""
        wanted = {name: asked[name] for name in ("service", "scope") if name in asked}
        separator = "&" if "?" in asked["realm"] else "?"
        headers = {"Authorization": f"Basic {self._basic}"} if self._basic else {}
        with get(f"{asked['realm']}{separator}{urllib.parse.urlencode(wanted)}", headers) as answer:
            if answer.status != 200:  # noqa: PLR2004
                return ""
            found = json.loads(b"".join(answer.blocks()))
        return f"Bearer {found.get('token') or found.get('access_token')}"


def _for_this_machine(manifests: Sequence[Mapping[str, Any]]) -> str:
    here = ARCHITECTURES.get(platform.machine(), platform.machine())
    real = [each for each in manifests if each.get("platform", {}).get("architecture") != "unknown"]
    fitting = [each for each in real if each.get("platform", {}).get("architecture", here) == here]
    # Data is the same on all machines, so any other image will do as well.
    chosen = next(iter(fitting or real), None)
    if chosen is None:
        raise Invalid("the image's index names no image")
    return str(chosen["digest"])


def _credentials(host: str, docker_config: Path | None) -> str:
    """Read what a Docker configuration has for a host: `user:password` in base 64, empty where it has nothing."""
    if docker_config is None:
        return ""
    try:
        known = json.loads(docker_config.read_text(encoding="utf-8"))["auths"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Denied("the Secret of pullSecretRef holds no .dockerconfigjson with auths; make it anew") from error
    keys = DOCKER_HUB_KEYS if host == DOCKER_HUB else (host, f"https://{host}", f"https://{host}/v2/")
    found = next((known[key] for key in keys if key in known), {})
    if "auth" in found:
        return str(found["auth"])
    if "username" in found:
        return base64.b64encode(f"{found['username']}:{found.get('password', '')}".encode()).decode()
    return ""
