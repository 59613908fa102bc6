"""The objects of an attempt."""

from builders import KEY, a_job
from finetune_operator.api import keys
from finetune_operator.api.v1alpha1.sources import ClaimPath
from finetune_operator.manifests.attempt import Attempt
from finetune_operator.manifests.build import children
from finetune_operator.manifests.run_config import trainer_run
from finetune_operator.planning.plan import plan
from finetune_operator.planning.profiles import Profiles
from finetune_trainer.contract import TrainerRun, from_json


def built(**fields):
    spec, profiles = a_job(**fields), Profiles()
    objects = children(Attempt(KEY, spec, plan(spec, profiles), profiles, 1))
    return {manifest["kind"]: manifest for manifest in objects}


def run_of(**fields):
    """The run that the pods of a job read."""
    metadata = built(**fields)["Job"]["spec"]["template"]["metadata"]
    return from_json(TrainerRun, metadata["annotations"][keys.ANNOTATION_RUN])


def test_every_child_belongs_to_the_job_and_goes_with_it():
    for manifest in built().values():
        (owner,) = manifest["metadata"]["ownerReferences"]
        assert (owner["uid"], owner["controller"], owner["blockOwnerDeletion"]) == (KEY.uid, True, True)
        assert manifest["metadata"]["labels"]["app.kubernetes.io/instance"] == "reviews"


def test_the_job_never_retries_by_itself():
    spec = built()["Job"]["spec"]
    assert (spec["backoffLimit"], spec["podReplacementPolicy"]) == (0, "Failed")
    assert spec["template"]["spec"]["restartPolicy"] == "Never"


def test_the_job_ends_after_what_is_left_of_the_deadline_even_without_the_operator():
    attempt = Attempt(KEY, a_job(activeDeadlineSeconds=60), plan(a_job(), Profiles()), Profiles(), 2, seconds_left=40)
    assert children(attempt)[-1]["spec"]["activeDeadlineSeconds"] == 40
    assert "activeDeadlineSeconds" not in built()["Job"]["spec"]


def test_a_claim_that_is_to_be_kept_is_nobodys():
    own, kept = ({"checkpoints": {"storage": {"template": {"keep": keep}}}} for keep in (False, True))
    assert built(**own)["PersistentVolumeClaim"]["metadata"]["ownerReferences"]
    assert "ownerReferences" not in built(**kept)["PersistentVolumeClaim"]["metadata"]


def test_the_adapter_of_another_job_is_mounted_and_its_path_told():
    adapter = ClaimPath(name="first", path="output/adapter")
    attempt = Attempt(KEY, a_job(), plan(a_job(), Profiles()), Profiles(), 1, adapter=adapter)
    assert trainer_run(attempt).model.adapter == "/mnt/adapter/output/adapter"
    (container,) = children(attempt)[-1]["spec"]["template"]["spec"]["containers"]
    mounts = {one["name"]: one for one in container["volumeMounts"]}
    assert mounts["adapter"] == {"name": "adapter", "mountPath": "/mnt/adapter", "readOnly": True}
    assert run_of().model.adapter is None


def test_the_trainer_reads_back_what_the_operator_wrote():
    run = run_of(training={"maxSteps": 100})
    assert run.model.path == "/mnt/model/models/minilm"
    assert run.dataset.path == "/mnt/dataset/reviews.jsonl"
    assert (run.technique.method, run.technique.lora.rank, run.technique.quantization) == ("lora", 8, None)
    assert (run.training.max_steps, run.training.epochs) == (100, None)
    assert (run.checkpoints.directory, run.output.directory) == ("/mnt/work/checkpoints", "/mnt/work/output")
    assert run.dataset.validation_fraction == 0.1


def test_quantization_and_hub_models_are_passed_on():
    run = run_of(model={"name": "tiny-phi3", "revision": "main"}, task="chat", technique={"method": "qlora"})
    assert (run.model.path, run.model.revision) == (None, "main")
    assert (run.technique.quantization.type, run.technique.quantization.double_quant) == ("nf4", True)


def test_full_has_neither_adapter_nor_quantization():
    run = run_of(technique={"method": "full"})
    assert (run.technique.lora, run.technique.quantization) == (None, None)


def test_the_run_reaches_the_pod_as_a_file_and_costs_no_object_of_its_own():
    objects = built(checkpoints={"storage": {"ephemeral": {}}})
    assert list(objects) == ["Job"]
    spec = objects["Job"]["spec"]["template"]["spec"]
    (file,) = next(volume for volume in spec["volumes"] if volume["name"] == "run")["downwardAPI"]["items"]
    mounted = next(mount for mount in spec["containers"][0]["volumeMounts"] if mount["name"] == "run")
    assert spec["containers"][0]["args"] == [f"{mounted['mountPath']}/{file['path']}"]
    assert file["fieldRef"]["fieldPath"] == f"metadata.annotations['{keys.ANNOTATION_RUN}']"


def test_the_claim_follows_its_template():
    template = {"size": "5Gi", "storageClassName": "fast"}
    claim = built(checkpoints={"storage": {"template": template}})["PersistentVolumeClaim"]["spec"]
    assert claim["resources"] == {"requests": {"storage": "5Gi"}}
    assert claim["storageClassName"] == "fast"
    assert "storageClassName" not in built()["PersistentVolumeClaim"]["spec"]
