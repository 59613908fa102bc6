"""The node image: the stock kindest/node where it is present or can be pulled, else one of our own.

Ours is made of Debian packages and the programs of ``tools.py``; README.md says what kind asks of such an image.
Not here: the cluster made from it; see ``kind.py``.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import archive
import cache
import debian
import engine
import tools
from steps import Failed, Step, ask, demand, run, timed

STOCK = "kindest/node:v1.35.8@sha256:07b2536e30b803ed61d1677a79df6115f798ce64c80f9e22f6ed45afd09323c0"
"""What kind 0.33 was released with for the minor version that we build ourselves."""

SUITE = "bookworm"
PACKAGES = (
    "busybox-static",
    "ca-certificates",
    "conntrack",
    "containerd",
    "containernetworking-plugins",
    "ethtool",
    "iproute2",
    "iptables",
    "kmod",
    "mount",
    "procps",
    "runc",
    "socat",
)
SERVERS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "etcd", "coredns")
IN_NODE = ("kubelet", "kubeadm", "kubectl")
PROXY_FILES = (
    "usr/sbin/*tables*",
    "usr/lib/*-linux-gnu/libxtables.so*",
    "usr/lib/*-linux-gnu/libmnl.so*",
    "usr/lib/*-linux-gnu/libnftnl.so*",
    "usr/lib/*-linux-gnu/xtables",
    "usr/lib/*-linux-gnu/libc.so*",
    "usr/lib/*-linux-gnu/libm.so*",
    "usr/lib/*-linux-gnu/ld-linux*",
    "usr/lib64/*",
    "etc/alternatives/*tables*",
)
"""kube-proxy calls iptables; these are it and its libraries."""
HELPER_COMMANDS = ("sh", "mkdir", "rm", "chmod", "ls")
"""What the storage provisioner's helper pod runs, all of it busybox."""
SMALLER = "usr/share/doc", "usr/share/man", "usr/share/locale", "var/lib/apt/lists", "var/cache/apt"


def ensure() -> str:
    """Return the name of a node image that the engine has."""
    if named := os.environ.get("FINETUNE_NODE_IMAGE"):
        return named
    own = f"localhost/finetune-node:{_key()}"
    if engine.image_id(own):
        return own
    if engine.pull(STOCK):
        return STOCK
    if not debian.ours():
        raise Failed(
            f"no node image: {STOCK.split('@', maxsplit=1)[0]} can not be pulled; `docker load` it, name another with "
            "$FINETUNE_NODE_IMAGE, or run this as root on Debian, where it builds one"
        )
    tools.build(*tools.NODE_PROGRAMS)
    _build(own)
    return own


def debian_base(name: str, packages: tuple[str, ...]) -> str:
    """Return a base image made by debootstrap, named by its packages; built when the engine has none."""
    image = f"localhost/{name}:{cache.key(SUITE, *packages)}"
    if engine.image_id(image):
        return image
    debootstrap = debian.ensure("debootstrap", "debootstrap", "install debootstrap")
    rootfs = cache.root() / "work" / name
    shutil.rmtree(rootfs, ignore_errors=True)
    rootfs.parent.mkdir(parents=True, exist_ok=True)
    mirror = os.environ.get("FINETUNE_DEBIAN_MIRROR")
    run(
        Step(
            f"debootstrap {name}",
            (
                debootstrap,
                "--variant=minbase",
                f"--include={','.join(packages)}",
                SUITE,
                str(rootfs),
                *([mirror] if mirror else []),
            ),
            usually="40 s",
            deadline=900,
            hint="A Debian mirror other than the default is named with $FINETUNE_DEBIAN_MIRROR.",
        )
    )
    for place in SMALLER:
        shutil.rmtree(rootfs / place, ignore_errors=True)
    run(
        Step(
            f"import {name}",
            ("sh", "-c", 'tar -C "$1" -c . | docker import - "$2"', "sh", str(rootfs), image),
            usually="5 s",
            deadline=300,
            env=engine.env(),
        )
    )
    shutil.rmtree(rootfs)
    return image


def _key() -> str:
    """Hash all that goes into our own image."""
    modules = (tools.KUBERNETES, tools.ETCD, tools.COREDNS, tools.PAUSE, tools.LOCAL_PATH)
    return cache.key_of_tree(cache.HERE / "node", SUITE, *PACKAGES, *(module.key for module in modules))


