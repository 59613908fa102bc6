"""Other people's controllers that a user may have on the cluster: built, loaded, and installed by their own charts.

The charts lie in the same Go modules as the programs, so both are of one version.
Not here: building Go programs; see ``tools.py``.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cache
import images
import kind
import load
import tools
from steps import Failed, Step, ask, demand, run, timed

CERTIFICATE_SECONDS = 60.0
"""From a started controller to the certificate that it makes itself; 3 s is usual."""

READY_SECONDS = 90.0
"""From a certificate to webhooks that answer; 10 s is usual."""

RESOURCES = {"requests": {"cpu": "50m", "memory": "64Mi"}}
"""Little, so that training pods find room beside it."""


@dataclass(frozen=True, slots=True)
class Addon:
    """A controller, the release and namespace that it is installed as, and what its chart is told."""

    name: str
    deployment: str
    values: Mapping[str, Any]
    sample: Mapping[str, Any]
    """An object that its webhooks let pass."""
    left_behind: tuple[str, ...] = ()
    """Kinds that removing its release leaves."""

    @property
    def program(self) -> tools.Program:
        """Return its program."""
        return tools.PROGRAMS[self.name]

    @property
    def namespace(self) -> str:
        """Return the namespace that its own documentation names."""
        return f"{self.name}-system"

    @property
    def secret(self) -> str:
        """Return where it keeps the certificate of its webhooks."""
        return f"{self.name}-webhook-server-cert"

    @property
    def image(self) -> images.Image:
        """Return its image, in which nothing is but the program."""
        version = self.program.module.version
        dockerfile = cache.HERE / "addon.Dockerfile"
        return images.Image(f"finetune-{self.name}:{version}", dockerfile, "3 s", {"manager": self.program.path})


KUEUE_CONFIG = {
    "apiVersion": "config.kueue.x-k8s.io/v1beta2",
    "kind": "Configuration",
    "health": {"healthProbeBindAddress": ":8081"},
    "metrics": {"bindAddress": ":8443"},
    "webhook": {"port": 9443},
    "leaderElection": {"leaderElect": False},
    "integrations": {"frameworks": ["batch/job", "jobset.x-k8s.io/jobset"]},
}
"""Kueue's own defaults but for one replica that need not be elected, and the kinds that we make."""


def _image(name: str) -> dict[str, str]:
    version = tools.PROGRAMS[name].module.version
    return {"repository": f"finetune-{name}", "tag": version, "pullPolicy": "IfNotPresent"}


ADDONS = {
    addon.name: addon
    for addon in (
        Addon(
            "kueue",
            "kueue-controller-manager",
            {
                "controllerManager": {"manager": {"image": _image("kueue"), "resources": RESOURCES}},
                "managerConfig": {"controllerManagerConfigYaml": json.dumps(KUEUE_CONFIG)},
            },
            {
                "apiVersion": "kueue.x-k8s.io/v1beta2",
                "kind": "ResourceFlavor",
                "metadata": {"name": "sample"},
                "spec": {},
            },
        ),
        Addon(
            "jobset",
            "jobset-controller",
            {
                "image": _image("jobset"),
                "controller": {"resources": RESOURCES, "leaderElection": {"enable": False}},
            },
            {
                "apiVersion": "jobset.x-k8s.io/v1alpha2",
                "kind": "JobSet",
                "metadata": {"name": "sample", "namespace": "default"},
                "spec": {"replicatedJobs": []},
            },
            left_behind=("customresourcedefinition/jobsets.jobset.x-k8s.io",),
        ),
    )
}


def install(name: str) -> None:
    """Have an addon on the cluster, its webhooks ready."""
    if kind.state() != "running":
        raise Failed("no cluster is up: run `python3 e2e/cluster up` first")
    addon = ADDONS[name]
    tools.build(name)
    ours = chart(addon)
    image = addon.image
    images.build(image)
    load.whole(image.tag, "2 s")
    with tempfile.NamedTemporaryFile("w", suffix=".json") as values:
        json.dump(addon.values, values)
        values.flush()
        release = ("upgrade", "--install", name, str(ours), "--namespace", addon.namespace, "--create-namespace")
        run(
            Step(
                f"install {name} {addon.program.module.version}",
                (tools.tool("helm"), *release, "--values", values.name),
                usually="5 s",
                deadline=120,
                env=kind.env(),
            )
        )
    with timed(f"wait for {name} (usually 15 s)"):
        _settle(addon)


def remove(name: str) -> None:
    """Take an addon from the cluster, with its kinds; objects of these have to be gone, since it frees them."""
    addon = ADDONS[name]
    run(
        Step(
            f"remove {name}",
            (tools.tool("helm"), "uninstall", name, "--namespace", addon.namespace, "--ignore-not-found", "--wait"),
            usually="3 s",
            deadline=120,
            env=kind.env(),
        )
    )
    for kind_of in addon.left_behind:
        _kubectl("delete", kind_of, "--ignore-not-found")
    _kubectl("delete", "namespace", addon.namespace, "--ignore-not-found", "--wait=false")


def _settle(addon: Addon) -> None:
    """Wait for the webhooks.

    The certificate is made by the controller, written into a Secret, and read back from the volume of it. The kubelet
    looks at volumes once a minute; a change of the pod makes it look at once. And a pod is ready a moment before its
    Service leads to it.
    """
    _until(lambda: _has_certificate(addon), CERTIFICATE_SECONDS, f"{addon.name} has no certificate")
    _kubectl("annotate", "pods", "--all", "--overwrite", f"finetune.dev/look={time.time():.0f}", "-n", addon.namespace)
    _kubectl(
        *(
            "rollout",
            "status",
            f"deployment/{addon.deployment}",
            "-n",
            addon.namespace,
            f"--timeout={READY_SECONDS:.0f}s",
        ),
        within=READY_SECONDS + 5,
    )
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(addon.sample, file)
        file.flush()
        _until(lambda: _passes(file.name), READY_SECONDS, f"the webhooks of {addon.name} do not answer")


def _passes(file: str) -> bool:
    return kind.kubectl("create", "--dry-run=server", "-f", file) is not None


def _has_certificate(addon: Addon) -> bool:
    path = r"jsonpath={.data.tls\.crt}"
    return bool(kind.kubectl("get", "secret", addon.secret, "-n", addon.namespace, "-o", path))


def _until(true: Callable[[], bool], within: float, problem: str) -> None:
    deadline = time.monotonic() + within
    while not true():
        if time.monotonic() > deadline:
            raise Failed(f"{problem} after {within:.0f} s")
        time.sleep(0.3)


def _kubectl(*words: str, within: float = 60.0) -> str:
    return demand([tools.tool("kubectl"), *words], env=kind.env(), within=within)


def chart(addon: Addon) -> Path:
    """Return the addon's chart, kept beside its program."""
    out = addon.program.path.with_name("chart")
    if not out.exists():
        module = addon.program.module
        asked = ask(["go", "-C", str(module.folder), "mod", "download", "-json", module.pin], within=300)
        if asked is None:
            raise Failed(f"the module of {addon.name} can not be read: {tools.GO_MISSING}")
        partial = out.with_name(".chart")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(Path(json.loads(asked)["Dir"]) / "charts" / addon.name, partial, copy_function=shutil.copyfile)
        partial.rename(out)
    return out
