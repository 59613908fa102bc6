"""Loading: how an image gets from the engine into the node's containerd, and what is dropped there.

A whole image is piped over once. The trainer's code goes on top of a stack that the node has already: an archive
with the code layer alone, whose manifest names the stack's layers in the node's content store.
Not here: building; see ``images.py``.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import archive
import cache
import engine
import kind
from steps import Failed, Step, run, say

CTR = ("ctr", "-n", "k8s.io")
IMPORT = "ctr -n k8s.io images import --all-platforms --snapshotter overlayfs -"
PREFIX = "docker.io/library/"
SEEN_SECONDS = 15.0
"""From an import to the kubelet's view of images knowing it; a second is usual."""


def refs() -> dict[str, str]:
    """Return every image reference in the node with its manifest's digest."""
    rows = [line.split() for line in kind.in_node(*CTR, "images", "ls").splitlines()[1:]]
    return {row[0]: row[2] for row in rows if len(row) > 2}


def in_node() -> dict[str, str]:
    """Return the named images in the node, short, with their ids."""
    known = refs()
    ids = {digest: ref for ref, digest in known.items() if ref.startswith("sha256:")}
    return {ref.removeprefix(PREFIX): ids.get(digest, "") for ref, digest in known.items() if is_name(ref)}


def is_name(ref: str) -> bool:
    """Tell a name that somebody gave from the ids and digests that containerd keeps beside it."""
    return not ref.startswith("sha256:") and "@" not in ref


def whole(tag: str, usually: str) -> None:
    """Load an image with all its layers, unless the node has it."""
    if _is_loaded(tag):
        return
    run(
        Step(
            f"load {tag}",
            ("sh", "-c", f'docker save "$1" | docker exec -i --privileged "$2" {IMPORT}', "sh", tag, kind.node()),
            usually=usually,
            deadline=1500,
            hint="A full disk is the usual reason: `python3 e2e/cluster status` shows what is free.",
            env=engine.env(),
        )
    )
    _remember(tag, _settle(tag, None))


def on_top(tag: str, stack: str, code: str) -> None:
    """Load the code layer of an image whose stack the node has; the whole image if that does not work."""
    if _is_loaded(tag):
        return
    try:
        expected = _import_thin(tag, stack, code)
        _remember(tag, _settle(tag, expected))
    except (Failed, LookupError, StopIteration, ValueError) as problem:
        say(f"   the quick way did not work ({problem}); loading {tag} whole")
        whole(tag, "3 min")


def tidy(keep_stack: str) -> None:
    """Drop old stacks from the node, and ids whose name has moved on; running pods keep what they run."""
    if stale := stale_refs(refs(), keep_stack):
        kind.in_node(*CTR, "images", "rm", *stale)


def stale_refs(known: Mapping[str, str], keep_stack: str) -> list[str]:
    """Return the references that nothing current needs: other stacks, and ids that no name stands for any more."""
    stacks = PREFIX + keep_stack.split(":", maxsplit=1)[0] + ":"
    old = {ref for ref in known if ref.startswith(stacks) and ref != PREFIX + keep_stack}
    current = {digest for ref, digest in known.items() if is_name(ref) and ref not in old}
    return sorted(ref for ref, digest in known.items() if ref in old or digest not in current)


def thin_config(image: Mapping[str, Any], below: list[str], layers: list[bytes]) -> dict[str, Any]:
    """Return an image configuration: the engine's settings for the image, over the node's lower layers and ours."""
    return {
        "architecture": image["Architecture"],
        "os": image["Os"],
        "config": image["Config"],
        "rootfs": {"type": "layers", "diff_ids": [*below, *(archive.digest_of(layer) for layer in layers)]},
    }


