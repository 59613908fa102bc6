"""How the facts are read out of API objects."""

import pytest
from builders import a_job
from finetune_operator.api import timestamps
from finetune_operator.api.identity import JobKey
from finetune_operator.cluster import reading
from finetune_operator.cluster.reading import as_job
from finetune_operator.planning.profiles import Profiles
from finetune_operator.reconcile.snapshot import InvalidSpec

KEY = JobKey("team", "reviews", "uid-1")
MOMENT = "2026-01-01T00:00:00Z"
AT = timestamps.parse(MOMENT)
LABELS = {"finetune.dev/job-name": "reviews", "finetune.dev/job-uid": "uid-1", "finetune.dev/attempt": "3"}


def workload(*, spec=None, metadata=None, **status):
    own = {"namespace": "team", "name": "reviews-3", "uid": "j", "labels": LABELS, "creationTimestamp": MOMENT}
    return reading.workload({"metadata": own | (metadata or {}), "spec": spec or {}, "status": status})


def pod(*, metadata=None, gone_at=None, **status):
    own = {"namespace": "team", "name": "reviews-3-x", "uid": "p", "labels": LABELS, "creationTimestamp": MOMENT}
    body = {"metadata": own | (metadata or {}), "spec": {"nodeName": "node"}, "status": status}
    return reading.pod(body, gone_at)


def container(**state):
    return [{"name": "sidecar", "state": {}}, {"name": "trainer", "state": state}]


def test_the_metadata_of_a_job_is_read():
    metadata = {"name": "reviews", "generation": 2, "creationTimestamp": MOMENT}
    found = reading.meta(KEY, {"metadata": metadata})
    assert (found.key, found.generation, found.created_at, found.deleting) == (KEY, 2, AT, False)
    assert reading.meta(KEY, {"metadata": metadata | {"deletionTimestamp": MOMENT}}).deleting


def test_a_spec_is_read_whole():
    body = {"spec": a_job().model_dump(mode="json", by_alias=True, exclude_none=True)}
    assert reading.spec(body, Profiles()) == a_job()


def test_a_spec_of_another_version_is_told_with_its_field():
    found = reading.spec({"spec": {"task": "poetry"}}, Profiles())
    assert isinstance(found, InvalidSpec)
    assert found.message.startswith("spec.")


def test_what_cannot_be_read_of_a_status_does_not_hide_the_rest():
    attempt = {"number": 1, "job": "reviews-1", "endTime": MOMENT}
    found = reading.status({"status": {"conditions": "?", "phase": "Dreaming", "attempts": [attempt]}})
    assert (found.conditions, found.phase, found.attempts[0].end_time) == ((), None, MOMENT)
    assert reading.status({}).attempts == ()


def test_fields_that_a_newer_version_wrote_do_not_make_a_job_forget_its_attempts():
    attempt = {"number": 1, "job": "reviews-1", "endTime": MOMENT, "weather": "fine"}
    assert reading.status({"status": {"attempts": [attempt], "mood": "good"}}).attempts[0].end_time == MOMENT


@pytest.mark.parametrize(
    ("kind", "complete", "reason"), [("Complete", True, None), ("Failed", False, "DeadlineExceeded")]
)
def test_the_end_of_a_job_is_read_from_its_conditions(kind, complete, reason):
    condition = {"type": kind, "status": "True", "lastTransitionTime": MOMENT, "reason": reason}
    found = workload(conditions=[condition])
    assert (found.attempt, found.complete, found.failed_reason, found.finished_at) == (3, complete, reason, AT)


def test_an_active_job_has_no_end():
    found = workload(active=1, startTime=MOMENT)
    assert (found.finished_at, found.started_at, found.suspended, found.deleting) == (None, AT, False, False)


def test_a_job_that_is_held_back_tells_since_when():
    condition = {"type": "Suspended", "status": "True", "lastTransitionTime": MOMENT, "message": "Job suspended"}
    found = workload(spec={"suspend": True, "parallelism": 2}, conditions=[condition])
    assert (found.suspended, found.suspended_at, found.suspended_message) == (True, AT, "Job suspended")
    assert (found.pods, found.started_at) == (2, None)


def test_what_the_plan_gave_way_to_is_read_from_the_job():
    told = {"finetune.dev/rung": "2", "finetune.dev/memory-raises": "x", "finetune.dev/change": "microBatchSize 4"}
    found = workload(metadata={"annotations": told, "deletionTimestamp": MOMENT})
    assert (found.rung, found.memory_raises, found.change, found.deleting) == (2, 0, "microBatchSize 4", True)


