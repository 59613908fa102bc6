"""What the operator relies on from an API server: each behaviour is one sentence and one function.

They run against the model here and against a real API server in tests/integration/test_conformance.py. A `world` has
`request(method, path, body, patch=..., **query)`, which returns an HTTP status and an answer, and a `namespace` of its
own.
"""

from __future__ import annotations

import copy
import inspect

from finetune_operator.api import keys

MERGE, APPLY = "merge-patch", "apply-patch"
ANOTHER = "00000000-0000-4000-8000-ffffffffffff"
"""A uid that no object has."""

SPEC = {
    "model": {"name": "tiny-phi3"},
    "task": "chat",
    "dataset": {"source": {"claim": {"name": "data", "path": "rows.jsonl"}}},
}
MANAGER = {"fieldManager": keys.FIELD_MANAGER, "force": "true"}


class Things:
    """Objects of a world, by short words."""

    def __init__(self, world):
        self.world = world
        core, batch = f"/api/v1/namespaces/{world.namespace}", f"/apis/batch/v1/namespaces/{world.namespace}"
        self.jobs = f"{batch}/jobs"
        self.pods, self.config_maps = f"{core}/pods", f"{core}/configmaps"
        self.claims, self.events = f"{core}/persistentvolumeclaims", f"{core}/events"
        self.leases = f"/apis/coordination.k8s.io/v1/namespaces/{world.namespace}/leases"
        self.fine_tune_jobs = f"/apis/{keys.API_VERSION}/namespaces/{world.namespace}/{keys.PLURAL}"

    def made(self, collection, body):
        code, answer = self.world.request("POST", collection, body)
        assert code == 201, answer
        return answer

    def got(self, path):
        code, answer = self.world.request("GET", path)
        return answer if code == 200 else code

    def fine_tune_job(self, name="reviews", **spec):
        body = {"apiVersion": keys.API_VERSION, "kind": keys.KIND, "metadata": {"name": name}, "spec": {**SPEC, **spec}}
        return self.made(self.fine_tune_jobs, body)

    def config_map(self, name="rows", owners=(), **metadata):
        body = {"metadata": {"name": name, "ownerReferences": list(owners), **metadata}, "data": {"a": "1"}}
        return self.made(self.config_maps, body)

    def claim(self, name="work", owners=()):
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        return self.made(self.claims, {"metadata": {"name": name, "ownerReferences": list(owners)}, "spec": spec})

    def job(self, name="reviews-1", owners=(), labels=None, **spec):
        template = {"metadata": {"labels": labels or {}}, "spec": POD}
        body = {
            "metadata": {"name": name, "ownerReferences": list(owners), "labels": labels or {}},
            "spec": {"backoffLimit": 0, "podReplacementPolicy": "Failed", "template": template, **spec},
        }
        return self.made(self.jobs, body)

    def pod(self, name="lonely", **metadata):
        return self.made(self.pods, {"metadata": {"name": name, **metadata}, "spec": POD})


POD = {
    "restartPolicy": "Never",
    "automountServiceAccountToken": False,
    "terminationGracePeriodSeconds": 30,
    "containers": [{"name": "trainer", "image": "trainer:1"}],
}


def owner(body, *, controller=True):
    reference = {"apiVersion": body["apiVersion"], "kind": body["kind"]}
    return {
        **reference,
        "name": body["metadata"]["name"],
        "uid": body["metadata"]["uid"],
        "controller": controller,
        "blockOwnerDeletion": True,
    }


def status_patch(body, status, uid=None):
    return {
        "apiVersion": keys.API_VERSION,
        "kind": keys.KIND,
        "metadata": {"name": body["metadata"]["name"], "uid": uid or body["metadata"]["uid"]},
        "status": status,
    }


def condition(kind, value="True", reason="Because"):
    return {
        "type": kind,
        "status": value,
        "reason": reason,
        "message": "",
        "observedGeneration": 1,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }


