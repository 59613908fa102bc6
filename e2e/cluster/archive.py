"""Image archives, written without a container engine: the ``docker save`` layout and the OCI layout.

Times and owners are fixed, so equal input gives an equal archive and an equal image id.
Not here: who reads them; the node imports both kinds with ``ctr images import``.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
ENVIRONMENT = ["PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]


def architecture() -> str:
    """Return this machine's name in image configurations."""
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


@dataclass(frozen=True, slots=True)
class FolderImage:
    """An image with one layer, made from a folder; images of the same folder share the layer."""

    folder: Path
    tags: tuple[str, ...]
    entrypoint: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes under their digest, as a descriptor in a manifest names them."""

    media_type: str
    digest: str
    size: int

    @property
    def descriptor(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}


def write_docker_archive(out: Path, images: Sequence[FolderImage]) -> None:
    """Write images of folders as one ``docker save`` archive."""
    layers: dict[Path, tuple[str, str]] = {}
    manifest = []
    with tarfile.open(out, "w") as archive:
        for image in images:
            if image.folder not in layers:
                layers[image.folder] = _add_layer(archive, image.folder)
            name, digest = layers[image.folder]
            config = _json(
                {
                    "architecture": architecture(),
                    "os": "linux",
                    "config": {"Env": ENVIRONMENT, "Entrypoint": list(image.entrypoint) or None},
                    "rootfs": {"type": "layers", "diff_ids": [digest]},
                }
            )
            config_name = hashlib.sha256(config).hexdigest() + ".json"
            _add(archive, config_name, config)
            manifest.append({"Config": config_name, "RepoTags": list(image.tags), "Layers": [name]})
        _add(archive, "manifest.json", _json(manifest))


def write_thin_oci(
    out: Path, name: str, *, config: Mapping[str, Any], below: Sequence[Blob], layers: Sequence[bytes]
) -> str:
    """Write an OCI layout that holds an image's upper layers only and names the lower ones.

    The receiver has the lower layers' blobs already. Returns the digest of the image's configuration, which is the
    image's id in Kubernetes.
    """
    upper = [Blob(LAYER, digest_of(layer), len(layer)) for layer in layers]
    raw_config = _json(config)
    config_blob = Blob(CONFIG, digest_of(raw_config), len(raw_config))
    raw_manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config_blob.descriptor,
            "layers": [blob.descriptor for blob in (*below, *upper)],
        }
    )
    entry = Blob(MANIFEST, digest_of(raw_manifest), len(raw_manifest)).descriptor
    entry["annotations"] = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name}
    entry["platform"] = {"architecture": config["architecture"], "os": config["os"]}
    with tarfile.open(out, "w") as archive:
        _add(archive, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        _add(archive, "index.json", _json({"schemaVersion": 2, "manifests": [entry]}))
        for raw in dict.fromkeys((raw_manifest, raw_config, *layers)):
            _add(archive, f"blobs/sha256/{digest_of(raw).removeprefix('sha256:')}", raw)
    return config_blob.digest


def layers_of(saved: Path) -> list[bytes]:
    """Return the layers of the one image in a small ``docker save`` archive, lowest first, uncompressed."""
    with tarfile.open(saved) as archive:
        manifest = json.loads(_read(archive, "manifest.json"))
        return [_read(archive, name) for name in manifest[0]["Layers"]]


def digest_of(raw: bytes) -> str:
    """Return the name of bytes in a content store."""
    return "sha256:" + hashlib.sha256(raw).hexdigest()


def _add_layer(archive: tarfile.TarFile, folder: Path) -> tuple[str, str]:
    """Add a folder as a layer; return its name in the archive and its digest."""
    with tempfile.TemporaryFile() as scratch:
        with tarfile.open(fileobj=scratch, mode="w") as layer:
            layer.add(folder, arcname=".", filter=_fixed)
        scratch.seek(0)
        digest = hashlib.file_digest(scratch, "sha256").hexdigest()
        info = tarfile.TarInfo(f"{digest}/layer.tar")
        info.size = scratch.seek(0, io.SEEK_END)
        scratch.seek(0)
        archive.addfile(_fixed(info), scratch)
    return info.name, f"sha256:{digest}"


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    """Return a member's bytes, following the links that some engines write for repeated layers."""
    member = archive.extractfile(name)
    return member.read() if member else b""


def _add(archive: tarfile.TarFile, name: str, raw: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(raw)
    archive.addfile(_fixed(info), io.BytesIO(raw))


def _fixed(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.mtime = 0
    info.uname = info.gname = "root"
    return info


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
