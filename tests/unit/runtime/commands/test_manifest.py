"""Which manifests are read, and what is said of those that are not."""

import io
import sys

import pytest
import yaml
from finetune_operator.api import keys
from finetune_operator.runtime.commands import manifest, pins
from finetune_operator.runtime.commands.complaints import BadInput
from real_jobs import smallest

NONE = pins.parse(())


def a_job(name="one", **fields):
    return {"apiVersion": keys.API_VERSION, "kind": keys.KIND, "metadata": {"name": name}, "spec": smallest(**fields)}


def written(folder, *documents):
    path = folder / "job.yaml"
    path.write_text(yaml.safe_dump_all(documents))
    return str(path)


def test_the_jobs_among_other_objects_are_read(tmp_path):
    other = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "rows"}}
    source = written(tmp_path, other, a_job("one"), None, a_job("two"))
    assert [job.name for job in manifest.read(source, NONE)] == ["one", "two"]


def test_a_list_as_kubectl_prints_it_is_read(tmp_path):
    several = {"apiVersion": "v1", "kind": "List", "items": [a_job("one") | {"status": {"phase": "Running"}}]}
    assert [job.name for job in manifest.read(written(tmp_path, several), NONE)] == ["one"]


def test_standard_input_is_read(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO(yaml.safe_dump(a_job())))
    (job,) = manifest.read("-", NONE)
    assert job.spec.model.name == "tiny-phi3"


def test_pins_take_the_place_of_what_the_job_says(tmp_path):
    source = written(tmp_path, a_job(training={"batchSize": 8}))
    (job,) = manifest.read(source, pins.parse(["batchSize=4"]))
    assert job.spec.training.batch_size == 4


WRONG = {
    "no job": ({"kind": "Pod"}, "there is only Pod in it"),
    "nothing": (None, "there is nothing in it"),
    "no object": ([1], "only list"),
    "another version": (a_job() | {"apiVersion": "finetune.dev/v9"}, "apiVersion: must be finetune.dev/v1alpha1"),
    "no name": (a_job() | {"metadata": {}}, "metadata.name: is missing"),
    "no metadata": (a_job() | {"metadata": None}, "metadata.name: is missing"),
    "no spec": (a_job() | {"spec": None}, "spec: is missing"),
    "a misspelt field": (a_job(training={"epoch": 1}), "one: spec.training.epoch: there is no such field"),
    "a wrong value": (a_job(training={"epochs": 0}), "one: spec.training.epochs: must be greater than 0"),
    "a number in quotes": (a_job(training={"batchSize": "8"}), "one: spec.training.batchSize: must be a valid integer"),
    "an adapter that cannot be used": (
        a_job(technique={"method": "peft", "peft": {"type": "adaption-prompt"}}),
        "one: spec.technique.peft.type: adaption-prompt cannot be used: PEFT has it for llama, mistral and gpt2",
    ),
    "a contradiction": (a_job(training={"epochs": 1, "maxSteps": 5}), "epochs and maxSteps contradict each other"),
    "a name that is too long": (a_job("x" * 51), "metadata.name: at most 50 characters"),
}


@pytest.mark.parametrize(("document", "want"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said(tmp_path, document, want):
    with pytest.raises(BadInput) as error:
        manifest.read(written(tmp_path, document), NONE)
    assert want in str(error.value)


def test_every_thing_that_is_wrong_has_a_line(tmp_path):
    source = written(tmp_path, a_job(task="x", training={"seed": -1}))
    with pytest.raises(BadInput) as error:
        manifest.read(source, NONE)
    assert len(str(error.value).splitlines()) == 2


@pytest.mark.parametrize(("content", "want"), [(b"a: [", "is no YAML"), (b"\xff", "can't decode")])
def test_a_file_that_is_none_of_ours_is_said_to_be_so(tmp_path, content, want):
    path = tmp_path / "job.yaml"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=want):
        manifest.read(str(path), NONE)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"none\.yaml: No such file"):
        manifest.read(str(tmp_path / "none.yaml"), NONE)