def an_object_gets_a_uid_a_version_and_a_generation(world):
    made = Things(world).fine_tune_job()
    assert made["metadata"]["uid"]
    assert int(made["metadata"]["resourceVersion"]) > 0
    assert made["metadata"]["generation"] == 1
    assert made["metadata"]["creationTimestamp"].endswith("Z")


def a_job_of_batch_has_a_generation_too(world):
    assert Things(world).job(suspend=True)["metadata"]["generation"] == 1


def a_status_is_not_taken_at_creation(world):
    things = Things(world)
    body = {"apiVersion": keys.API_VERSION, "kind": keys.KIND, "metadata": {"name": "told"}, "spec": SPEC}
    made = things.made(things.fine_tune_jobs, {**body, "status": {"phase": "Succeeded"}})
    assert "status" not in made


def a_second_object_of_a_name_already_exists(world):
    things = Things(world)
    first = things.config_map()
    code, answer = world.request("POST", things.config_maps, {"metadata": {"name": "rows"}})
    assert (code, answer["reason"]) == (409, "AlreadyExists")
    assert things.got(f"{things.config_maps}/rows")["metadata"]["uid"] == first["metadata"]["uid"]


def an_object_that_is_not_there_is_not_found(world):
    things = Things(world)
    for method, body in [("GET", None), ("DELETE", {}), ("PATCH", {"data": {}})]:
        code, answer = world.request(method, f"{things.config_maps}/none", body)
        assert (code, answer["reason"]) == (404, "NotFound"), method


def a_name_that_is_none_is_invalid(world):
    code, answer = world.request("POST", Things(world).config_maps, {"metadata": {"name": "No_Name"}})
    assert (code, answer["reason"]) == (422, "Invalid")


def a_version_is_not_set_at_creation(world):
    body = {"metadata": {"name": "again", "resourceVersion": "5"}}
    code, answer = world.request("POST", Things(world).config_maps, body)
    assert (code, answer["message"]) == (500, "resourceVersion should not be set on objects to be created")


def nothing_is_made_in_a_namespace_that_is_not_there(world):
    code, answer = world.request("POST", "/api/v1/namespaces/nowhere/configmaps", {"metadata": {"name": "rows"}})
    assert (code, answer["reason"]) == (404, "NotFound")


def an_object_made_again_has_another_uid(world):
    things = Things(world)
    first = things.config_map()
    assert world.request("DELETE", f"{things.config_maps}/rows")[0] == 200
    assert things.config_map()["metadata"]["uid"] != first["metadata"]["uid"]


def a_change_of_the_spec_counts_as_a_generation(world):
    things = Things(world)
    job = things.fine_tune_job()
    path = f"{things.fine_tune_jobs}/reviews"
    code, changed = world.request("PATCH", path, {"spec": {"suspend": True}})
    assert (code, changed["metadata"]["generation"]) == (200, 2)
    assert changed["metadata"]["resourceVersion"] != job["metadata"]["resourceVersion"]


def a_change_of_labels_counts_as_none(world):
    things = Things(world)
    things.fine_tune_job()
    path = f"{things.fine_tune_jobs}/reviews"
    changed = world.request("PATCH", path, {"metadata": {"labels": {"a": "b"}}})[1]
    assert changed["metadata"]["generation"] == 1


def a_change_that_changes_nothing_makes_no_version(world):
    things = Things(world)
    before = things.config_map()
    code, after = world.request("PATCH", f"{things.config_maps}/rows", {"data": {"a": "1"}})
    assert code == 200
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


def a_write_over_an_old_version_conflicts(world):
    things = Things(world)
    old = things.config_map()
    path = f"{things.config_maps}/rows"
    assert world.request("PATCH", path, {"data": {"a": "2"}})[0] == 200
    code, answer = world.request("PUT", path, {**old, "data": {"a": "3"}})
    assert (code, answer["reason"]) == (409, "Conflict")
    assert things.got(path)["data"] == {"a": "2"}


