"""Where a pod finds and leaves its files."""

import pytest
from builders import KEY, a_job
from finetune_operator.api.v1alpha1.sources import ClaimPath, DatasetSource
from finetune_operator.manifests import names, volumes
from finetune_operator.manifests.volumes import Required
from pydantic import ValidationError


def test_each_job_has_a_folder_of_its_own_on_a_shared_claim():
    mount = volumes.work(KEY, a_job(checkpoints={"storage": {"claim": {"name": "shared", "path": "runs"}}}))
    assert mount.path == f"/mnt/work/runs/{names.stem(KEY)}"


def test_a_model_of_the_hub_needs_no_mount():
    assert volumes.model(a_job(model={"name": "tiny-phi3", "source": {"hub": {}}})) is None
    assert volumes.model(a_job(model={"name": "tiny-phi3"})) is None


def test_what_the_spec_names_and_others_make_is_listed_with_its_field():
    spec = a_job(
        dataset={
            "source": {"configMap": {"name": "rows", "key": "rows.jsonl"}},
            "validation": {"source": {"claim": {"name": "held-out"}}},
        },
        checkpoints={"storage": {"claim": {"name": "shared"}}},
        output={"destinations": [{"claim": {"name": "mine"}}]},
    )
    claim = "PersistentVolumeClaim"
    assert set(volumes.required(spec)) == {
        Required(claim, "samples", "spec.model.source.claim.name"),
        Required("ConfigMap", "rows", "spec.dataset.source.configMap", "rows.jsonl"),
        Required(claim, "held-out", "spec.dataset.validation.source.claim.name"),
        Required(claim, "shared", "spec.checkpoints.storage.claim.name", written=True),
        Required(claim, "mine", "spec.output.destinations[0].claim.name", written=True),
    }


def test_rows_that_the_trainer_fetches_need_no_mount():
    assert volumes.dataset("dataset", "/mnt/dataset", DatasetSource(https={"url": "https://example.org/rows"})) is None


@pytest.mark.parametrize("path", ["/etc/passwd", "../other", "a/../../b", ".hidden", "a//b", "a/", ""])
def test_a_path_cannot_leave_its_volume(path):
    with pytest.raises(ValidationError):
        ClaimPath(name="samples", path=path)
