"""Wheels: fetched on the host and copied into image builds where a build has no package index.

What is to be had as source only is fetched as its archive, which the image build makes a wheel of.

Not here: the builds; see ``images.py``.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import cache
import debian
from steps import Failed, Step, ask, run

PYTHON = (3, 11)
"""The Python in our images; wheels are chosen, and markers judged, by the same one."""

SOURCE_ONLY = ("deepspeed",)
"""Packages without wheels; pip runs their setup script for their metadata, which needs neither compiler nor torch."""


def python() -> str:
    """Return a host Python of the images' version that has pip."""
    wanted = ".".join(map(str, PYTHON))
    candidates = [sys.executable] if sys.version_info[:2] == PYTHON else []
    candidates += [found for name in (f"python{wanted}", "python3") if (found := shutil.which(name))]
    for candidate in candidates:
        if (ask([candidate, "-m", "pip", "--version"]) or "").endswith(f"(python {wanted})"):
            return candidate
    if not debian.ours():
        raise Failed(f"Python {wanted} with pip is missing: install it (python{wanted} and python3-pip) and retry")
    debian.ensure("pip3", "python3-pip", "install python3-pip")
    return "/usr/bin/python3"


def ensure(lock: Path, usually: str) -> Path:
    """Return a folder with every wheel of a lock, checked against the lock's hashes."""
    done = cache.root() / "wheels" / f"{lock.stem}-{cache.key(cache.source_lines(lock))}"
    if done.exists():
        return done
    partial = cache.folder("wheels", f".{done.name}")
    run(
        Step(
            f"fetch the wheels of {lock.name}",
            (
                *(python(), "-m", "pip", "download", "--no-deps", "--require-hashes"),
                *("--only-binary=:all:", f"--no-binary={','.join(SOURCE_ONLY)}"),
                *("--no-cache-dir", "--progress-bar=off", "--dest", str(partial), "-r", str(lock)),
            ),
            usually=usually,
            deadline=1800,
            hint="Wheels come from the package index that pip is set up for.",
            env={"DS_BUILD_OPS": "0", "DS_ACCELERATOR": "cpu"},
        )
    )
    partial.rename(done)
    for old in done.parent.glob(f"{lock.stem}-*"):
        if old != done:
            shutil.rmtree(old)
    return done
