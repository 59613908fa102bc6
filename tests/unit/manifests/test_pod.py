"""What a training pod may and may not do."""

import json

import pytest
from builders import KEY, a_job
from finetune_operator.manifests.attempt import Attempt
from finetune_operator.manifests.pod import pod_spec
from finetune_operator.planning.plan import plan
from finetune_operator.planning.profiles import CpuProfile, HardwareProfile, Profiles, Toleration, TrainerProfile


def pod(spec=None, profiles=None):
    spec, profiles = spec or a_job(), profiles or Profiles()
    return pod_spec(Attempt(KEY, spec, plan(spec, profiles), profiles, 1))


def container(**kinds):
    (only,) = pod(**kinds)["containers"]
    return only


def test_the_pod_is_restricted_in_the_words_of_the_pod_security_standards():
    spec = pod()
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    security = container()["securityContext"]
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert security["readOnlyRootFilesystem"] is True


def test_the_pod_gets_no_token_and_no_service_addresses():
    assert pod()["automountServiceAccountToken"] is False
    assert pod()["enableServiceLinks"] is False


def test_memory_requested_is_memory_allowed_and_is_the_plans():
    resources = container()["resources"]
    want = str(plan(a_job(), Profiles()).memory_bytes)
    assert resources["requests"]["memory"] == resources["limits"]["memory"] == want


def test_cpu_is_limited_only_where_the_administrator_says_so():
    assert "cpu" not in container()["resources"]["limits"]
    assert container(profiles=Profiles(cpu=CpuProfile(limit="2")))["resources"]["limits"]["cpu"] == "2"


OFFERED = HardwareProfile(
    accelerator="cpu",
    cpus=6.5,
    node_selector={"pool": "training"},
    tolerations=(Toleration(key="team", value="ml", effect="NoSchedule"), Toleration(operator="Exists")),
    runtime_class_name="gvisor",
    image="registry.example/trainer:fast",
)


def on_offer(profile=OFFERED, **fields):
    """A job on the administrator's hardware, and what is offered."""
    job = a_job(hardware={"profile": "fast"}, **fields)
    return {"spec": job, "profiles": Profiles(hardware={"fast": profile}, cpu=CpuProfile(limit="2"))}


def test_a_pod_goes_where_the_hardware_is():
    spec = pod(**on_offer())
    assert spec["nodeSelector"] == {"pool": "training"}
    assert spec["runtimeClassName"] == "gvisor"
    assert spec["tolerations"] == [
        {"key": "team", "operator": "Equal", "value": "ml", "effect": "NoSchedule"},
        {"operator": "Exists"},
    ]


def test_a_pod_goes_anywhere_where_nothing_says_otherwise():
    placed = {"nodeSelector", "tolerations", "runtimeClassName"}
    assert not placed & set(pod())
    assert not placed & set(pod(**on_offer(HardwareProfile(accelerator="cpu"))))


def test_processors_of_the_hardware_come_in_place_of_the_usual_ones():
    resources = container(**on_offer())["resources"]
    assert resources["requests"]["cpu"] == "6.5"
    assert "cpu" not in resources["limits"]


def test_hardware_that_does_not_count_its_processors_gets_the_usual_ones():
    resources = container(**on_offer(HardwareProfile(accelerator="cpu")))["resources"]
    assert (resources["requests"]["cpu"], resources["limits"]["cpu"]) == ("1", "2")


IMAGES = {
    "the job's own": ({"image": "registry.example/mine:1"}, OFFERED, "registry.example/mine:1"),
    "else that of the hardware": ({}, OFFERED, "registry.example/trainer:fast"),
    "else the administrator's": ({}, HardwareProfile(accelerator="cpu"), "finetune-trainer:dev"),
}


@pytest.mark.parametrize(("fields", "profile", "want"), IMAGES.values(), ids=IMAGES)
def test_the_image_is(fields, profile, want):
    assert container(**on_offer(profile, **fields))["image"] == want


def test_a_priority_class_is_passed_on():
    assert pod(a_job(priorityClassName="low"))["priorityClassName"] == "low"
    assert "priorityClassName" not in pod()


def test_pull_secrets_come_from_the_administrator():
    profiles = Profiles(trainer=TrainerProfile(image_pull_secrets=("mirror",)))
    assert pod(profiles=profiles)["imagePullSecrets"] == [{"name": "mirror"}]
    assert "imagePullSecrets" not in pod()


def test_only_what_must_be_writable_is():
    writable = {m["mountPath"] for m in container()["volumeMounts"] if not m.get("readOnly")}
    assert writable == {"/tmp", "/mnt/work"}


def test_every_mount_has_its_volume():
    spec = a_job(
        dataset={
            "source": {"configMap": {"name": "rows", "key": "rows.jsonl"}},
            "validation": {"source": {"claim": {"name": "held-out"}}},
        },
        output={"destinations": [{"claim": {"name": "mine", "path": "models"}}]},
    )
    volumes = {volume["name"] for volume in pod(spec)["volumes"]}
    assert {mount["name"] for mount in container(spec=spec)["volumeMounts"]} == volumes
    assert {"dataset", "validation", "destination-0", "model", "work", "run", "scratch"} == volumes


@pytest.mark.parametrize("canary", ["canary-label", "canary-completion"])
def test_what_a_user_writes_never_reaches_the_command_line_or_the_environment(canary):
    spec = a_job(dataset={"source": {"claim": {"name": "samples"}}, "columns": {"label": canary, "text": canary}})
    assert canary not in json.dumps(pod(spec))
