"""The objects of an attempt."""

from builders import KEY, a_job
from finetune_operator.manifests.attempt import Attempt
from finetune_operator.manifests.build import children
from finetune_operator.planning.plan import plan
from finetune_operator.planning.profiles import Profiles
from finetune_trainer.contract import TrainerRun, from_json


def built(**fields):
    spec, profiles = a_job(**fields), Profiles()
    objects = children(Attempt(KEY, spec, plan(spec, profiles), profiles, 1))
    return {manifest["kind"]: manifest for manifest in objects}


def test_every_child_belongs_to_the_job_and_goes_with_it():
    for manifest in built().values():
        (owner,) = manifest["metadata"]["ownerReferences"]
        assert (owner["uid"], owner["controller"], owner["blockOwnerDeletion"]) == (KEY.uid, True, True)
        assert manifest["metadata"]["labels"]["app.kubernetes.io/instance"] == "reviews"


def test_the_job_never_retries_by_itself():
    spec = built()["Job"]["spec"]
    assert (spec["backoffLimit"], spec["podReplacementPolicy"]) == (0, "Failed")
    assert spec["template"]["spec"]["restartPolicy"] == "Never"


def test_the_deadline_is_passed_on():
    assert built(activeDeadlineSeconds=60)["Job"]["spec"]["activeDeadlineSeconds"] == 60
    assert "activeDeadlineSeconds" not in built()["Job"]["spec"]


def test_the_trainer_reads_back_what_the_operator_wrote():
    run = from_json(TrainerRun, built(training={"maxSteps": 100})["ConfigMap"]["data"]["run.json"])
    assert run.model.path == "/mnt/model/models/minilm"
    assert run.dataset.path == "/mnt/dataset/reviews.jsonl"
    assert (run.technique.method, run.technique.lora.rank, run.technique.quantization) == ("lora", 8, None)
    assert (run.training.max_steps, run.training.epochs) == (100, None)
    assert (run.checkpoints.directory, run.output.directory) == ("/mnt/work/checkpoints", "/mnt/work/output")
    assert run.dataset.validation_fraction == 0.1


def test_quantization_and_hub_models_are_passed_on():
    run = from_json(
        TrainerRun,
        built(model={"name": "tiny-phi3", "revision": "main"}, task="chat", technique={"method": "qlora"})["ConfigMap"][
            "data"
        ]["run.json"],
    )
    assert (run.model.path, run.model.revision) == (None, "main")
    assert (run.technique.quantization.type, run.technique.quantization.double_quant) == ("nf4", True)


def test_full_has_neither_adapter_nor_quantization():
    run = from_json(TrainerRun, built(technique={"method": "full"})["ConfigMap"]["data"]["run.json"])
    assert (run.technique.lora, run.technique.quantization) == (None, None)


def test_the_claim_follows_its_template():
    template = {"size": "5Gi", "storageClassName": "fast"}
    claim = built(checkpoints={"storage": {"template": template}})["PersistentVolumeClaim"]["spec"]
    assert claim["resources"] == {"requests": {"storage": "5Gi"}}
    assert claim["storageClassName"] == "fast"
    assert "storageClassName" not in built()["PersistentVolumeClaim"]["spec"]
