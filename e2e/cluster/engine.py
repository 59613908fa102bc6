"""The container engine: a running Docker where there is one, else a private one that ``down`` stops.

Not here: what is built with it; see ``node_image.py`` and ``images.py``.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import cache
import debian
from steps import Failed, Step, ask, demand, run, say

START_SECONDS = 60.0
STOP_SECONDS = 60.0
CAP_SYS_RESOURCE = 24
ELSEWHERE = (
    "no Docker engine answers: start Docker (or install it, https://docs.docker.com/engine/install/) and retry; "
    "on Debian as root this program installs docker.io and starts a private engine by itself"
)


def data() -> Path:
    """Return the private engine's folder for images, containers and its log."""
    return cache.root() / "engine"


def run_folder() -> Path:
    """Return the folder for socket and pid; short, since a socket's path may hold 107 bytes."""
    return Path("/run") / f"finetune-engine-{cache.key(str(cache.root()))}"


def socket() -> str:
    """Return the private engine's address."""
    return f"unix://{run_folder()}/docker.sock"


def private_pid() -> int | None:
    """Return the private engine's pid while it lives; a pid that now means another program does not count."""
    try:
        pid = int((run_folder() / "docker.pid").read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    return pid if str(data()).encode() in command else None


def env() -> dict[str, str]:
    """Return what the docker and kind commands need in their environment to reach the engine in use."""
    return {"DOCKER_HOST": socket()} if private_pid() else {}


def build_env() -> dict[str, str]:
    """Return the environment of a build: Debian's engine has only the legacy builder."""
    legacy = private_pid() or ask(["docker", "buildx", "version"]) is None
    return {**env(), "DOCKER_BUILDKIT": "0"} if legacy else env()


def ask_version() -> str | None:
    """Return the version of the engine in use, or None when there is none."""
    return ask(["docker", "version", "--format", "{{.Server.Version}}"], env=env())


def answers() -> bool:
    """Tell whether the engine in use is there."""
    return ask_version() is not None


def docker(*arguments: str, within: float = 60.0) -> str:
    """Ask the engine in use something it must answer."""
    return demand(["docker", *arguments], env=env(), within=within)


def image_id(image: str) -> str | None:
    """Return the id of an image the engine has."""
    return ask(["docker", "image", "inspect", "--format", "{{.Id}}", image], env=env())


def ensure() -> None:
    """Have an engine: use the one that answers, else start our own."""
    if answers():
        return
    if not debian.ours():
        raise Failed(ELSEWHERE)
    start_private()


def start_private() -> None:
    """Start a private dockerd: own socket, data and pid; nothing in /etc or /var is touched."""
    dockerd = debian.ensure("dockerd", "docker.io", ELSEWHERE)
    debian.ensure("iptables", "iptables", "install iptables")
    run_folder().mkdir(parents=True, exist_ok=True)
    (run_folder() / "docker.pid").unlink(missing_ok=True)
    log = cache.folder("logs") / "dockerd.log"
    command = [
        dockerd,
        f"--host={socket()}",
        "--data-root",
        str(data()),
        f"--exec-root={run_folder()}/exec",
        f"--pidfile={run_folder()}/docker.pid",
        *_runtime_flags(),
    ]
    say(f"-> start a private Docker engine (usually 1 s; log {log})")
    start = time.monotonic()
    with log.open("ab") as out:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, cwd="/"
        )
    while time.monotonic() - start < START_SECONDS and child.poll() is None:
        if private_pid() and answers():
            say(f"   done in {time.monotonic() - start:.1f} s")
            return
        time.sleep(0.1)
    if child.poll() is None:
        child.terminate()
    tail = "\n".join(f"   | {line}" for line in log.read_text(errors="replace").splitlines()[-10:])
    raise Failed(f"the private Docker engine did not come up; its log, {log}, ends:\n{tail}")


def stop_private() -> None:
    """Stop the private engine, by the pid it wrote itself."""
    pid = private_pid()
    if not pid:
        return
    say("-> stop the private Docker engine")
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while private_pid() and time.monotonic() < deadline:
        time.sleep(0.1)
    if private_pid():
        raise Failed(f"the private Docker engine, pid {pid}, does not stop; see {cache.root()}/logs/dockerd.log")
    shutil.rmtree(run_folder(), ignore_errors=True)


def pull(image: str, probe_seconds: float = 20.0) -> bool:
    """Have an image from a registry if that works: asked quickly first, since there may be no way out at all."""
    if image_id(image):
        return True
    say(f"-> ask for {image} (at most {probe_seconds:.0f} s)")
    if ask(["docker", "manifest", "inspect", image], env=env(), within=probe_seconds) is None:
        say("   it is not to be had from here")
        return False
    run(Step(f"pull {image}", ("docker", "pull", image), usually="1 min", deadline=1200, env=env()))
    return True


def lacks_sys_resource(bounding: str) -> bool:
    """Read a CapBnd line: some machines give even root no CAP_SYS_RESOURCE."""
    return not int(bounding, 16) >> CAP_SYS_RESOURCE & 1


def _runtime_flags() -> tuple[str, ...]:
    """Return the flags that keep privileged containers from asking for what this machine does not hold."""
    status = Path("/proc/self/status").read_text().splitlines()
    bounding = next(line.split()[1] for line in status if line.startswith("CapBnd"))
    if not lacks_sys_resource(bounding):
        return ()
    return (f"--add-runtime=held={held_runtime()}", "--default-runtime=held")


def held_runtime() -> Path:
    """Return the runtime wrapper, copied into the cache: the engine outlives the checkout that started it."""
    source = cache.HERE / "runc-held-caps"
    target = cache.folder("runtime", cache.key(source.read_bytes())) / source.name
    if not target.exists():
        partial = target.with_suffix(".partial")
        shutil.copy(source, partial)  # with its mode
        partial.rename(target)
    return target
