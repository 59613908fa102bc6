"""Go programs: which ones, at which version, built from which pinned module, and where they lie.

Each module under ``go/`` pins its programs with go.mod and go.sum; a build is found by the hash of the module.
Not here: Debian programs; see ``debian.py``.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import cache
from steps import Failed, Step, ask, run

BUILD_ENV = {"CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false -trimpath"}
PLAIN = "-s -w"
GO_MISSING = "go is missing: install Go 1.26 or newer from https://go.dev/dl (or `apt-get install golang`) and retry"


@dataclass(frozen=True, slots=True)
class Module:
    """One folder under go/ whose go.mod pins what is built from it."""

    name: str
    pin: str
    """The required module whose version counts as the programs' own."""

    @property
    def folder(self) -> Path:
        """Return the folder with go.mod."""
        return cache.HERE / "go" / self.name

    @property
    def version(self) -> str:
        """Read the pinned version; go.mod is the one place that names it."""
        found = re.search(
            rf"^\s*(?:require )?{re.escape(self.pin)} (v\S+)", (self.folder / "go.mod").read_text(), re.MULTILINE
        )
        if not found:
            raise Failed(f"{self.folder}/go.mod does not require {self.pin}")
        return found[1]

    @property
    def key(self) -> str:
        """Hash everything in the module, and the flags."""
        return cache.key_of_files(self.folder.iterdir(), PLAIN, *BUILD_ENV.values())

    @property
    def ldflags(self) -> str:
        """Return linker flags; Kubernetes and Helm learn their own version only this way."""
        if self.name == "helm":
            return f"{PLAIN} -X helm.sh/helm/v4/internal/version.version={self.version}"
        if self.name != "kubernetes":
            return PLAIN
        major, minor = self.version.lstrip("v").split(".")[:2]
        facts = (("gitVersion", self.version), ("gitMajor", major), ("gitMinor", minor))
        places = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
        return " ".join([PLAIN, *(f"-X {place}.{fact}={value}" for place in places for fact, value in facts)])


KUBERNETES = Module("kubernetes", "k8s.io/kubernetes")
ETCD = Module("etcd", "go.etcd.io/etcd/server/v3")
COREDNS = Module("coredns", "github.com/coredns/coredns")
PAUSE = Module("pause", "")
LOCAL_PATH = Module("local-path", "github.com/rancher/local-path-provisioner")
KIND = Module("kind", "sigs.k8s.io/kind")
HELM = Module("helm", "helm.sh/helm/v4")
REGISTRY = Module("registry", "github.com/distribution/distribution/v3")
KUEUE = Module("kueue", "sigs.k8s.io/kueue")
JOBSET = Module("jobset", "sigs.k8s.io/jobset")


@dataclass(frozen=True, slots=True)
class Program:
    """One program of a module."""

    name: str
    module: Module
    package: str
    usually: str
    version_command: tuple[str, ...] = ()
    """How a copy on PATH is asked for its version; empty for programs that nobody has on PATH."""
    fitting: str = ""
    """A pattern for the answers that will do."""

    @property
    def path(self) -> Path:
        """Return where our own build lies or will lie."""
        return cache.root() / "bin" / f"{self.module.name}-{self.module.key}" / self.name