def _import_thin(tag: str, stack: str, code: str) -> str:
    """Write the small archive and import it; return the image id it should have."""
    below, diff_ids = _layers_in_node(stack)
    image = json.loads(engine.docker("image", "inspect", tag))[0]
    with tempfile.TemporaryDirectory() as scratch:
        saved, thin = Path(scratch) / "code.tar", Path(scratch) / "thin.tar"
        engine.docker("save", "--output", str(saved), code)
        layers = archive.layers_of(saved)
        config = thin_config(image, diff_ids, layers)
        expected = archive.write_thin_oci(thin, PREFIX + tag, config=config, below=below, layers=layers)
        run(
            Step(
                f"load the code of {tag}",
                ("sh", "-c", f'docker exec -i --privileged "$1" {IMPORT} < "$2"', "sh", kind.node(), str(thin)),
                usually="2 s",
                deadline=120,
                env=engine.env(),
            )
        )
    return expected


def _layers_in_node(stack: str) -> tuple[list[archive.Blob], list[str]]:
    """Return a loaded image's layers as the node's content store has them, and their uncompressed digests.

    Raises:
        Failed: a layer's blob is not there, so an image can not be built upon it.
    """
    manifest = _manifest(refs()[PREFIX + stack])
    blobs = [archive.Blob(item["mediaType"], item["digest"], item["size"]) for item in manifest["layers"]]
    present = set(kind.in_node(*CTR, "content", "ls", "-q").split())
    if missing := [blob.digest for blob in blobs if blob.digest not in present]:
        raise Failed(f"the node dropped {missing[0]}")
    diff_ids: list[str] = _content(manifest["config"]["digest"])["rootfs"]["diff_ids"]
    return blobs, diff_ids


def _manifest(digest: str) -> dict[str, Any]:
    """Return an image's manifest, through an index of several architectures if there is one."""
    manifest = _content(digest)
    if "manifests" not in manifest:
        return manifest
    ours = archive.architecture()
    fitting = (m["digest"] for m in manifest["manifests"] if m.get("platform", {}).get("architecture") == ours)
    return _content(next(fitting))


def _content(digest: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(kind.in_node(*CTR, "content", "get", digest))
    return found


def _settle(tag: str, expected: str | None) -> str:
    """Make sure that the kubelet's view of the tag is the image just imported; return its id.

    containerd's CRI service follows imports by events, and gives a tag that it knew already no reference by id. Taking
    its mark off the tag makes it do both anew, and the reference says when it has.
    """
    target = refs()[PREFIX + tag]
    image_id: str = _manifest(target)["config"]["digest"]
    if expected not in {None, image_id}:
        raise Failed(f"the node has {tag} as {image_id}, not as {expected}")
    kind.in_node(*CTR, "images", "label", PREFIX + tag, "io.cri-containerd.image=")
    deadline = time.monotonic() + SEEN_SECONDS
    while refs().get(image_id) != target:
        if time.monotonic() > deadline:
            raise Failed(f"the node's kubelet does not see {tag} as {image_id} within {SEEN_SECONDS:.0f} s")
        time.sleep(0.1)
    return image_id


def _ledger() -> Path:
    return kind.folder() / "loaded.json"


def _read_ledger() -> dict[str, list[str]]:
    try:
        known: dict[str, Any] = json.loads(_ledger().read_text())
    except (OSError, ValueError):
        return {}
    images: dict[str, list[str]] = known["images"] if known.get("node") == kind.container_id() else {}
    return images


def _is_loaded(tag: str) -> bool:
    """Tell whether the engine's image is what we loaded last and the node still has that."""
    engine_id = engine.image_id(tag)
    return _read_ledger().get(tag) == [engine_id, in_node().get(tag)]


def _remember(tag: str, node_id: str) -> None:
    """Note which engine image became which node image; the two ids differ where layers were put on top."""
    images = {**_read_ledger(), tag: [engine.image_id(tag) or "", node_id]}
    cache.folder("clusters", kind.name())
    _ledger().write_text(json.dumps({"node": kind.container_id(), "images": images}, indent=1))