def test_a_pod_that_no_node_takes_says_why():
    condition = {"type": "PodScheduled", "status": "False", "message": "Insufficient memory"}
    assert pod(conditions=[condition]).unschedulable == "Insufficient memory"
    assert pod(conditions=[condition | {"status": "True"}]).unschedulable == ""


def test_a_pod_that_waits_says_for_what():
    found = pod(containerStatuses=container(waiting={"reason": "ErrImagePull", "message": "no"}))
    assert (found.waiting_reason, found.waiting_message, found.started_at) == ("ErrImagePull", "no", None)


def test_a_running_pod_has_started():
    found = pod(podIP="10.0.0.7", phase="Running", containerStatuses=container(running={"startedAt": MOMENT}))
    assert (found.started_at, found.ending, found.ip, found.node) == (AT, None, "10.0.0.7", "node")
    assert (found.alive, found.rank, found.attempt) == (True, 0, 3)


def test_a_container_that_ended_says_how():
    state = {"exitCode": 10, "reason": "Error", "message": "{}", "startedAt": MOMENT, "finishedAt": MOMENT}
    ending = pod(containerStatuses=container(terminated=state)).ending
    assert (ending.exit_code, ending.reason, ending.message, ending.finished_at) == (10, "Error", "{}", AT)
    assert pod(containerStatuses=container(terminated={"exitCode": 1})).ending.finished_at == 0.0


def test_a_disrupted_pod_says_by_whom():
    condition = {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}
    assert pod(conditions=[condition]).disruption == "PreemptionByScheduler"


def test_a_pod_lives_until_it_has_ended_or_is_gone():
    assert pod(phase="Running", metadata={"deletionTimestamp": MOMENT}).alive
    assert pod(phase="Running", metadata={"deletionTimestamp": MOMENT}).deleting
    assert not pod(phase="Failed").alive
    assert not pod(phase="Running", gone_at=0.0).alive


MADE, RESUMED, ENDED = "2026-01-01T00:00:00Z", "2026-01-01T00:05:00Z", "2026-01-01T01:00:00Z"


def jobset(*conditions, **spec):
    template = {"spec": {"parallelism": 2, "completions": 2, "template": {"spec": {"containers": [{}]}}}}
    said = [
        {"type": kind, "status": status, "lastTransitionTime": moment, "reason": "Why", "message": "in its own words"}
        for kind, status, moment in conditions
    ]
    return {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": {"name": "reviews-3", "uid": "j", "labels": LABELS, "creationTimestamp": MADE},
        "spec": {"replicatedJobs": [{"name": "n", "replicas": 1, "template": template}], **spec},
        "status": {"conditions": said} if said else {},
    }


def read(*conditions, **spec):
    return reading.workload(as_job(jobset(*conditions, **spec)))


def test_its_kind_stays_and_its_pods_are_those_of_its_job():
    found = read()
    assert (found.kind, found.name, found.uid, found.attempt, found.pods) == ("JobSet", "reviews-3", "j", 3, 2)
    assert "template" not in as_job(jobset())["spec"], "it is the heavier part, and nobody reads it"


HELD = ("Suspended", "True", MADE)
STARTS = {
    "it was never held back": ([], {}, MADE),
    "a queue has not admitted it": ([], {"suspend": True}, None),
    "its queue holds it back": ([HELD], {"suspend": True}, None),
    "its queue let it go, and it does not know yet": ([HELD], {"suspend": False}, None),
    "its queue let it go": ([("Suspended", "False", RESUMED)], {"suspend": False}, RESUMED),
}


@pytest.mark.parametrize(("conditions", "spec", "want"), STARTS.values(), ids=STARTS)
def test_it_is_active_since(conditions, spec, want):
    found = read(*conditions, **spec)
    assert found.started_at == (timestamps.parse(want) if want else None)
    assert found.suspended == bool(spec.get("suspend"))


def test_its_ends_are_those_of_a_job():
    complete, failed = read(("Completed", "True", ENDED)), read(("Failed", "True", ENDED))
    assert (complete.complete, complete.finished_at) == (True, timestamps.parse(ENDED))
    assert (failed.complete, failed.finished_at) == (False, timestamps.parse(ENDED))
    assert (failed.failed_reason, failed.failed_message) == ("Why", "in its own words")
    assert read(("Completed", "False", ENDED)).finished_at is None


def test_a_job_is_left_as_it_is():
    job = {"kind": "Job", "metadata": {"name": "reviews-3"}}
    assert as_job(job) is job


def test_one_without_jobs_does_not_stop_the_operator():
    assert (
        as_job({"kind": "JobSet", "metadata": {"name": "odd", "creationTimestamp": MADE}})["spec"]["parallelism"] == 1
    )
