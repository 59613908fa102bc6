"""What the operator relies on from Kubernetes' own controllers: each behaviour is one sentence and one function.

A `world` also has `until(ask)`, which waits. Pods' status is written by the tests, as a kubelet does.
"""

from __future__ import annotations

from conformance_of_api import POD, Things, behaviours, owner

RUNNING = {"phase": "Running", "startTime": "2026-01-01T00:00:00Z"}


class Running(Things):
    """Things that move: waits for what controllers do, and plays the kubelet."""

    def pods_of(self, job="reviews-1"):
        labels = {"labelSelector": f"batch.kubernetes.io/job-name={job}"}
        return sorted(
            self.world.request("GET", self.pods, **labels)[1]["items"], key=lambda pod: pod["metadata"]["name"]
        )

    def started(self, count=1, job="reviews-1"):
        """Wait for a Job's pods, place them on a node and let them run."""
        self.world.until(lambda: len(self.pods_of(job)) == count, "pods")
        for pod in self.pods_of(job):
            self.place(pod)
            self.report(pod, RUNNING)
        return self.pods_of(job)

    def place(self, pod):
        name = pod["metadata"]["name"]
        target = {"apiVersion": "v1", "kind": "Node", "name": "node-1"}
        binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": target}
        assert self.world.request("POST", f"{self.pods}/{name}/binding", binding)[0] == 201

    def report(self, pod, status):
        code, answer = self.world.request("PATCH", f"{self.pods}/{pod['metadata']['name']}/status", {"status": status})
        assert code == 200, answer

    def removed(self, pod):
        """What a kubelet does last: the pod's object goes, as soon as nothing else holds it."""
        code, _ = self.world.request("DELETE", f"{self.pods}/{pod['metadata']['name']}", {"gracePeriodSeconds": 0})
        assert code in {200, 404}

    def conditions(self, job="reviews-1"):
        found = self.got(f"{self.jobs}/{job}")
        return {one["type"]: one for one in (found.get("status") or {}).get("conditions") or ()}

    def gone(self, path):
        self.world.until(lambda: self.got(path) == 404, f"{path} to go")


def failed(code=1):
    return {"phase": "Failed", "containerStatuses": [_container({"exitCode": code, "reason": "Error"})]}


def succeeded():
    return {"phase": "Succeeded", "containerStatuses": [_container({"exitCode": 0, "reason": "Completed"})]}


def _container(ending):
    times = {"startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:01:00Z"}
    state = {"terminated": {**ending, **times}}
    image = {"image": "trainer:1", "imageID": "", "ready": False, "restartCount": 0}
    return {"name": "trainer", **image, "state": state}


def a_job_makes_one_pod_that_it_owns_and_tracks(world):
    things = Running(world)
    job = things.job(labels={"a": "b"})
    world.until(things.pods_of, "a pod")
    (pod,) = things.pods_of()
    assert pod["metadata"]["labels"]["a"] == "b"
    assert pod["metadata"]["labels"]["batch.kubernetes.io/controller-uid"] == job["metadata"]["uid"]
    (reference,) = pod["metadata"]["ownerReferences"]
    assert (reference["uid"], reference["controller"]) == (job["metadata"]["uid"], True)
    assert pod["metadata"]["finalizers"] == ["batch.kubernetes.io/job-tracking"]


def a_job_whose_pod_succeeds_is_complete(world):
    things = Running(world)
    things.job()
    (pod,) = things.started()
    things.report(pod, succeeded())
    world.until(lambda: "Complete" in things.conditions(), "the end")
    assert things.conditions()["Complete"]["status"] == "True"
    assert things.got(f"{things.jobs}/reviews-1")["status"]["completionTime"]
    world.until(lambda: not things.pods_of()[0]["metadata"].get("finalizers"), "the pod to be let go")


def a_job_without_retries_fails_with_its_pod(world):
    things = Running(world)
    things.job()
    (pod,) = things.started()
    things.report(pod, failed())
    world.until(lambda: "Failed" in things.conditions(), "the end")
    assert things.conditions()["Failed"]["reason"] == "BackoffLimitExceeded"
    assert things.conditions()["FailureTarget"]["reason"] == "BackoffLimitExceeded"
    assert len(things.pods_of()) == 1


def a_suspended_job_has_no_pods(world):
    things = Running(world)
    things.job(suspend=True)
    world.until(lambda: "Suspended" in things.conditions(), "the condition")
    assert things.conditions()["Suspended"]["status"] == "True"
    assert things.pods_of() == []


def a_resumed_job_gets_its_pod(world):
    things = Running(world)
    things.job(suspend=True)
    world.until(lambda: "Suspended" in things.conditions(), "the condition")
    world.request("PATCH", f"{things.jobs}/reviews-1", {"spec": {"suspend": False}})
    world.until(things.pods_of, "a pod")
    world.until(lambda: things.conditions()["Suspended"]["status"] == "False", "the condition")


