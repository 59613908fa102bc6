"""Installs the operator of this checkout with Helm, as a user would, and waits until it is ready."""

from __future__ import annotations

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
RELEASE, NAMESPACE = "finetune-operator", "finetune-system"
CPU_REQUEST = "500m"
"""CPU that a training pod requests here: two of them shall fit on a machine of two cores."""

ALLOWED_IMAGES = "finetune-trainer:*"
"""Images that a job may name here: one that is not there shows what becomes of a job whose image is not to be had."""

READY = "120s"


def image_id(tag: str) -> str:
    """Return the id of a local image: a new image under the same tag must restart the operator."""
    asked = subprocess.run(
        ["docker", "image", "inspect", "-f", "{{.Id}}", tag], capture_output=True, text=True, check=True
    )
    return asked.stdout.strip().removeprefix("sha256:")[:16]


def main() -> int:
    """Install or upgrade."""
    print(f"install: the operator into namespace {NAMESPACE} with Helm (usually 10 s)", flush=True)
    command = ["helm", "upgrade", "--install", RELEASE, str(ROOT / "charts/finetune-operator")]
    command += ["--namespace", NAMESPACE, "--create-namespace", "--wait", "--timeout", READY]
    command += [
        "--set",
        f"image.tag=dev,config.profiles.cpu.request={CPU_REQUEST},config.profiles.allowedImages={{{ALLOWED_IMAGES}}}",
        "--set-string",
        f"podAnnotations.imageId={image_id('finetune-operator:dev')}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180)
    if done.returncode:
        print(done.stdout + done.stderr, file=sys.stderr)
        print(f"install: failed; look at: kubectl -n {NAMESPACE} get pods,events", file=sys.stderr)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
