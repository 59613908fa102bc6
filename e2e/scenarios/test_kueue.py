"""Jobs in queues of the real Kueue: they wait, give way, come back, and nobody fights over them."""

from __future__ import annotations

import json

import pytest
from cluster_user import START_SECONDS, TRAINING_SECONDS, User, a_job, eventually, kubectl
from queues import Queue, with_kueue

pytestmark = pytest.mark.long

TOLD_WITHIN = 15
"""Seconds until a condition shows what Kueue did."""

GRACE = 60
"""Seconds from a place taken back until no pod is left; the trainer has 30 to save."""

AGAIN_WITHIN = 90
"""Seconds from a place given until the job trains again; usually 15."""

SHORT = {"maxSteps": 5, "batchSize": 8, "sequenceLength": 32}
LONG = {"maxSteps": 1000, "batchSize": 8, "sequenceLength": 64}
OFTEN = {"everySteps": 10, "everySeconds": 10}

OURS = "finetune-operator"
"""The operator among those who wrote an object."""


@pytest.fixture(scope="module", autouse=True)
def kueue():
    """The real Kueue, with its webhooks; it goes again, since other stories are about clusters without it."""
    with with_kueue():
        yield


@pytest.fixture
def queue_of(sampled):
    """Make a queue for the user."""
    made: list[Queue] = []

    def make(room: int) -> Queue:
        made.append(Queue(sampled, room))
        return made[-1]

    yield make
    for queue in made:
        queue.close()


@pytest.fixture
def priorities(sampled):
    """Two classes of priority, the lower first."""
    names = [f"{sampled.namespace}-{word}" for word in ("low", "high")]
    for value, name in enumerate(names, start=1):
        kubectl("create", "priorityclass", name, f"--value={value * 100}")
    yield names
    kubectl("delete", "priorityclass", *names)


def queued_job(name: str, **spec: object) -> dict:
    return a_job(name, queueName="team", **spec)


def status(user: User, name: str) -> dict:
    return user.job(name).get("status", {})


def condition(user: User, name: str) -> dict:
    return next(one for one in status(user, name)["conditions"] if one["type"] == "Admitted")


def admitted(user: User, name: str) -> tuple[str, str]:
    found = condition(user, name)
    return found["status"], found["reason"]


def is_admitted(user: User, name: str, want: tuple[str, str], within: float = TOLD_WITHIN) -> None:
    eventually(
        lambda: admitted(user, name) == want if status(user, name) else None,
        within=within,
        waiting_for=f"{name} to be Admitted={want}",
    )


def alive(user: User, name: str) -> list[dict]:
    return [pod for pod in user.pods(name) if pod["status"]["phase"] not in {"Succeeded", "Failed"}]


def no_pod(user: User, name: str) -> None:
    eventually(lambda: not alive(user, name), within=GRACE, waiting_for=f"the pods of {name} to go")


def job_of(user: User, name: str) -> dict:
    (job,) = user.items("jobs", "-l", f"finetune.dev/job-name={name}", "--show-managed-fields")
    return job


def saved(user: User, name: str) -> int:
    user.training(name)

    def step() -> int:
        return (status(user, name).get("checkpoint") or {}).get("step", 0)

    return eventually(step, within=AGAIN_WITHIN, waiting_for=f"a checkpoint of {name}")


def trains_on(user: User, name: str, step: int) -> dict:
    """Wait until a job has gone on from a step or a later one, and return its last attempt."""

    def goes_on() -> dict | None:
        now = status(user, name)
        assert now["checkpoint"]["step"] >= step, "what is saved is not forgotten on the way"
        last = now["attempts"][-1]
        resumed = last.get("resumedFromStep") or 0
        trains = now["phase"] == "Running" and (now.get("progress") or {}).get("step", 0) > resumed
        return last if resumed >= step and trains else None

    return eventually(goes_on, within=AGAIN_WITHIN, waiting_for=f"{name} to train on from step {step}")


def suspended_by(job: dict) -> set[str]:
    """Return who wrote `spec.suspend` of a Job last."""
    return {
        entry["manager"]
        for entry in job["metadata"]["managedFields"]
        if "f:suspend" in entry.get("fieldsV1", {}).get("f:spec", {})
    }