def a_write_over_the_newest_version_is_taken(world):
    things = Things(world)
    old = things.config_map()
    code, new = world.request("PUT", f"{things.config_maps}/rows", {**old, "data": {"a": "3"}})
    assert (code, new["data"]) == (200, {"a": "3"})


def a_write_that_names_another_uid_conflicts(world):
    things = Things(world)
    body = copy.deepcopy(things.config_map())
    body["metadata"] = {"name": "rows", "uid": ANOTHER}
    assert world.request("PUT", f"{things.config_maps}/rows", body)[0] == 409


def a_lease_is_renewed_by_one_of_two(world):
    things = Things(world)
    lease = things.made(things.leases, {"metadata": {"name": "lead"}, "spec": {"holderIdentity": "a"}})
    path = f"{things.leases}/lead"
    assert world.request("PUT", path, {**lease, "spec": {"holderIdentity": "b"}})[0] == 200
    assert world.request("PUT", path, {**lease, "spec": {"holderIdentity": "c"}})[0] == 409
    assert things.got(path)["spec"] == {"holderIdentity": "b"}


def a_merge_for_another_uid_is_invalid_and_no_conflict(world):
    things = Things(world)
    things.config_map()
    other = {"metadata": {"uid": ANOTHER}, "data": {"a": "2"}}
    code, answer = world.request("PATCH", f"{things.config_maps}/rows", other)
    assert (code, answer["reason"]) == (422, "Invalid")
    assert "metadata.uid: Invalid value" in answer["message"]
    assert things.got(f"{things.config_maps}/rows")["data"] == {"a": "1"}


def a_merge_for_an_old_version_conflicts(world):
    things = Things(world)
    old = things.job(suspend=True)["metadata"]["resourceVersion"]
    path = f"{things.jobs}/reviews-1"
    world.request("PATCH", path, {"metadata": {"labels": {"a": "b"}}})
    assert world.request("PATCH", path, {"metadata": {"resourceVersion": old}, "spec": {"suspend": False}})[0] == 409


def a_merge_for_the_right_uid_is_taken(world):
    things = Things(world)
    uid = things.job(suspend=True)["metadata"]["uid"]
    code, job = world.request(
        "PATCH", f"{things.jobs}/reviews-1", {"metadata": {"uid": uid}, "spec": {"suspend": False}}
    )
    assert (code, job["spec"]["suspend"], job["metadata"]["generation"]) == (200, False, 2)


def a_null_in_a_merge_removes_a_field(world):
    things = Things(world)
    things.config_map(labels={"a": "1", "b": "2"})
    changed = world.request("PATCH", f"{things.config_maps}/rows", {"metadata": {"labels": {"a": None}}})[1]
    assert changed["metadata"]["labels"] == {"b": "2"}


def the_template_of_a_job_does_not_change(world):
    things = Things(world)
    things.job(suspend=False)
    patch = {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 5}}}}
    code, answer = world.request("PATCH", f"{things.jobs}/reviews-1", patch)
    assert (code, answer["reason"]) == (422, "Invalid")


def a_spec_that_is_kept_does_not_change(world):
    things = Things(world)
    things.fine_tune_job()
    code, answer = world.request("PATCH", f"{things.fine_tune_jobs}/reviews", {"spec": {"task": "causal-lm"}})
    assert (code, answer["reason"]) == (422, "Invalid")


def a_cancelled_job_stays_cancelled(world):
    things = Things(world)
    things.fine_tune_job(cancel=True)
    assert world.request("PATCH", f"{things.fine_tune_jobs}/reviews", {"spec": {"cancel": False}})[0] == 422


def the_words_of_a_job_are_filled_in(world):
    spec = Things(world).fine_tune_job()["spec"]
    assert (spec["suspend"], spec["cancel"], spec["backoffLimit"]) == (False, False, 3)


