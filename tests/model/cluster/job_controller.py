"""kube-controller-manager's Job controller: pods for Jobs, and Jobs' ends.

Modelled: suspend, backoffLimit, Indexed completion, podReplacementPolicy Failed, activeDeadlineSeconds, the tracking
finalizer and the conditions SuccessCriteriaMet, Complete, FailureTarget, Failed and Suspended.
"""

from __future__ import annotations

from cluster import objects
from cluster.answers import Refused
from cluster.api_server import ApiServer
from cluster.kinds import JOB, POD
from cluster.objects import Body

TRACKING = "batch.kubernetes.io/job-tracking"
ME = "job-controller"


def work(api: ApiServer) -> None:
    """Look at every Job once, and let go of pods whose Job is gone."""
    for job in api.all(JOB):
        found = api.find(JOB, objects.namespace(job), objects.name(job))
        if found is not None:
            sync(api, found)
    for pod in api.all(POD):
        if TRACKING in objects.finalizers(pod) and not _has_living_job(api, pod):
            api.update(POD, objects.without_finalizer(pod, TRACKING))


def sync(api: ApiServer, job: Body) -> None:
    """Bring one Job a step further."""
    if objects.deleting(job):
        return
    pods = _pods(api, job)
    if objects.is_true(job, "Complete") or objects.is_true(job, "Failed"):
        for pod in pods:
            _let_go(api, pod)
        return
    job = _counted(api, job, pods)
    job = _judged(api, job)
    if objects.is_true(job, "FailureTarget") or objects.is_true(job, "SuccessCriteriaMet"):
        _finish(api, job)
    elif job["spec"]["suspend"]:
        _suspend(api, job)
    else:
        _run(api, job)


def _pods(api: ApiServer, job: Body) -> list[Body]:
    mine = objects.uid(job)
    return [pod for pod in api.all(POD, objects.namespace(job)) if objects.controller(pod) == mine]


def _has_living_job(api: ApiServer, pod: Body) -> bool:
    owner = objects.controller(pod)
    return any(objects.uid(job) == owner and not objects.deleting(job) for job in api.all(JOB, objects.namespace(pod)))


def _let_go(api: ApiServer, pod: Body) -> None:
    if TRACKING in objects.finalizers(pod):
        api.update(POD, objects.without_finalizer(pod, TRACKING))


def _counted(api: ApiServer, job: Body, pods: list[Body]) -> Body:
    """Count pods that have ended since the last look, each once: that is what the finalizer is for."""
    status = job.get("status") or {}
    new = [pod for pod in pods if objects.ended(pod) and TRACKING in objects.finalizers(pod)]
    succeeded = {_index(pod) for pod in new if pod["status"]["phase"] == "Succeeded"}
    failed = sum(1 for pod in new if pod["status"]["phase"] == "Failed")
    active = [pod for pod in pods if not objects.ended(pod) and not objects.deleting(pod)]
    going = [pod for pod in pods if not objects.ended(pod) and objects.deleting(pod)]
    counts = {
        "succeeded": (status.get("succeeded") or 0) + len(succeeded) or None,
        "failed": (status.get("failed") or 0) + failed or None,
        "active": len(active) or None,
        "terminating": len(going),
    }
    if job["spec"]["completionMode"] == "Indexed":
        done = {part for part in (status.get("completedIndexes") or "").split(",") if part} | succeeded
        counts["completedIndexes"] = ",".join(sorted(done)) or None
        counts["succeeded"] = len(done) or None
    job = api.update(JOB, objects.with_status(job, **counts), "status")
    for pod in new:
        _let_go(api, pod)
    return job


def _judged(api: ApiServer, job: Body) -> Body:
    if objects.is_true(job, "FailureTarget") or objects.is_true(job, "SuccessCriteriaMet"):
        return job
    status, spec = job.get("status") or {}, job["spec"]
    if (status.get("failed") or 0) > spec["backoffLimit"]:
        return _say(api, job, "FailureTarget", ("BackoffLimitExceeded", "Job has reached the specified backoff limit"))
    if _late(api, job):
        text = "Job was active longer than specified deadline"
        return _say(api, job, "FailureTarget", ("DeadlineExceeded", text))
    if (status.get("succeeded") or 0) >= spec["completions"]:
        return _say(api, job, "SuccessCriteriaMet", ("CompletionsReached", "Reached expected number of succeeded pods"))
    return job


