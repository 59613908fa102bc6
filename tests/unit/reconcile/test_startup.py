"""Why a pod does not run yet."""

import pytest
from builders import a_job, a_pod, a_workload
from finetune_operator.api.v1alpha1.reasons import STUCK, Reason
from finetune_operator.reconcile.actions import State
from finetune_operator.reconcile.snapshot import InvalidSpec, Trouble
from finetune_operator.reconcile.startup import named, queued, waiting

CASES = {
    "no pod yet": (None, Reason.CREATED, "objects are created"),
    "no node takes it": (
        a_pod(unschedulable="0/1 nodes are available: 1 Insufficient memory."),
        Reason.UNSCHEDULABLE,
        "Insufficient memory",
    ),
    "its image cannot be pulled": (
        a_pod(waiting_reason="ImagePullBackOff", waiting_message="Back-off pulling image"),
        Reason.IMAGE_PULL,
        "Back-off pulling image",
    ),
    "its image cannot be pulled and nobody says why": (
        a_pod(waiting_reason="ErrImagePull"),
        Reason.IMAGE_PULL,
        "ErrImagePull",
    ),
    "its key is missing": (
        a_pod(waiting_reason="CreateContainerConfigError", waiting_message='configmap "rows" not found'),
        Reason.CONTAINER_CONFIG,
        'configmap "rows" not found',
    ),
    "its container is refused without a word": (
        a_pod(waiting_reason="RunContainerError"),
        Reason.CONTAINER_CONFIG,
        "RunContainerError",
    ),
    "it is being made": (a_pod(waiting_reason="ContainerCreating"), Reason.POD_PENDING, "the pod is being started"),
    "nothing is known": (a_pod(), Reason.POD_PENDING, "being started"),
}


@pytest.mark.parametrize(("pod", "want_reason", "want_words"), CASES.values(), ids=CASES)
def test_waiting(pod, want_reason, want_words):
    verdict = waiting(() if pod is None else (pod,), 1, None)
    assert verdict.reason is want_reason
    assert want_words in verdict.message


TROUBLES = {
    "the quota is used up": (
        "FailedCreate",
        'pods "reviews" is forbidden: exceeded quota: team, requested: memory=1Gi',
        Reason.QUOTA_EXCEEDED,
    ),
    "an admission policy forbids the pod": ("FailedCreate", 'violates PodSecurity "restricted"', Reason.POD_REFUSED),
    "a volume cannot be mounted": ("FailedMount", 'MountVolume.SetUp failed for volume "model"', Reason.VOLUME),
    "a volume hangs on another node": ("FailedAttachVolume", "Multi-Attach error for volume", Reason.VOLUME),
    "the pod's network is not ready": ("FailedCreatePodSandBox", "network plugin not ready", Reason.POD_PENDING),
    "an image cannot be pulled": ("Failed", 'Failed to pull image "trainer:1": not found', Reason.IMAGE_PULL),
    "an image is not pulled again yet": ("Failed", "Error: ImagePullBackOff", Reason.IMAGE_PULL),
    "a Secret is missing": ("Failed", 'Error: secret "keys" not found', Reason.CONTAINER_CONFIG),
    "a container cannot be started": ("Failed", "Error: failed to create containerd task", Reason.CONTAINER_CONFIG),
    "nothing is said but a word": ("FailedMount", "", Reason.VOLUME),
}


@pytest.mark.parametrize(("reason", "message", "want"), TROUBLES.values(), ids=TROUBLES)
def test_what_events_tell_is_told_where_pod_and_job_are_silent(reason, message, want):
    verdict = waiting((), 1, Trouble(reason, message))
    assert (verdict.reason, verdict.message) == (want, message or reason)
    assert verdict.reason in STUCK


def test_what_the_pod_itself_tells_counts_more_than_its_events():
    pod = a_pod(waiting_reason="ErrImagePull", waiting_message="not found")
    assert waiting((pod,), 1, Trouble("FailedMount", "old news")).reason is Reason.IMAGE_PULL


def test_of_several_pods_the_one_that_waits_tells_why():
    pods = (a_pod(running=True), a_pod(rank=1, unschedulable="Insufficient cpu"))
    assert waiting(pods, 2, None).reason is Reason.UNSCHEDULABLE


def test_of_several_pods_those_that_are_missing_are_counted():
    assert "1 of 2 pods exist" in waiting((a_pod(running=True),), 2, None).message


def test_a_job_in_a_queue_names_it():
    verdict = queued(a_workload(suspended=True), "team")
    assert (verdict.state, verdict.reason) == (State.QUEUED, Reason.QUEUED)
    assert "queue 'team'" in verdict.message


def test_a_job_in_a_queue_tells_what_that_says_of_it():
    verdict = queued(a_workload(suspended=True), "team", Trouble("Inadmissible", "LocalQueue team doesn't exist"))
    assert verdict.message == "waits for a place in queue 'team': LocalQueue team doesn't exist"


def test_a_job_that_is_held_back_without_a_queue_is_told_as_what_it_is():
    assert "suspended by somebody else" in queued(a_workload(suspended=True), None).message


KEYS = a_job(
    dataset={"source": {"s3": {"uri": "s3://bucket/rows", "secretRef": {"name": "keys"}}}},
)
FIELD = "spec.dataset.source.s3.secretRef: "
LACKS = {
    "the Secret": ("CreateContainerConfigError", 'secret "keys" not found', FIELD),
    "a key of it": (
        "CreateContainerConfigError",
        "couldn't find key AWS_ACCESS_KEY_ID in Secret team/keys",
        FIELD,
    ),
    "another Secret": ("CreateContainerConfigError", 'secret "key" not found', ""),
    "a ConfigMap of that name": ("CreateContainerConfigError", 'configmap "keys" not found', ""),
    "an image": ("ErrImagePull", 'secret "keys" not found', ""),
}


@pytest.mark.parametrize(("reason", "message", "want_field"), LACKS.values(), ids=LACKS)
def test_a_secret_that_is_not_there_is_told_with_the_field_that_names_it(reason, message, want_field):
    found = waiting((a_pod(waiting_reason=reason, waiting_message=message),), 1, None)
    told = named(found, KEYS)
    assert told.message.startswith(want_field + message)
    assert ("goes on by itself" in told.message) == bool(want_field)
    assert named(found, InvalidSpec("no such task")) == found