def suspending_a_job_stops_its_pod(world):
    things = Running(world)
    things.job()
    things.started()
    world.request("PATCH", f"{things.jobs}/reviews-1", {"spec": {"suspend": True}})
    world.until(lambda: "deletionTimestamp" in things.pods_of()[0]["metadata"], "the pod to be stopped")


def a_pod_that_goes_is_replaced_only_when_it_has_ended(world):
    things = Running(world)
    things.job(backoffLimit=3)
    (pod,) = things.started()
    world.request("DELETE", f"{things.pods}/{pod['metadata']['name']}")
    world.until(lambda: (things.got(f"{things.jobs}/reviews-1")["status"].get("terminating") or 0) == 1, "the count")
    assert [one["metadata"]["uid"] for one in things.pods_of()] == [pod["metadata"]["uid"]]
    things.report(pod, failed(30))
    things.removed(pod)
    world.until(lambda: [p for p in things.pods_of() if p["metadata"]["uid"] != pod["metadata"]["uid"]], "another pod")


def deleting_the_pod_of_a_job_without_retries_fails_the_job(world):
    things = Running(world)
    things.job()
    (pod,) = things.started()
    world.request("DELETE", f"{things.pods}/{pod['metadata']['name']}")
    things.report(pod, failed(30))
    things.removed(pod)
    world.until(lambda: "Failed" in things.conditions(), "the end")
    assert things.conditions()["Failed"]["reason"] == "BackoffLimitExceeded"


def a_pod_that_goes_before_it_has_a_node_fails_the_job(world):
    things = Running(world)
    things.job()
    world.until(things.pods_of, "a pod")
    world.request("DELETE", f"{things.pods}/{things.pods_of()[0]['metadata']['name']}")
    world.until(lambda: "Failed" in things.conditions(), "the end")
    assert things.conditions()["Failed"]["reason"] == "BackoffLimitExceeded"
    assert len(things.pods_of()) <= 1


def suspending_a_job_takes_away_a_pod_on_no_node(world):
    things = Running(world)
    things.job()
    world.until(things.pods_of, "a pod")
    world.request("PATCH", f"{things.jobs}/reviews-1", {"spec": {"suspend": True}})
    world.until(lambda: things.pods_of() == [], "the pod to go")
    assert "Failed" not in things.conditions()


def a_job_past_its_deadline_stops_its_pod_and_fails_when_it_is_gone(world):
    things = Running(world)
    things.job(activeDeadlineSeconds=1)
    (pod,) = things.started()
    world.until(lambda: "FailureTarget" in things.conditions(), "the deadline")
    assert things.conditions()["FailureTarget"]["reason"] == "DeadlineExceeded"
    world.until(lambda: "deletionTimestamp" in things.pods_of()[0]["metadata"], "the pod to be stopped")
    assert "Failed" not in things.conditions()
    things.report(pod, failed(30))
    things.removed(pod)
    world.until(lambda: "Failed" in things.conditions(), "the end")
    assert things.conditions()["Failed"]["reason"] == "DeadlineExceeded"


def a_pod_on_no_node_does_not_hold_a_deadline_up(world):
    things = Running(world)
    things.job(activeDeadlineSeconds=1)
    world.until(lambda: "Failed" in things.conditions(), "the end")
    assert things.conditions()["Failed"]["reason"] == "DeadlineExceeded"
    world.until(lambda: things.pods_of() == [], "the pod to go")


def an_indexed_job_makes_a_pod_for_each_index(world):
    things = Running(world)
    things.job(completionMode="Indexed", completions=2, parallelism=2)
    pods = things.started(2)
    label = "batch.kubernetes.io/job-completion-index"
    assert [pod["metadata"]["labels"][label] for pod in pods] == ["0", "1"]
    things.report(pods[1], succeeded())
    world.until(lambda: things.got(f"{things.jobs}/reviews-1")["status"].get("completedIndexes") == "1", "the index")
    assert "Complete" not in things.conditions()
    things.report(pods[0], succeeded())
    world.until(lambda: "Complete" in things.conditions(), "the end")


def an_indexed_job_whose_rank_fails_stops_the_others(world):
    things = Running(world)
    things.job(completionMode="Indexed", completions=2, parallelism=2)
    first, second = things.started(2)
    things.report(second, failed(20))
    other = f"{things.pods}/{first['metadata']['name']}"
    world.until(lambda: "deletionTimestamp" in things.got(other)["metadata"], "the other pod to be stopped")
    assert "Failed" not in things.conditions()
    things.report(first, failed(30))
    things.removed(first)
    world.until(lambda: "Failed" in things.conditions(), "the end")


def a_pod_that_a_tracking_finalizer_holds_outlives_its_kubelet(world):
    things = Running(world)
    things.job()
    (pod,) = things.started()
    path = f"{things.pods}/{pod['metadata']['name']}"
    world.request("PATCH", path, {"metadata": {"finalizers": ["batch.kubernetes.io/job-tracking", "example.org/hold"]}})
    world.request("DELETE", path)
    things.report(pod, failed(30))
    things.removed(pod)
    world.until(lambda: things.got(path)["metadata"]["finalizers"] == ["example.org/hold"], "the Job to let go")
    world.request("PATCH", path, {"metadata": {"finalizers": None}})
    things.gone(path)


