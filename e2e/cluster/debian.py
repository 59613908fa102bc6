"""Debian: packages the cluster needs, installed where that is ours to do, named in one line where it is not.

Not here: programs built from Go modules; see ``tools.py``.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from steps import Failed, Step, run

POLICY = Path("/usr/sbin/policy-rc.d")
"""Debian's way to say that installing a package starts no service; asked for by invoke-rc.d."""


def ours() -> bool:
    """Tell whether this machine is a Debian that we are root on."""
    release = Path("/etc/os-release")
    like = release.read_text().splitlines() if release.exists() else []
    return os.geteuid() == 0 and any(line in {"ID=debian", "ID_LIKE=debian"} for line in like)


def ensure(program: str, package: str, elsewhere: str) -> str:
    """Return a program's path, installing its package when it is missing and this is our Debian.

    Raises:
        Failed: one line that says what to install.
    """
    places = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin", "/usr/bin"])
    if found := shutil.which(program, path=places):
        return found
    if not ours():
        raise Failed(f"{program} is missing: {elsewhere}")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    with _no_services():
        run(Step("apt update", ("apt-get", "update", "-q"), usually="10 s", deadline=300, env=quiet))
        run(
            Step(
                f"install {package}",
                ("apt-get", "install", "-q", "-y", "--no-install-recommends", package),
                usually="20 s",
                deadline=600,
                hint=f"Try `apt-get install {package}` by hand.",
                env=quiet,
            )
        )
    if found := shutil.which(program, path=places):
        return found
    raise Failed(f"the package {package} did not bring {program}")


def prometheus() -> str:
    """Return the path of a real Prometheus, which tests run as a host process; have Alertmanager's amtool beside it."""
    ensure("amtool", "prometheus-alertmanager", "install Alertmanager from https://prometheus.io/download onto PATH")
    return ensure("prometheus", "prometheus", "install Prometheus 2 from https://prometheus.io/download onto PATH")


@contextmanager
def _no_services() -> Iterator[None]:
    """Keep packages from starting their service; we start what we need ourselves, with our own settings."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()
