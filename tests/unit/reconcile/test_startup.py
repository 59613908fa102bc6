"""Why a pod does not run yet."""

import pytest
from builders import a_pod
from finetune_operator.api.v1alpha1.reasons import Reason
from finetune_operator.reconcile.startup import waiting

CASES = {
    "no pod yet": (None, Reason.POD_PENDING, "its pod does not yet"),
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
    "it is being made": (a_pod(waiting_reason="ContainerCreating"), Reason.POD_PENDING, "ContainerCreating"),
    "nothing is known": (a_pod(), Reason.POD_PENDING, "being started"),
}


@pytest.mark.parametrize(("pod", "want_reason", "want_words"), CASES.values(), ids=CASES)
def test_waiting(pod, want_reason, want_words):
    verdict = waiting(pod)
    assert verdict.reason is want_reason
    assert want_words in verdict.message
