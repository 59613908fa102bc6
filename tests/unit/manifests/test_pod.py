"""What a training pod may and may not do."""

import json

import pytest
from builders import KEY, a_job
from finetune_operator.manifests.attempt import Attempt
from finetune_operator.manifests.pod import pod_spec
from finetune_operator.planning.plan import plan
from finetune_operator.planning.profiles import CpuProfile, Profiles, TrainerProfile


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
