"""A real Kubernetes cluster on this machine: ``python3 e2e/cluster VERB``. README.md says what each verb does.

Standard library only, since it runs before any virtual environment exists. Progress goes to stderr; what a verb
prints on stdout is its result.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import shutil
import signal
import sys
import time

import addons
import cache
import debian
import engine
import images
import kind
import tools
from steps import Failed, say

WAITING = "   another cluster command is at work; waiting for it"


def up() -> None:
    """Have an engine, the tools, a node image and a healthy cluster."""
    engine.ensure()
    tools.user_programs()
    kind.ensure()


def down() -> None:
    """Delete the cluster and stop the engine if it is ours and nothing else runs on it; caches stay."""
    kind.delete()
    if engine.private_pid() and engine.docker("ps", "--quiet"):
        say("   the private engine stays: other containers run on it")
        return
    engine.stop_private()


def build_tools() -> None:
    """Build or find every program that the other verbs and the end-to-end tests need."""
    tools.user_programs()
    tools.control_plane()
    tools.build(*tools.NODE_PROGRAMS, "registry", "kueue", "jobset")
    debian.prometheus()


def prometheus() -> None:
    """Have the prometheus program, which the end-to-end tests run as a process."""
    debian.prometheus()


def load_images() -> None:
    """Build our images and load them into the cluster."""
    if kind.state() != "running":
        raise Failed("no cluster is up: run `python3 e2e/cluster up` first")
    images.ensure()


def samples() -> None:
    """Print the folder of sample models and data, made first if need be."""
    print(images.make_samples())


def control_plane_bin() -> None:
    """Print the folder that holds etcd and kube-apiserver."""
    with _alone_to_build(*tools.CONTROL_PLANE):
        print(tools.control_plane())


def registry_bin() -> None:
    """Print the path of a registry for images, which tests of the trainer run as a process."""
    with _alone_to_build("registry"):
        tools.build("registry")
    print(tools.PROGRAMS["registry"].path)


def _alone_to_build(*programs: str) -> contextlib.AbstractContextManager[None]:
    """Hold the cache alone if a program has to be built: else tests need not wait for another command."""
    built = all(tools.PROGRAMS[name].path.exists() for name in programs)
    return contextlib.nullcontext() if built else cache.lock(WAITING, say)


def kueue() -> None:
    """Install Kueue on the cluster, which a story of the end-to-end tests is about."""
    addons.install("kueue")


def without_kueue() -> None:
    """Take Kueue from the cluster again."""
    addons.remove("kueue")


def jobset() -> None:
    """Install JobSet on the cluster, which a story of the end-to-end tests is about."""
    addons.install("jobset")


def without_jobset() -> None:
    """Take JobSet from the cluster again, with its kind."""
    addons.remove("jobset")


def jobset_crd() -> None:
    """Print the path of JobSet's CRD, which tests put on an API server of their own."""
    print(addons.chart(addons.ADDONS["jobset"]) / "crds/jobset.x-k8s.io_jobsets.yaml")


def environment() -> None:
    """Print export lines for a shell."""
    values = {"PATH": f"{cache.root() / 'path'}:$PATH", **kind.env(), "FINETUNE_CLUSTER": kind.name()}
    for variable, value in values.items():
        quoted = f'"{value}"' if variable == "PATH" else shlex.quote(value)
        print(f"export {variable}={quoted}")


def status() -> None:
    """Print what there is, on one screen."""
    version = engine.ask_version()
    whose = "our own, private" if engine.private_pid() else "this machine's"
    found = kind.state() if version else "absent"
    print(f"cache        {cache.root()}")
    print(f"engine       {f'Docker {version} ({whose})' if version else 'none'}")
    print(f"cluster      {kind.name()}: {found}")
    for name, program in tools.PROGRAMS.items():
        if name in tools.USER_PROGRAMS:
            print(f"{name:12} {tools.on_path(program) or (program.path if program.path.exists() else 'not built')}")
    if found == "running":
        print(f"healthy      {'yes' if kind.healthy() else 'no'}")
        for deployment, available in kind.deployments():
            print(f"             {deployment}{'' if available else ' (not available)'}")
        for line in images.loaded():
            print(f"image        {line}")
    free = shutil.disk_usage(cache.root() if cache.root().exists() else cache.HERE).free
    print(f"disk free    {free / 2**30:.0f} GiB")


VERBS = {
    "up": (up, True),
    "down": (down, True),
    "tools": (build_tools, True),
    "images": (load_images, True),
    "samples": (samples, True),
    "prometheus": (prometheus, True),
    "kueue": (kueue, True),
    "without-kueue": (without_kueue, True),
    "jobset": (jobset, True),
    "without-jobset": (without_jobset, True),
    "jobset-crd": (jobset_crd, True),
    "control-plane-bin": (control_plane_bin, False),
    "registry-bin": (registry_bin, False),
    "env": (environment, False),
    "status": (status, False),
}
"""Each verb with whether it changes the cache, and so has to hold it alone."""


def main() -> int:
    """Run one verb."""
    parser = argparse.ArgumentParser(prog="python3 e2e/cluster", description=__doc__)
    parser.add_argument("verb", choices=VERBS)
    verb, alone = VERBS[parser.parse_args().verb]
    start = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a step at work is ended too
    try:
        if alone:
            with cache.lock(WAITING, say):
                verb()
            say(f"{time.monotonic() - start:.1f} s in all")
        else:
            verb()
    except (Failed, TimeoutError) as problem:
        say(f"cluster: {problem}")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main())