def _late(api: ApiServer, job: Body) -> bool:
    seconds, started = job["spec"].get("activeDeadlineSeconds"), (job.get("status") or {}).get("startTime")
    running = seconds and started and not job["spec"]["suspend"]
    return bool(running) and api.clock.now - objects.parse(started) >= seconds


def _finish(api: ApiServer, job: Body) -> None:
    """Stop what still runs; the end is told when all of it is gone."""
    _stop(api, job)
    pods = _pods(api, job)
    if any(not objects.ended(pod) for pod in pods):
        return
    target = objects.conditions(job).get("FailureTarget")
    if target:
        _say(api, job, "Failed", (target["reason"], target["message"]))
    else:
        finished = objects.with_status(job, completionTime=objects.stamp(api.clock.now))
        _say(api, finished, "Complete", ("CompletionsReached", "Reached expected number of succeeded pods"))


def _suspend(api: ApiServer, job: Body) -> None:
    _stop(api, job)
    if not objects.is_true(job, "Suspended"):
        _say(api, job, "Suspended", ("JobSuspended", "Job suspended"))


def _run(api: ApiServer, job: Body) -> None:
    if objects.is_true(job, "Suspended"):
        job = objects.with_status(job, startTime=objects.stamp(api.clock.now))
        job = _say(api, job, "Suspended", ("JobResumed", "Job resumed"), value="False")
    if not (job.get("status") or {}).get("startTime"):
        job = api.update(JOB, objects.with_status(job, startTime=objects.stamp(api.clock.now)), "status")
    running = {_index(pod) for pod in _pods(api, job) if not objects.ended(pod)}
    done = set(((job.get("status") or {}).get("completedIndexes") or "").split(","))
    indexed = job["spec"]["completionMode"] == "Indexed"
    for index in range(job["spec"]["parallelism"]):
        taken = running | done if indexed else running
        if str(index) not in taken:
            _create(api, job, index if indexed else None)


def _create(api: ApiServer, job: Body, index: int | None) -> None:
    template, name = job["spec"]["template"], objects.name(job)
    labels = {"batch.kubernetes.io/controller-uid": objects.uid(job), "batch.kubernetes.io/job-name": name}
    annotations = dict(template["metadata"].get("annotations") or {})
    if index is not None:
        labels["batch.kubernetes.io/job-completion-index"] = str(index)
        annotations["batch.kubernetes.io/job-completion-index"] = str(index)
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": objects.uid(job)}
    body = {
        "metadata": {
            "generateName": f"{name}-" if index is None else f"{name}-{index}-",
            "labels": {**(template["metadata"].get("labels") or {}), **labels},
            "annotations": annotations,
            "finalizers": [TRACKING],
            "ownerReferences": [{**owner, "controller": True, "blockOwnerDeletion": True}],
        },
        "spec": template["spec"],
    }
    try:
        api.create(POD, objects.namespace(job), body, who=ME)
    except Refused as refused:  # a quota, or a namespace that goes: told by an Event, tried again later
        if refused.reason != "Forbidden":
            raise


def _stop(api: ApiServer, job: Body) -> None:
    for pod in _pods(api, job):
        if not objects.ended(pod) and not objects.deleting(pod):
            api.delete(POD, objects.namespace(pod), objects.name(pod))
    _release_gone(api, job)


def _release_gone(api: ApiServer, job: Body) -> None:
    """Let go of pods that were deleted before they ran on any node: no kubelet will say how they ended."""
    for pod in _pods(api, job):
        if objects.deleting(pod) and not pod["spec"].get("nodeName"):
            _let_go(api, pod)


def _say(api: ApiServer, job: Body, kind: str, because: tuple[str, str], *, value: str = "True") -> Body:
    moment = objects.stamp(api.clock.now)
    condition = {"type": kind, "status": value, "reason": because[0], "message": because[1]}
    said = {**condition, "lastTransitionTime": moment, "lastProbeTime": moment}
    return api.update(JOB, objects.with_condition(job, said), "status")


def _index(pod: Body) -> str:
    return (pod["metadata"].get("annotations") or {}).get("batch.kubernetes.io/job-completion-index", "0")
