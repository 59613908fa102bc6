"""How the pods of a job on several nodes find each other."""

import pytest
from builders import KEY, a_job
from finetune_operator.manifests import names
from finetune_operator.manifests.attempt import Attempt
from finetune_operator.manifests.build import children
from finetune_operator.planning.plan import plan
from finetune_operator.planning.profiles import HardwareProfile, Profiles

SHARED = {"distribution": {"strategy": "ddp"}, "hardware": {"accelerator": "cpu", "nodes": 2}}


def built(number=1, profiles=None, **fields):
    spec, profiles = a_job(**fields), profiles or Profiles()
    objects = children(Attempt(KEY, spec, plan(spec, profiles), profiles, number))
    return {manifest["kind"]: manifest for manifest in objects}


def template(objects):
    return objects["Job"]["spec"]["template"]


def environment(objects):
    (container,) = template(objects)["spec"]["containers"]
    return {each["name"]: each.get("value") for each in container["env"]}


def test_a_job_on_one_node_needs_no_rendezvous():
    objects = built()
    assert "Service" not in objects
    assert (objects["Job"]["spec"]["completions"], objects["Job"]["spec"]["parallelism"]) == (1, 1)
    assert "completionMode" not in objects["Job"]["spec"]
    assert "subdomain" not in template(objects)["spec"]
    assert not {"MASTER_ADDR", "MASTER_PORT"} & environment(objects).keys()


def test_each_node_gets_a_pod_of_its_own_number_and_one_that_fails_ends_all():
    spec = built(**SHARED)["Job"]["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 2, 2)
    assert spec["backoffLimit"] == 0


def test_pods_have_names_before_they_are_ready():
    objects = built(**SHARED)
    service, pod = objects["Service"], template(objects)
    assert (service["spec"]["clusterIP"], service["spec"]["publishNotReadyAddresses"]) == ("None", True)
    assert pod["spec"]["subdomain"] == service["metadata"]["name"] == names.rendezvous(KEY)
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()


@pytest.mark.parametrize("number", [1, 2])
def test_all_meet_at_the_first_pod_of_their_own_attempt(number):
    said = environment(built(number, **SHARED))
    assert said["MASTER_ADDR"] == f"{names.attempt(KEY, number)}-0.{names.rendezvous(KEY)}"
    (container,) = template(built(number, **SHARED))["spec"]["containers"]
    assert {port["name"]: port["containerPort"] for port in container["ports"]}["rendezvous"] == int(
        said["MASTER_PORT"]
    )


def test_the_service_is_the_same_for_each_attempt():
    assert built(1, **SHARED)["Service"] == built(2, **SHARED)["Service"]


def test_its_name_begins_with_a_letter_and_fits():
    longest = KEY.__class__(KEY.namespace, "1" * 50, KEY.uid)
    assert names.rendezvous(longest)[0].isalpha()
    assert len(names.rendezvous(longest)) <= 63


def gpus(**hardware):
    profiles = Profiles(hardware={"gpus": HardwareProfile(accelerator="nvidia-l4", devices_per_node=4, **hardware)})
    return built(profiles=profiles, hardware={"profile": "gpus", "devicesPerNode": 2}, distribution={"strategy": "ddp"})


def test_a_pod_asks_for_as_many_devices_as_it_was_planned():
    (container,) = template(gpus())["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "2"
    (container,) = template(gpus(resource="nvidia.com/mig-3g.40gb"))["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/mig-3g.40gb"] == "2"


def test_processes_on_gpus_of_a_node_have_shared_memory():
    spec = template(gpus())["spec"]
    (mount,) = (each for each in spec["containers"][0]["volumeMounts"] if each["mountPath"] == "/dev/shm")
    (volume,) = (each for each in spec["volumes"] if each["name"] == mount["name"])
    assert volume["emptyDir"] == {"medium": "Memory", "sizeLimit": "2Gi"}
    assert not any(
        each["mountPath"] == "/dev/shm" for each in template(built())["spec"]["containers"][0]["volumeMounts"]
    )
