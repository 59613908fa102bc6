import json

import pytest
from finetune_trainer.training.checkpoints import MANIFEST, CheckpointStore


def a_store(tmp_path, *, keep=2, job_uid="uid-1", fingerprint="plan"):
    store = CheckpointStore(tmp_path / "checkpoints", keep=keep, job_uid=job_uid, fingerprint=fingerprint)
    store.open()
    return store


def stage(store, step, content=b"weights"):
    folder = store.staging / f"checkpoint-{step}"
    (folder / "inner").mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(content)
    (folder / "inner" / "state.json").write_text("{}")


def save(store, *steps):
    for step in steps:
        stage(store, step)
        store.commit(step, {"train_seconds": 1.5})


def there(store):
    return sorted(path.name for path in store.directory.glob("*"))


def test_the_newest_is_found_with_its_facts(tmp_path):
    store = a_store(tmp_path)
    save(store, 10, 20)
    found = a_store(tmp_path).newest().found
    assert (found.step, found.manifest.facts, found.manifest.bytes) == (20, {"train_seconds": 1.5}, 9)


def test_what_is_still_staged_is_invisible_and_cleared_at_the_next_start(tmp_path):
    store = a_store(tmp_path)
    save(store, 10)
    stage(store, 20)
    assert store.newest().found.step == 10
    assert there(a_store(tmp_path)) == ["checkpoint-10"]


def test_only_as_many_stay_as_asked(tmp_path):
    store = a_store(tmp_path)
    save(store, 10, 20, 30)
    assert there(store) == [".staging", "checkpoint-20", "checkpoint-30"]


DAMAGES = {
    "changed": (lambda file: file.write_bytes(b"weirdos"), "sha256 of model.safetensors differs"),
    "cut": (lambda file: file.write_bytes(b"wei"), "model.safetensors has 3 bytes, expected 7"),
    "gone": (lambda file: file.unlink(), "model.safetensors: No such file or directory"),
}


@pytest.mark.parametrize(("damage", "want"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_one_is_passed_over_and_told(tmp_path, damage, want):
    store = a_store(tmp_path)
    save(store, 10, 20)
    damage(store.directory / "checkpoint-20" / "model.safetensors")
    search = store.newest()
    assert search.found.step == 10
    assert search.damaged == (f"checkpoint-20 is damaged ({want})",)


UNREADABLE = {"empty": "", "cut": '{"job_uid": "uid', "no object": "[]", "half": '{"step": 1}'}


@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE)
def test_one_whose_manifest_cannot_be_read_is_passed_over_and_told(tmp_path, content):
    store = a_store(tmp_path)
    save(store, 10, 20)
    (store.directory / "checkpoint-20" / MANIFEST).write_text(content)
    search = store.newest()
    assert search.found.step == 10
    assert search.damaged == ("checkpoint-20 is damaged (its manifest.json cannot be read)",)


def test_where_no_manifest_can_be_read_all_are_told_newest_first(tmp_path):
    store = a_store(tmp_path)
    save(store, 9, 20)
    for step in (9, 20):
        (store.directory / f"checkpoint-{step}" / MANIFEST).write_text("{")
    search = store.newest()
    assert search.found is None
    assert [each.split()[0] for each in search.damaged] == ["checkpoint-20", "checkpoint-9"]


def test_one_that_may_be_another_jobs_stays_and_is_not_told_once_there_is_a_newer_one(tmp_path):
    store = a_store(tmp_path, keep=1)
    save(store, 10)
    (store.directory / "checkpoint-10" / MANIFEST).unlink()
    (store.directory / "checkpoint-best").mkdir()
    save(store, 20, 30)
    assert store.newest().damaged == ()
    assert there(store) == [".staging", "checkpoint-10", "checkpoint-30", "checkpoint-best"]


def test_a_damaged_one_is_replaced_when_its_step_comes_again(tmp_path):
    store = a_store(tmp_path)
    save(store, 10, 20)
    (store.directory / "checkpoint-20" / "model.safetensors").write_bytes(b"")
    save(store, 20)
    assert store.newest().found.step == 20


def test_checkpoints_of_another_job_are_neither_used_nor_deleted(tmp_path):
    save(a_store(tmp_path, job_uid="other"), 30)
    store = a_store(tmp_path, keep=1)
    assert store.newest().found is None
    save(store, 10, 20)
    assert there(store) == [".staging", "checkpoint-20", "checkpoint-30"]


def test_those_of_a_plan_that_cannot_go_on_make_way_for_new_ones(tmp_path):
    save(a_store(tmp_path, fingerprint="full"), 30, 40)
    store = a_store(tmp_path, fingerprint="lora")
    assert store.newest().found is None
    save(store, 10)
    assert there(store) == [".staging", "checkpoint-10"]


def test_a_failed_write_leaves_the_old_one_and_says_how_far_it_got(tmp_path):
    store = a_store(tmp_path)
    save(store, 10)
    stage(store, 20, content=b"x" * 100)
    assert store.abandon() == 102
    assert store.newest().found.step == 10
    assert there(store) == ["checkpoint-10"]


def test_the_manifest_lists_every_file(tmp_path):
    store = a_store(tmp_path)
    save(store, 10)
    raw = json.loads((store.directory / "checkpoint-10" / MANIFEST).read_text())
    assert sorted(raw["files"]) == ["inner/state.json", "model.safetensors"]
    assert raw["job_uid"] == "uid-1"
