"""The Jobs of attempts are in `test_build`; this one reads a model's config.json."""

import json

from builders import KEY, a_job
from finetune_operator.manifests import names, pod, workload
from finetune_operator.manifests.attempt import Attempt
from finetune_operator.planning.plan import plan
from finetune_operator.planning.profiles import HardwareProfile, Profiles, Toleration, TrainerProfile
from finetune_trainer import contract

MODEL = {"name": "my-team/own", "source": {"claim": {"name": "models", "path": "llama/own"}}}
HARDWARE = HardwareProfile(accelerator="cpu", node_selector={"pool": "a"}, tolerations=(Toleration(operator="Exists"),))


def job(profiles=None, **fields):
    return workload.inspection(KEY, a_job(model=MODEL, **fields), profiles or Profiles())


def pod_spec(profiles=None, **fields):
    return job(profiles, **fields)["spec"]["template"]["spec"]


def trained():
    """The Job of the first attempt at another job."""
    return workload.job(Attempt(KEY, a_job(), plan(a_job(), Profiles()), Profiles(), 1))


def test_it_is_seen_as_a_child_of_the_job_and_is_no_attempt():
    made, attempt = job()["metadata"], trained()["metadata"]
    assert made["name"] == names.inspection(KEY) != attempt["name"]
    assert made["ownerReferences"] == attempt["ownerReferences"]
    assert made["labels"] == attempt["labels"] | {"finetune.dev/attempt": "0"}
    assert job()["spec"]["template"]["metadata"]["labels"] == made["labels"]


def test_its_pod_is_told_where_the_model_lies_and_may_not_write_there():
    template = job()["spec"]["template"]
    run = contract.from_json(contract.InspectionRun, template["metadata"]["annotations"]["finetune.dev/run"])
    mounts = {one["name"]: one for one in template["spec"]["containers"][0]["volumeMounts"]}
    assert run.folder == "/mnt/model/llama/own"
    assert mounts["model"] == {"name": "model", "mountPath": "/mnt/model", "readOnly": True}
    assert set(mounts) == {"run", "scratch", "model"} == {one["name"] for one in template["spec"]["volumes"]}
    claims = [one["persistentVolumeClaim"] for one in template["spec"]["volumes"] if "persistentVolumeClaim" in one]
    assert claims == [{"claimName": "models", "readOnly": True}]


def test_its_pod_is_as_restricted_as_one_that_trains():
    made, training = pod_spec(), trained()["spec"]["template"]["spec"]
    for field in ("securityContext", "automountServiceAccountToken", "enableServiceLinks", "restartPolicy"):
        assert made[field] == training[field]
    assert made["containers"][0]["securityContext"] == training["containers"][0]["securityContext"]


def test_it_asks_for_next_to_nothing_and_no_queue_holds_it_back():
    assert pod_spec()["containers"][0]["resources"] == pod.INSPECTION_RESOURCES
    assert "kueue.x-k8s.io/queue-name" not in json.dumps(job(queueName="team"))
    assert "suspend" not in job(queueName="team")["spec"]


def test_it_is_tried_again_by_kubernetes_and_not_for_ever():
    assert job()["spec"]["backoffLimit"] == workload.INSPECTION_RETRIES


def test_it_has_the_administrators_image_whatever_the_job_names():
    profiles = Profiles(trainer=TrainerProfile(image="registry.example/trainer:2", image_pull_secrets=("pull",)))
    made = pod_spec(profiles, image="registry.example/evil:1")
    assert made["containers"][0]["image"] == "registry.example/trainer:2"
    assert made["imagePullSecrets"] == [{"name": "pull"}]


def test_it_goes_where_the_job_will_train():
    made = pod_spec(Profiles(hardware={"mine": HARDWARE}), hardware={"profile": "mine"}, priorityClassName="high")
    assert made["nodeSelector"] == {"pool": "a"}
    assert made["tolerations"] == [{"operator": "Exists"}]
    assert made["priorityClassName"] == "high"
    assert "nodeSelector" not in pod_spec(Profiles(hardware={"mine": HARDWARE}))


def test_what_a_user_writes_never_reaches_its_command_line_or_environment():
    container = pod_spec()["containers"][0]
    assert "own" not in json.dumps([container["args"], container["env"]])


def test_a_model_at_the_root_of_its_claim_is_read_there():
    made = workload.inspection(KEY, a_job(model={"name": "own", "source": {"claim": {"name": "models"}}}), Profiles())
    assert '"folder":"/mnt/model"' in made["spec"]["template"]["metadata"]["annotations"]["finetune.dev/run"]
