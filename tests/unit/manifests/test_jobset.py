"""An attempt on several nodes as a JobSet, where the administrator wants one."""

import pytest
from builders import KEY, a_job
from finetune_operator.api.identity import JobKey
from finetune_operator.manifests import names
from finetune_operator.manifests.attempt import Attempt
from finetune_operator.manifests.build import children
from finetune_operator.planning.plan import plan
from finetune_operator.planning.profiles import MultiNode, Profiles, TrainerProfile

SHARED = {"distribution": {"strategy": "ddp"}, "hardware": {"accelerator": "cpu", "nodes": 2}}
JOBSETS = Profiles(trainer=TrainerProfile(multi_node=MultiNode.JOBSET))


def built(number=1, profiles=JOBSETS, key=KEY, **fields):
    spec = a_job(**(SHARED | fields))
    objects = children(Attempt(key, spec, plan(spec, profiles), profiles, number))
    return {manifest["kind"]: manifest for manifest in objects}


def inner(objects):
    (replicated,) = objects["JobSet"]["spec"]["replicatedJobs"]
    return replicated["template"]


def test_several_nodes_are_one_jobset_with_one_indexed_job_and_no_service_of_ours():
    objects = built()
    assert not {"Job", "Service"} & objects.keys()
    spec = inner(objects)["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 2, 2)
    assert (spec["backoffLimit"], spec["podReplacementPolicy"]) == (0, "Failed")


def test_it_never_restarts_by_itself():
    assert built()["JobSet"]["spec"]["failurePolicy"] == {"maxRestarts": 0}


@pytest.mark.parametrize("number", [1, 3])
def test_it_has_the_name_and_the_owner_of_a_job_of_the_attempt(number):
    metadata, job = built(number)["JobSet"]["metadata"], built(number, Profiles())["Job"]["metadata"]
    assert metadata == job
    assert metadata["name"] == names.attempt(KEY, number)


def test_its_pods_are_found_as_the_attempts_and_its_job_is_not():
    template = inner(built())
    assert "labels" not in template.get("metadata", {})
    assert template["spec"]["template"]["metadata"]["labels"]["finetune.dev/job-uid"] == KEY.uid


def test_all_meet_at_the_first_pod_in_the_network_of_the_jobset():
    objects = built(2)
    pod = inner(objects)["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    said = {each["name"]: each.get("value") for each in container["env"]}
    name = names.attempt(KEY, 2)
    assert said["MASTER_ADDR"] == f"{name}-n-0-0.{name}"
    assert objects["JobSet"]["spec"]["network"] == {"enableDNSHostnames": True, "publishNotReadyAddresses": True}
    assert "subdomain" not in pod, "the JobSet sets it"


def test_a_queue_holds_the_jobset_and_not_its_job():
    objects = built(queueName="team")
    assert objects["JobSet"]["spec"]["suspend"] is True
    assert objects["JobSet"]["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team"
    assert "suspend" not in inner(objects)["spec"]
    assert "suspend" not in built()["JobSet"]["spec"]


JOBS = {
    "one node": (JOBSETS, KEY, {"hardware": {"accelerator": "cpu"}, "distribution": {"strategy": "none"}}),
    "an administrator who wants Jobs": (Profiles(), KEY, {}),
    "a name that begins with a digit": (JOBSETS, JobKey(KEY.namespace, "1st", KEY.uid), {}),
    "a name that leaves no room for those of the pods": (JOBSETS, JobKey(KEY.namespace, "n" * 50, KEY.uid), {}),
}


@pytest.mark.parametrize(("profiles", "key", "fields"), JOBS.values(), ids=JOBS)
def test_it_is_a_job_with(profiles, key, fields):
    assert "JobSet" not in built(profiles=profiles, key=key, **fields)


def test_the_longest_name_fits():
    """The API server's rule: the name of a pod, with its five random characters, has at most 63."""
    longest = max(n for n in range(1, 51) if "JobSet" in built(key=JobKey("team", "n" * n, KEY.uid)))
    name = built(key=JobKey("team", "n" * longest, KEY.uid))["JobSet"]["metadata"]["name"]
    assert len(f"{name}-n-0-1-abcde") == 63