def children_go_when_their_owner_is_gone(world):
    things = Running(world)
    parent = things.fine_tune_job()
    things.config_map(owners=[owner(parent)])
    things.claim(owners=[owner(parent)])
    world.request("DELETE", f"{things.fine_tune_jobs}/reviews")
    things.gone(f"{things.config_maps}/rows")
    things.gone(f"{things.claims}/work")


def a_child_of_a_former_life_goes_although_the_name_is_taken_again(world):
    things = Running(world)
    parent = things.fine_tune_job()
    things.config_map(owners=[owner(parent)])
    world.request("DELETE", f"{things.fine_tune_jobs}/reviews")
    again = things.fine_tune_job()
    things.config_map("new", owners=[owner(again)])
    things.gone(f"{things.config_maps}/rows")
    assert things.got(f"{things.config_maps}/new") != 404


def an_object_owned_by_nobody_stays(world):
    things = Running(world)
    things.config_map()
    parent = things.fine_tune_job()
    things.config_map("child", owners=[owner(parent)])
    world.request("DELETE", f"{things.fine_tune_jobs}/reviews")
    things.gone(f"{things.config_maps}/child")
    assert things.got(f"{things.config_maps}/rows") != 404


def a_foreground_delete_ends_after_the_pods(world):
    things = Running(world)
    things.job()
    (pod,) = things.started()
    world.request("DELETE", f"{things.jobs}/reviews-1", {"propagationPolicy": "Foreground"})
    world.until(lambda: "deletionTimestamp" in things.pods_of()[0]["metadata"], "the pod to be stopped")
    assert things.got(f"{things.jobs}/reviews-1")["metadata"]["finalizers"] == ["foregroundDeletion"]
    things.report(pod, failed(30))
    things.removed(pod)
    things.gone(f"{things.jobs}/reviews-1")
    assert things.pods_of() == []


def a_background_delete_ends_before_the_pods(world):
    things = Running(world)
    things.job()
    (pod,) = things.started()
    world.request("DELETE", f"{things.jobs}/reviews-1", {"propagationPolicy": "Background"})
    assert things.got(f"{things.jobs}/reviews-1") == 404
    world.until(lambda: "deletionTimestamp" in things.pods_of()[0]["metadata"], "the pod to be stopped")
    things.report(pod, failed(30))
    things.removed(pod)
    things.gone(f"{things.pods}/{pod['metadata']['name']}")


def orphans_are_kept(world):
    things = Running(world)
    parent = things.fine_tune_job()
    things.config_map(owners=[owner(parent)])
    world.request("DELETE", f"{things.fine_tune_jobs}/reviews", {"propagationPolicy": "Orphan"})
    things.gone(f"{things.fine_tune_jobs}/reviews")
    assert "ownerReferences" not in things.got(f"{things.config_maps}/rows")["metadata"]


def a_claim_that_a_pod_uses_outlives_its_deletion(world):
    things = Running(world)
    things.claim()
    volume = {"name": "work", "persistentVolumeClaim": {"claimName": "work"}}
    things.made(things.pods, {"metadata": {"name": "user"}, "spec": {**POD, "volumes": [volume], "nodeName": "node-1"}})
    world.request("DELETE", f"{things.claims}/work")
    assert "deletionTimestamp" in things.got(f"{things.claims}/work")["metadata"]
    world.request("DELETE", f"{things.pods}/user", {"gracePeriodSeconds": 0})
    things.gone(f"{things.claims}/work")


def a_claim_that_only_a_pod_on_no_node_names_goes(world):
    things = Running(world)
    things.claim()
    volume = {"name": "work", "persistentVolumeClaim": {"claimName": "work"}}
    things.made(things.pods, {"metadata": {"name": "user"}, "spec": {**POD, "volumes": [volume]}})
    world.request("DELETE", f"{things.claims}/work")
    things.gone(f"{things.claims}/work")


def a_namespace_that_goes_takes_all_with_it_and_nothing_new(world):
    things = Running(world)
    things.fine_tune_job()
    things.config_map(finalizers=["example.org/wait"])
    space = f"/api/v1/namespaces/{world.namespace}"
    assert world.request("DELETE", space)[0] == 200
    things.gone(f"{things.fine_tune_jobs}/reviews")
    code, answer = world.request("POST", things.config_maps, {"metadata": {"name": "late"}})
    assert (code, answer["reason"]) == (403, "Forbidden")
    assert "because it is being terminated" in answer["message"]
    world.request("PATCH", f"{things.config_maps}/rows", {"metadata": {"finalizers": None}})
    things.gone(space)


BEHAVIOURS = behaviours(globals())