def a_status_is_written_apart_from_the_spec(world):
    things = Things(world)
    job = things.fine_tune_job()
    path = f"{things.fine_tune_jobs}/reviews/status"
    patch = {**status_patch(job, {"phase": "Running"}), "spec": {**SPEC, "suspend": True}}
    code, after = world.request("PATCH", path, patch, patch=APPLY, **MANAGER)
    assert (code, after["status"]["phase"], after["spec"]["suspend"]) == (200, "Running", False)
    assert after["metadata"]["generation"] == 1


def a_status_in_a_write_of_the_spec_is_ignored(world):
    things = Things(world)
    things.fine_tune_job()
    patch = {"spec": {"suspend": True}, "status": {"phase": "Failed"}}
    code, after = world.request("PATCH", f"{things.fine_tune_jobs}/reviews", patch)
    assert (code, "status" in after) == (200, False)


def a_status_applied_again_makes_no_version(world):
    things = Things(world)
    job = things.fine_tune_job()
    path = f"{things.fine_tune_jobs}/reviews/status"
    first = world.request("PATCH", path, status_patch(job, {"phase": "Running"}), patch=APPLY, **MANAGER)[1]
    again = world.request("PATCH", path, status_patch(job, {"phase": "Running"}), patch=APPLY, **MANAGER)[1]
    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


def what_a_manager_no_longer_applies_goes(world):
    things = Things(world)
    job = things.fine_tune_job()
    path = f"{things.fine_tune_jobs}/reviews/status"
    rich = {"phase": "Running", "progress": {"phase": "Training", "percent": 1, "step": 1, "updatedAt": TIME}}
    world.request("PATCH", path, status_patch(job, rich), patch=APPLY, **MANAGER)
    after = world.request("PATCH", path, status_patch(job, {"phase": "Pending"}), patch=APPLY, **MANAGER)[1]
    assert after["status"] == {"phase": "Pending"}


TIME = "2026-01-01T00:00:00Z"


def what_another_manager_applied_stays(world):
    things = Things(world)
    job = things.fine_tune_job()
    path = f"{things.fine_tune_jobs}/reviews/status"
    theirs = {"conditions": [condition("Seen")]}
    world.request("PATCH", path, status_patch(job, theirs), patch=APPLY, fieldManager="guest", force="true")
    for ours in (["Running", "Finished"], ["Finished"]):
        status = {"phase": "Running", "conditions": [condition(one) for one in ours]}
        after = world.request("PATCH", path, status_patch(job, status), patch=APPLY, **MANAGER)[1]
        assert {one["type"] for one in after["status"]["conditions"]} == {"Seen", *ours}


def lists_without_keys_are_applied_whole(world):
    things = Things(world)
    job = things.fine_tune_job()
    path = f"{things.fine_tune_jobs}/reviews/status"
    for numbers in ((1, 2), (2,)):
        status = {"attempts": [{"number": number, "job": "x"} for number in numbers]}
        after = world.request("PATCH", path, status_patch(job, status), patch=APPLY, **MANAGER)[1]
        assert [one["number"] for one in after["status"]["attempts"]] == list(numbers)


def a_uid_in_an_applied_status_guards_nothing(world):
    things = Things(world)
    job = things.fine_tune_job()
    path = f"{things.fine_tune_jobs}/reviews/status"
    patch = status_patch(job, {"phase": "Failed"}, uid=ANOTHER)
    assert world.request("PATCH", path, patch, patch=APPLY, **MANAGER)[0] == 200
    assert things.got(path.removesuffix("/status"))["status"] == {"phase": "Failed"}


def a_version_in_an_applied_status_guards_it(world):
    things = Things(world)
    job = things.fine_tune_job()
    path = f"{things.fine_tune_jobs}/reviews/status"
    patch = status_patch(job, {"phase": "Running"})
    patch["metadata"]["resourceVersion"] = job["metadata"]["resourceVersion"]
    assert world.request("PATCH", path, patch, patch=APPLY, **MANAGER)[0] == 200
    later = {**patch, "status": {"phase": "Failed"}}
    code, answer = world.request("PATCH", path, later, patch=APPLY, **MANAGER)
    assert (code, answer["reason"]) == (409, "Conflict")
    assert things.got(path.removesuffix("/status"))["status"] == {"phase": "Running"}