def test_a_job_waits_for_room_in_its_queue_and_trains_once_there_is_some(sampled, queue_of):
    queue = queue_of(0)
    sampled.apply(queued_job("patient", training=SHORT))
    is_admitted(sampled, "patient", ("False", "Queued"))
    eventually(lambda: sampled.items("workloads.kueue.x-k8s.io"), within=TOLD_WITHIN, waiting_for="Kueue to know it")
    words = eventually(
        lambda: "quota" in status(sampled, "patient")["message"] and status(sampled, "patient")["message"],
        within=TOLD_WITHIN,
        waiting_for="Kueue's own reason",
    )
    print(f"\n{words}")
    assert status(sampled, "patient")["phase"] == "Queued"
    assert words.startswith("waits for a place in queue 'team': ")
    assert condition(sampled, "patient")["message"] == words
    assert sampled.pods("patient") == []
    assert job_of(sampled, "patient")["spec"]["suspend"] is True

    queue.set(1)
    is_admitted(sampled, "patient", ("True", "Admitted"), within=START_SECONDS)
    ended = sampled.finished("patient", within=TRAINING_SECONDS)["status"]
    assert ended["phase"] == "Succeeded", ended["message"]
    (attempt,) = ended["attempts"]
    assert attempt["queuedSeconds"] > 0
    eventually(lambda: queue.holders == 0, within=TOLD_WITHIN, waiting_for="its place to be free again")


def test_a_queue_that_is_not_there_is_named_and_the_job_can_be_cancelled(sampled, queue_of):
    queue_of(1)
    sampled.apply(a_job("astray", queueName="teem", training=SHORT))
    eventually(
        lambda: "LocalQueue teem doesn't exist" in (status(sampled, "astray").get("message") or ""),
        within=TOLD_WITHIN,
        waiting_for="the reason",
    )
    sampled.kubectl("patch", "ftj", "astray", "--type=merge", "-p", '{"spec": {"cancel": true}}')
    assert sampled.finished("astray", within=GRACE)["status"]["phase"] == "Cancelled"


def test_a_job_gives_way_to_a_more_important_one_and_then_goes_on_where_it_was(sampled, queue_of, priorities):
    low, high = priorities
    queue_of(1)
    sampled.apply(queued_job("patient", training=LONG, checkpoints=OFTEN, priorityClassName=low, backoffLimit=0))
    step = saved(sampled, "patient")
    sampled.apply(queued_job("urgent", training=SHORT, priorityClassName=high))
    is_admitted(sampled, "patient", ("False", "Evicted"), within=START_SECONDS)
    no_pod(sampled, "patient")
    eventually(
        lambda: "Preempted" in condition(sampled, "patient")["message"],
        within=TOLD_WITHIN,
        waiting_for="Kueue's own reason",
    )
    print(f"\n{condition(sampled, 'patient')['message']}")
    assert job_of(sampled, "patient")["spec"]["suspend"] is True
    said = status(sampled, "patient")
    assert said["phase"] == "Queued"
    kept = said["checkpoint"]["step"]
    assert kept >= step

    ended = sampled.finished("urgent", within=TRAINING_SECONDS)["status"]
    assert ended["phase"] == "Succeeded", ended["message"]
    is_admitted(sampled, "patient", ("True", "Admitted"), within=START_SECONDS)
    resumed = trains_on(sampled, "patient", kept)
    assert (resumed["number"], resumed.get("reason"), resumed["resumedFromStep"]) == (1, None, kept)
    assert resumed["queuedSeconds"] > 0
    assert suspended_by(job_of(sampled, "patient")).isdisjoint({OURS})


def test_suspending_a_job_in_a_queue_gives_its_place_back_and_is_no_fight_with_the_queue(sampled, queue_of):
    queue = queue_of(1)
    sampled.apply(queued_job("both", training=LONG, checkpoints=OFTEN))
    step = saved(sampled, "both")

    queue.set(1, stop="HoldAndDrain")  # theirs
    is_admitted(sampled, "both", ("False", "Evicted"))
    no_pod(sampled, "both")
    suspend(sampled, "both", wish=True)  # ours, while theirs holds
    sampled.wait_for("finetunejob/both", "condition=Suspended", within=GRACE)
    assert sampled.items("jobs", "-l", "finetune.dev/job-name=both") == []
    queue.set(1)
    suspend(sampled, "both", wish=False)
    second = trains_on(sampled, "both", step)
    assert second["number"] == 2

    suspend(sampled, "both", wish=True)  # ours, while it has its place
    sampled.wait_for("finetunejob/both", "condition=Suspended", within=GRACE)
    eventually(lambda: queue.holders == 0, within=TOLD_WITHIN, waiting_for="its place to be free")
    kept = status(sampled, "both")["checkpoint"]["step"]
    queue.set(0)
    suspend(sampled, "both", wish=False)  # ours is over, theirs is not
    is_admitted(sampled, "both", ("False", "Queued"))
    assert alive(sampled, "both") == []
    queue.set(1)
    third = trains_on(sampled, "both", kept)
    assert third["number"] == 3
    assert [one.get("reason") for one in status(sampled, "both")["attempts"]] == ["Suspended", "Suspended", None]


def suspend(user: User, name: str, *, wish: bool) -> None:
    user.kubectl("patch", "ftj", name, "--type=merge", "-p", json.dumps({"spec": {"suspend": wish}}))
