"""What a user has: a namespace and kubectl. Every wait has a name, a bound and says what it waited for."""

from __future__ import annotations

import json
import pathlib
import subprocess
import time
import typing
from collections.abc import Callable

ROOT = pathlib.Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "examples/00-models-and-data.yaml"
OPERATOR_NAMESPACE = "finetune-system"

KUBECTL_SECONDS = 60
"""Longest time one kubectl call may take beyond what it waits for."""

SAMPLES_SECONDS = 120
"""Claim provisioned, samples copied; usually 8 s."""

START_SECONDS = 120
"""From apply to a running trainer; usually 5 s, more while other pods use the cores."""

TRAINING_SECONDS = 420
"""A whole example; usually 100 s on two idle cores."""

CHECKPOINT_SECONDS = 90
"""From the first step to a checkpoint of that; usually 10 s."""

SHORT_JOB_SECONDS = 240
"""A job that ends before it trains; usually 15 s, more while other pods use the cores."""

T = typing.TypeVar("T")
Job = dict[str, typing.Any]


class KubectlError(AssertionError):
    """kubectl said no; the message is its own."""


def kubectl(*words: str, stdin: str | None = None, seconds: float = KUBECTL_SECONDS) -> str:
    """Run kubectl and return what it prints."""
    done = subprocess.run(
        ["kubectl", *words], input=stdin, capture_output=True, text=True, check=False, timeout=seconds
    )
    if done.returncode:
        raise KubectlError(f"kubectl {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def eventually(ask: Callable[[], T], *, within: float, waiting_for: str, every: float = 0.5) -> T:
    """Ask until the answer is true, and return it; the last answer or error is part of the failure."""
    began, last = time.monotonic(), "nothing"
    while time.monotonic() - began < within:
        try:
            answer = ask()
        except KubectlError as error:
            last = str(error)
        else:
            if answer:
                return answer
            last = repr(answer)
        time.sleep(every)
    raise AssertionError(f"waited {within:.0f} s for {waiting_for}; last: {last}")


class User:
    """A person who works in one namespace."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace

    def kubectl(self, *words: str, namespaced: bool = True, **options: typing.Any) -> str:
        """Run kubectl in the namespace."""
        return kubectl(*(("-n", self.namespace) if namespaced else ()), *words, **options)

    def apply_file(self, path: pathlib.Path) -> str:
        """Apply a file as it is."""
        return self.kubectl("apply", "-f", str(path))

    def apply(self, manifest: dict[str, typing.Any], *flags: str) -> str:
        """Apply an object."""
        return self.kubectl("apply", *flags, "-f", "-", stdin=json.dumps(manifest))

    def get(self, what: str) -> Job:
        """Read an object."""
        return typing.cast("Job", json.loads(self.kubectl("get", what, "-o", "json")))

    def items(self, what: str, *flags: str) -> list[Job]:
        """Read a list of objects."""
        return typing.cast("list[Job]", json.loads(self.kubectl("get", what, *flags, "-o", "json"))["items"])

    def job(self, name: str) -> Job:
        """Read a FineTuneJob."""
        return self.get(f"finetunejob/{name}")

    def wait_for(self, what: str, condition: str, *, within: float) -> None:
        """Let kubectl wait, as a user's script would."""
        self.kubectl("wait", what, f"--for={condition}", f"--timeout={within:.0f}s", seconds=within + KUBECTL_SECONDS)

    def finished(self, name: str, *, within: float) -> Job:
        """Wait for either end of a job and return it."""
        self.wait_for(f"finetunejob/{name}", "condition=Finished", within=within)
        return self.job(name)

    def pods(self, name: str) -> list[Job]:
        """Read the pods of a FineTuneJob."""
        return self.items("pods", "-l", f"finetune.dev/job-name={name}")

    def training(self, name: str, *, within: float = START_SECONDS) -> Job:
        """Wait until a job has made its first step and return it."""

        def trains() -> Job | None:
            job = self.job(name)
            progress = job.get("status", {}).get("progress") or {}
            return job if progress.get("step", 0) >= 1 else None

        return typing.cast("Job", eventually(trains, within=within, waiting_for=f"the first step of {name}"))

    def status(self, name: str) -> Job:
        """Read the status of a FineTuneJob; empty until there is one."""
        return typing.cast("Job", self.job(name).get("status", {}))

    def reason(self, name: str) -> str:
        """Read what `kubectl get` shows under REASON."""
        return str((self.status(name).get("columns") or {}).get("reason", ""))

    def condition(self, name: str, kind: str) -> Job:
        """Read a condition of a FineTuneJob; empty where it has none of this type."""
        found = (one for one in self.status(name).get("conditions", ()) if one["type"] == kind)
        return typing.cast("Job", next(found, {}))

    def alive(self, name: str) -> list[str]:
        """Name the pods of a FineTuneJob that have not ended."""
        ended = {"Succeeded", "Failed"}
        return [pod["metadata"]["name"] for pod in self.pods(name) if pod["status"]["phase"] not in ended]

    def patch(self, name: str, **spec: object) -> None:
        """Change fields of a FineTuneJob's spec."""
        self.kubectl("patch", "ftj", name, "--type=merge", "-p", json.dumps({"spec": spec}))

    def saved(self, name: str, *, beyond: int = 0, within: float = CHECKPOINT_SECONDS) -> int:
        """Wait until a job that trains has a checkpoint beyond a step, and return its step."""
        self.training(name)

        def step() -> int:
            found = (self.status(name).get("checkpoint") or {}).get("step", 0)
            return int(found) if found > beyond else 0

        return eventually(step, within=within, waiting_for=f"a checkpoint of {name} beyond step {beyond}")

    def trains_in(self, name: str, attempt: int) -> Job:
        """Return the record of an attempt once it trains, empty before."""
        now = self.status(name)
        last = (now.get("attempts") or [{}])[-1]
        trains = last.get("number") == attempt and now.get("phase") == "Running"
        return typing.cast("Job", last if trains else {})


def shared_samples(user: User) -> User:
    """Give a user the claim `samples` in such a way that pods of several nodes can mount it."""
    alone = "accessModes: [ReadWriteOnce]"
    manifest = SAMPLES.read_text(encoding="utf-8")
    assert alone in manifest
    shared = manifest.replace(alone, "accessModes: [ReadWriteMany]\n  storageClassName: shared")
    user.kubectl("apply", "-f", "-", stdin=shared)
    user.wait_for("job/samples", "condition=complete", within=SAMPLES_SECONDS)
    return user


def a_job(name: str, **spec: typing.Any) -> Job:
    """A short job on the samples, with top-level fields of the spec added or replaced."""
    usual = {
        "model": {
            "name": "sentence-transformers/all-MiniLM-L6-v2",
            "source": {"claim": {"name": "samples", "path": "models/all-minilm-l6-v2"}},
        },
        "task": "text-classification",
        "dataset": {
            "source": {"claim": {"name": "samples", "path": "datasets/reviews-train.jsonl"}},
            "validation": {"fraction": 0.02},
        },
        "training": {"maxSteps": 20, "batchSize": 8, "sequenceLength": 64},
    }
    return {
        "apiVersion": "finetune.dev/v1alpha1",
        "kind": "FineTuneJob",
        "metadata": {"name": name},
        "spec": usual | spec,
    }
