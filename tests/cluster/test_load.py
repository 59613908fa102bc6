"""What is dropped from the node after a load."""

import load

KEEP = "finetune-trainer-stack:new"
STACKS = load.PREFIX + "finetune-trainer-stack:"
TRAINER = load.PREFIX + "finetune-trainer:dev"


def test_the_current_stack_and_its_id_stay():
    known = {STACKS + "new": "sha256:m1", "sha256:id1": "sha256:m1", TRAINER: "sha256:m2", "sha256:id2": "sha256:m2"}
    assert load.stale_refs(known, KEEP) == []


def test_an_old_stack_goes_with_its_id():
    known = {STACKS + "new": "sha256:m1", STACKS + "old": "sha256:m0", "sha256:id0": "sha256:m0"}
    assert load.stale_refs(known, KEEP) == [STACKS + "old", "sha256:id0"]


def test_an_id_whose_name_moved_on_goes():
    known = {TRAINER: "sha256:m2", "sha256:id1": "sha256:m1", "sha256:id2": "sha256:m2"}
    assert load.stale_refs(known, KEEP) == ["sha256:id1"]


def test_images_that_are_not_ours_stay():
    known = {"registry.k8s.io/pause:3.10.1": "sha256:p", "sha256:idp": "sha256:p"}
    assert load.stale_refs(known, KEEP) == []