def a_version_of_a_former_life_guards_a_status(world):
    things = Things(world)
    patch = status_patch(old := things.fine_tune_job(), {"phase": "Failed"})
    patch["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"]
    world.request("DELETE", f"{things.fine_tune_jobs}/reviews")
    things.fine_tune_job()
    path = f"{things.fine_tune_jobs}/reviews/status"
    assert world.request("PATCH", path, patch, patch=APPLY, **MANAGER)[0] == 409
    assert "status" not in things.got(path.removesuffix("/status"))


def a_status_of_a_job_that_is_gone_is_not_found(world):
    things = Things(world)
    job = things.fine_tune_job()
    world.request("DELETE", f"{things.fine_tune_jobs}/reviews")
    path = f"{things.fine_tune_jobs}/reviews/status"
    assert world.request("PATCH", path, status_patch(job, {"phase": "Failed"}), patch=APPLY, **MANAGER)[0] == 404


def a_delete_for_another_uid_conflicts(world):
    things = Things(world)
    things.config_map()
    options = {"preconditions": {"uid": ANOTHER}}
    code, answer = world.request("DELETE", f"{things.config_maps}/rows", options)
    assert (code, answer["reason"]) == (409, "Conflict")
    assert things.got(f"{things.config_maps}/rows") != 404


def a_delete_for_the_right_uid_is_done(world):
    things = Things(world)
    uid = things.config_map()["metadata"]["uid"]
    assert world.request("DELETE", f"{things.config_maps}/rows", {"preconditions": {"uid": uid}})[0] == 200
    assert things.got(f"{things.config_maps}/rows") == 404


def a_finalizer_holds_an_object(world):
    things = Things(world)
    things.config_map(finalizers=["example.org/wait"])
    path = f"{things.config_maps}/rows"
    assert world.request("DELETE", path)[0] == 200
    held = things.got(path)
    assert held["metadata"]["deletionTimestamp"]
    assert held["metadata"]["finalizers"] == ["example.org/wait"]
    assert world.request("PATCH", path, {"metadata": {"finalizers": None}})[0] == 200
    assert things.got(path) == 404


def an_object_that_goes_takes_no_new_finalizer(world):
    things = Things(world)
    things.config_map(finalizers=["example.org/wait"])
    path = f"{things.config_maps}/rows"
    world.request("DELETE", path)
    more = {"metadata": {"finalizers": ["example.org/wait", "example.org/more"]}}
    assert world.request("PATCH", path, more)[0] == 422
    world.request("PATCH", path, {"metadata": {"finalizers": None}})


def being_deleted_counts_as_a_generation(world):
    things = Things(world)
    things.fine_tune_job()
    path = f"{things.fine_tune_jobs}/reviews"
    world.request("PATCH", path, {"metadata": {"finalizers": ["example.org/wait"]}})
    world.request("DELETE", path)
    assert things.got(path)["metadata"]["generation"] == 2
    world.request("PATCH", path, {"metadata": {"finalizers": None}})


def a_foreground_delete_waits_by_a_finalizer(world):
    things = Things(world)
    job = things.job(suspend=True)
    pod = things.pod("child", ownerReferences=[owner({**job, "apiVersion": "batch/v1", "kind": "Job"})])
    world.request("PATCH", f"{things.pods}/child", {"metadata": {"finalizers": ["example.org/wait"]}})
    code, answer = world.request("DELETE", f"{things.jobs}/reviews-1", {"propagationPolicy": "Foreground"})
    assert code == 200
    assert "foregroundDeletion" in answer["metadata"]["finalizers"]
    assert things.got(f"{things.jobs}/reviews-1") != 404
    assert pod["metadata"]["uid"]
    world.request("PATCH", f"{things.pods}/child", {"metadata": {"finalizers": None}})