def _build(tag: str) -> None:
    """Stage a context, with the image archive in it, and build."""
    base = debian_base("finetune-node-base", PACKAGES)
    work = cache.root() / "work" / "node"
    shutil.rmtree(work, ignore_errors=True)
    context = work / "context"
    (context / "bin").mkdir(parents=True)
    with timed("write the archive of control-plane and storage images (usually 5 s)"):
        names = _names_kubeadm_wants()
        archive.write_docker_archive(context / "images.tar", _images(work, base, names))
    shutil.copytree(cache.HERE / "node", context, dirs_exist_ok=True)
    for name in IN_NODE:
        shutil.copy2(tools.PROGRAMS[name].path, context / "bin" / name)
    (context / "version").write_text(tools.KUBERNETES.version + "\n")
    pause = next(name for name in names if "/pause:" in name)
    toml = context / "containerd.toml"
    toml.write_text(toml.read_text().replace("@PAUSE@", pause))
    run(
        Step(
            "build the node image",
            ("docker", "build", "--build-arg", f"BASE={base}", "-t", tag, str(context)),
            usually="10 s",
            deadline=600,
            env=engine.build_env(),
        )
    )
    shutil.rmtree(work)
    for old in engine.docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", tag.split(":", 1)[0]).splitlines():
        if old != tag:
            ask(["docker", "image", "rm", old], env=engine.env())  # one that a cluster still runs on stays


def _names_kubeadm_wants() -> list[str]:
    """Ask kubeadm for the images it will look for."""
    kubeadm = str(tools.PROGRAMS["kubeadm"].path)
    version = tools.KUBERNETES.version
    return demand([kubeadm, "config", "images", "list", "--kubernetes-version", version]).splitlines()


def _images(work: Path, base: str, names: list[str]) -> list[archive.FolderImage]:
    """Lay out the images' folders: all servers share one layer under the names that kubeadm wants."""
    servers, pause = work / "servers", work / "pause"
    provisioner, helper = work / "provisioner", work / "helper"
    for path in ("tmp", "run", "etc", "usr/local/bin", "usr/sbin", "usr/lib", "usr/lib64"):
        (servers / path).mkdir(parents=True)
    (servers / "tmp").chmod(0o1777)
    for link in ("lib", "lib64", "sbin"):
        (servers / link).symlink_to(f"usr/{link}")
    _copy_programs(servers / "usr/local/bin", *SERVERS)
    _copy_programs(pause, "pause")
    _copy_programs(provisioner / "usr/local/bin", "local-path-provisioner")
    (helper / "bin").mkdir(parents=True)
    _extract(base, servers, *PROXY_FILES)
    _extract(base, work, "usr/bin/busybox", "bin/busybox")
    shutil.copy2(
        next(path for path in (work / "usr/bin/busybox", work / "bin/busybox") if path.exists()), helper / "bin"
    )
    for command in HELPER_COMMANDS:
        (helper / "bin" / command).symlink_to("busybox")

    def wanted(*words: str) -> tuple[str, ...]:
        return tuple(name for name in names if any(word in name for word in words))

    return [
        archive.FolderImage(servers, wanted("/kube-", "/etcd")),
        archive.FolderImage(servers, wanted("/coredns"), ("/usr/local/bin/coredns",)),
        archive.FolderImage(pause, wanted("/pause"), ("/pause",)),
        archive.FolderImage(provisioner, ("localhost/local-path-provisioner:node",)),
        archive.FolderImage(helper, ("localhost/local-path-helper:node",)),
    ]


def _copy_programs(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        shutil.copy2(tools.PROGRAMS[name].path, folder / name)


def _extract(image: str, folder: Path, *patterns: str) -> None:
    """Take files out of an image; a pattern that matches nothing is no fault, since Debian moves things."""
    container = engine.docker("create", image, "/bin/true")
    try:
        script = 'c=$1 to=$2; shift 2; docker export "$c" | tar -x -C "$to" --wildcards "$@" 2>/dev/null; true'
        demand(["sh", "-c", script, "sh", container, str(folder), *patterns], env=engine.env(), within=120)
    finally:
        engine.docker("rm", container)