PROGRAMS = {
    program.name: program
    for program in (
        Program("kube-apiserver", KUBERNETES, "k8s.io/kubernetes/cmd/kube-apiserver", "3 to 6 min"),
        Program("kube-controller-manager", KUBERNETES, "k8s.io/kubernetes/cmd/kube-controller-manager", "1 to 2 min"),
        Program("kube-scheduler", KUBERNETES, "k8s.io/kubernetes/cmd/kube-scheduler", "6 s"),
        Program("kubelet", KUBERNETES, "k8s.io/kubernetes/cmd/kubelet", "20 s"),
        Program("kube-proxy", KUBERNETES, "k8s.io/kubernetes/cmd/kube-proxy", "10 s"),
        Program("kubeadm", KUBERNETES, "k8s.io/kubernetes/cmd/kubeadm", "20 s"),
        Program(
            "kubectl",
            KUBERNETES,
            "k8s.io/kubernetes/cmd/kubectl",
            "20 s",
            ("version", "--client"),
            r"Client Version: v1\.3[4-9]\.\d+$",
        ),
        Program("etcd", ETCD, ".", "30 s"),
        Program("coredns", COREDNS, ".", "1 min"),
        Program("pause", PAUSE, ".", "1 s"),
        Program("local-path-provisioner", LOCAL_PATH, "github.com/rancher/local-path-provisioner", "30 s"),
        Program("kind", KIND, "sigs.k8s.io/kind", "10 s", ("version",), r"kind v0\.(3[3-9]|[4-9]\d)\.\d+ "),
        Program("helm", HELM, "helm.sh/helm/v4/cmd/helm", "1 to 3 min", ("version", "--short"), r"^v4\.\d+\.\d+"),
        Program("registry", REGISTRY, "github.com/distribution/distribution/v3/cmd/registry", "1 to 2 min"),
        Program("kueue", KUEUE, "sigs.k8s.io/kueue/cmd/kueue", "2 to 4 min"),
        Program("jobset", JOBSET, "sigs.k8s.io/jobset", "1 to 2 min"),
    )
}
NODE_PROGRAMS = tuple(name for name in PROGRAMS if name not in {"kind", "helm", "registry", "kueue", "jobset"})
USER_PROGRAMS = ("kind", "kubectl", "helm")
CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager")


def fits(program: Program, answer: str) -> bool:
    """Judge a version answer line by line; a kubectl "dispatcher" build, for one, is not what it says it is."""
    return any(re.search(program.fitting, line) for line in answer.splitlines())


def on_path(program: Program) -> Path | None:
    """Return a fitting copy on PATH that is not our own link."""
    links = cache.root() / "path"
    for entry in os.environ.get("PATH", "").split(os.pathsep):
        if not program.version_command or not entry or Path(entry) == links:
            continue
        found = shutil.which(program.name, path=entry)
        if found and fits(program, ask([found, *program.version_command]) or ""):
            return Path(found)
    return None


def build(*names: str) -> None:
    """Build what is missing; Go's own build cache makes a second build of the same thing cheap."""
    for program in (PROGRAMS[name] for name in names):
        if program.path.exists():
            continue
        if not shutil.which("go"):
            raise Failed(GO_MISSING)
        program.path.parent.mkdir(parents=True, exist_ok=True)
        partial = program.path.with_suffix(".partial")
        run(
            Step(
                f"build {program.name}",
                ("go", "build", "-ldflags", program.module.ldflags, "-o", str(partial), program.package),
                usually=program.usually,
                deadline=1500,
                hint="Modules come through the Go proxy: check `go env GOPROXY` and the log.",
                cwd=program.module.folder,
                env=BUILD_ENV,
            )
        )
        partial.rename(program.path)


def user_programs() -> Path:
    """Return a folder with kind, kubectl and helm: links to fitting ones on PATH, else to our builds."""
    return _links("path", {name: on_path(PROGRAMS[name]) for name in USER_PROGRAMS})


def control_plane() -> Path:
    """Return a folder with etcd and two Kubernetes servers, which integration tests run as plain processes."""
    return _links("control-plane", dict.fromkeys(CONTROL_PLANE))


def tool(name: str) -> str:
    """Return the path of kind, kubectl or helm as `user_programs` left it."""
    return str(cache.root() / "path" / name)


def _links(folder: str, found: dict[str, Path | None]) -> Path:
    """Point a folder's links at programs found, building those that were not."""
    build(*(name for name, path in found.items() if path is None))
    target = cache.folder(folder)
    for name, path in found.items():
        link, wanted = target / name, path or PROGRAMS[name].path
        if not link.is_symlink() or link.readlink() != wanted:
            fresh = target / f".{name}"
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(wanted)
            fresh.rename(link)
    return target