def a_pod_on_no_node_goes_at_once(world):
    things = Things(world)
    things.pod()
    assert world.request("DELETE", f"{things.pods}/lonely")[0] == 200
    assert things.got(f"{things.pods}/lonely") == 404


def a_pod_on_a_node_gets_its_grace(world):
    things = Things(world)
    things.made(things.pods, {"metadata": {"name": "placed"}, "spec": {**POD, "nodeName": "node-1"}})
    assert world.request("DELETE", f"{things.pods}/placed")[0] == 200
    held = things.got(f"{things.pods}/placed")
    assert held["metadata"]["deletionGracePeriodSeconds"] == 30
    world.request("DELETE", f"{things.pods}/placed", {"gracePeriodSeconds": 0})
    assert things.got(f"{things.pods}/placed") == 404


def a_pod_that_has_ended_gets_no_grace(world):
    things = Things(world)
    things.made(things.pods, {"metadata": {"name": "over"}, "spec": {**POD, "nodeName": "node-1"}})
    world.request("PATCH", f"{things.pods}/over/status", {"status": {"phase": "Failed"}})
    world.request("DELETE", f"{things.pods}/over")
    assert things.got(f"{things.pods}/over") == 404


def labels_select(world):
    things = Things(world)
    for name, labels in {"a": {"x": "1"}, "b": {"x": "2"}, "c": {}}.items():
        things.config_map(name, labels=labels)
    for selector, want in {"x=1": "a", "x": "ab", "x!=1,x": "b", "x=1,y": ""}.items():
        items = world.request("GET", things.config_maps, labelSelector=selector)[1]["items"]
        assert "".join(sorted(item["metadata"]["name"] for item in items)) == want, selector


def names_and_reasons_select_events(world):
    things = Things(world)
    for name, reason in {"e1": "Planned", "e2": "Succeeded"}.items():
        about = {"kind": keys.KIND, "namespace": world.namespace, "name": "reviews", "uid": "u"}
        body = {"metadata": {"name": name}, "involvedObject": about, "reason": reason, "type": "Normal"}
        things.made(things.events, body)
    asked = {"fieldSelector": "involvedObject.name=reviews,reason=Planned"}
    items = world.request("GET", things.events, **asked)[1]["items"]
    assert [item["metadata"]["name"] for item in items] == ["e1"]


def a_phase_selects_jobs_and_none_those_without_a_status(world):
    things = Things(world)
    new, begun = things.fine_tune_job("new"), things.fine_tune_job("begun")
    path = f"{things.fine_tune_jobs}/begun/status"
    world.request("PATCH", path, status_patch(begun, {"phase": "Pending"}), patch=APPLY, **MANAGER)
    for selector, want in {"status.phase=": new, "status.phase=Pending": begun}.items():
        items = world.request("GET", things.fine_tune_jobs, fieldSelector=selector)[1]["items"]
        assert [item["metadata"]["name"] for item in items] == [want["metadata"]["name"]], selector


def a_list_tells_the_version_it_was_true_at(world):
    things = Things(world)
    made = things.config_map()
    listed = world.request("GET", things.config_maps)[1]
    assert int(listed["metadata"]["resourceVersion"]) >= int(made["metadata"]["resourceVersion"])


def a_claim_is_protected_while_it_is_used(world):
    assert Things(world).claim()["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]


def versions_grow_over_all_kinds(world):
    things = Things(world)
    made = [things.config_map(), things.job(suspend=True), things.fine_tune_job(), things.claim()]
    versions = [int(body["metadata"]["resourceVersion"]) for body in made]
    assert versions == sorted(set(versions))


def behaviours(found):
    """Return the functions of a module that take a world, by their names as sentences."""
    functions = {name: value for name, value in found.items() if inspect.isfunction(value)}
    return {
        name.replace("_", " "): function
        for name, function in functions.items()
        if list(inspect.signature(function).parameters) == ["world"]
    }


BEHAVIOURS = behaviours(globals())
