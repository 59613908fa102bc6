"""What happens while it is recorded.

A job succeeds, one runs out of memory, one is suspended and resumed, one has bad data, one waits for ever, one names a
model that nobody knows.

Everything is done with kubectl, as a user would. Nothing is pretended: the pod that runs out of memory is killed by the
kernel, because programs beside the trainer take what is left of its limit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from cluster_user import SAMPLES, SAMPLES_SECONDS, Job, User, a_job, eventually

PHASE_SECONDS = 480
"""Longest time until a job is in the phase that its story waits for; usually 30 s."""

TRAINING_SECONDS = 900
"""Longest time that a job may take; usually 100 s, more where other work uses the cores."""

CHECKPOINTS = {"everySteps": 20}
EVALUATION = {"everySteps": 25}
REVIEWS = {"batchSize": 16, "sequenceLength": 64, "maxSteps": 150}
TALKS = {"batchSize": 16, "sequenceLength": 128}
"""Long enough that a curve of the loss has a shape when it is scraped every few seconds."""

FAR_ENOUGH = 45
"""Steps until a story interferes: a few checkpoints, and the rest of the curve still to come."""

EATERS, BYTES_EACH = 24, 100_000_000
"""Programs that take memory in the pod, each less than the trainer, so that the kernel ends the trainer."""

EAT = f"""
import os, time
for _ in range({EATERS}):
    if os.fork() == 0:
        held = bytearray(os.urandom(1)) * {BYTES_EACH}
        time.sleep(20)
        os._exit(0)
time.sleep(20)
"""

JOBS = {
    "good": "reviews",
    "chat": "python-chat",
    "hungry": "hungry",
    "paused": "paused",
    "broken": "broken",
    "waiting": "early",
    "refused": "typo",
}
"""The jobs' names by their story."""


def begin(user: User) -> None:
    """Make the namespace, its samples, and the jobs that need nobody any more."""
    user.kubectl("create", "namespace", user.namespace, namespaced=False)
    label = "pod-security.kubernetes.io/enforce=restricted"
    user.kubectl("label", "namespace", user.namespace, label, namespaced=False)
    user.apply_file(SAMPLES)
    user.wait_for("job/samples", "condition=complete", within=SAMPLES_SECONDS)
    broken = {"source": {"claim": {"name": "samples", "path": "datasets/broken-row-7.jsonl"}}}
    nowhere = {"source": {"claim": {"name": "not-there-yet", "path": "rows.jsonl"}}}
    user.apply(a_job(JOBS["waiting"], dataset=nowhere))
    user.apply(a_job(JOBS["refused"], model={"name": "microsoft/Phi-3-mini"}))
    user.apply(a_job(JOBS["broken"], dataset=broken))


def tell(user: User) -> Iterator[str]:
    """Let everything happen, and name each thing when it has."""
    for story in (_good, _hungry, _paused):
        yield from story(user)


def _good(user: User) -> Iterator[str]:
    user.apply(_reviews("good"))
    yield "applied a job that will succeed"
    user.finished(JOBS["broken"], within=PHASE_SECONDS)
    yield "a job with bad data failed"
    user.finished(JOBS["good"], within=TRAINING_SECONDS)
    yield "a job succeeded"


def _hungry(user: User) -> Iterator[str]:
    user.apply(_chat("hungry", steps=200))
    _until(user, JOBS["hungry"], lambda job: _step(job) >= FAR_ENOUGH, "steps of the job that will run out of memory")
    pod = user.pods(JOBS["hungry"])[0]["metadata"]["name"]
    yield "eating the memory of a pod"
    eating = f"timeout 25 python -c '{EAT}' || true"
    user.kubectl("exec", pod, "--", "sh", "-c", f"({eating}) > /dev/null 2>&1 &")
    _until(user, JOBS["hungry"], lambda job: len(job["status"].get("attempts", ())) > 1, "a second attempt")
    yield "the job runs again"
    user.finished(JOBS["hungry"], within=TRAINING_SECONDS)
    yield "it ended"


def _paused(user: User) -> Iterator[str]:
    user.apply(_reviews("paused"))
    _until(user, JOBS["paused"], lambda job: _step(job) >= FAR_ENOUGH, "steps of the job that will be suspended")
    _suspend(user, suspend=True)
    _until(user, JOBS["paused"], lambda job: job["status"].get("phase") == "Suspended", "the job to be suspended")
    yield "a job is suspended"
    user.apply(_chat("chat", steps=100))
    user.finished(JOBS["chat"], within=TRAINING_SECONDS)
    yield "another job had its devices and ended"
    _suspend(user, suspend=False)
    user.finished(JOBS["paused"], within=TRAINING_SECONDS)
    yield "the suspended job was resumed and ended"


def _reviews(story: str) -> Job:
    return a_job(JOBS[story], training=REVIEWS, checkpoints=CHECKPOINTS, evaluation=EVALUATION)


def _chat(story: str, *, steps: int) -> Job:
    model = {"name": "finetune.dev/tiny-phi3", "source": {"claim": {"name": "samples", "path": "models/tiny-phi3"}}}
    rows = {"source": {"claim": {"name": "samples", "path": "datasets/python-docs-chat.jsonl"}}}
    often = {"checkpoints": CHECKPOINTS, "evaluation": EVALUATION}
    return a_job(JOBS[story], model=model, task="chat", dataset=rows, training=TALKS | {"maxSteps": steps}, **often)


def _suspend(user: User, *, suspend: bool) -> None:
    patch = f'{{"spec": {{"suspend": {str(suspend).lower()}}}}}'
    user.kubectl("patch", "finetunejob", JOBS["paused"], "--type=merge", "-p", patch)


def _until(user: User, name: str, holds: Callable[[Job], bool], waiting_for: str) -> None:
    def ask() -> bool:
        job = user.job(name)
        return "status" in job and holds(job)

    eventually(ask, within=PHASE_SECONDS, waiting_for=waiting_for)


def _step(job: Job) -> int:
    return int((job["status"].get("progress") or {}).get("step", 0))
