"""What a written status is counted as."""

import pytest
from builders import KEY, NOW, a_pod, a_workload, at_step, seen, status_of
from finetune_operator.api import timestamps
from finetune_operator.api.v1alpha1.reasons import Phase
from finetune_operator.telemetry.instruments import exposition
from finetune_operator.telemetry.process import Telemetry
from finetune_operator.telemetry.writes import Writes

FIRST = status_of(seen(workload=a_workload(), pod=a_pod(running=True), progress=at_step(1)))
LATER = timestamps.write(NOW + 60)


def moved(status, condition):
    """The status with something else in its first condition."""
    first, *others = status.conditions
    return status.model_copy(update={"conditions": (first.model_copy(update=condition), *others)})


CHANGES = {
    "another phase": (FIRST.model_copy(update={"phase": Phase.RESTARTING}), "phase"),
    "another step": (
        FIRST.model_copy(update={"progress": FIRST.progress.model_copy(update={"step": 2})}),
        "progress",
    ),
    "another reason": (moved(FIRST, {"reason": "Unknown"}), "conditions"),
    "another message": (FIRST.model_copy(update={"message": "another"}), "message"),
    "another time": (moved(FIRST, {"last_transition_time": LATER}), "nothing"),
}


@pytest.mark.parametrize(("after", "want"), CHANGES.values(), ids=CHANGES)
def test_a_write_is_counted_by_what_it_changed(after, want):
    assert Writes().changed(KEY, FIRST, after) == want


def test_a_status_that_somebody_undoes_changes_nothing_the_second_time():
    writes, theirs = Writes(), FIRST.model_copy(update={"phase": Phase.FAILED})
    assert [writes.changed(KEY, theirs, FIRST) for _ in range(3)] == ["phase", "nothing", "nothing"]


def test_two_statuses_that_take_turns_change_nothing():
    writes, other = Writes(), FIRST.model_copy(update={"message": "another"})
    turns = [(FIRST, other), (other, FIRST)] * 3
    assert [writes.changed(KEY, before, after) for before, after in turns][2:] == ["nothing"] * 4


def test_a_job_that_is_gone_is_forgotten():
    writes = Writes()
    writes.changed(KEY, FIRST, FIRST)
    writes.forget(KEY)
    assert not writes._written


def test_written_statuses_are_counted():
    telemetry, first = Telemetry("1.0"), seen()
    telemetry.moved(first, status_of(first))
    text = exposition(telemetry.registry, "")[0].decode()
    assert 'finetune_operator_status_writes_total{changed="phase",replica_role="standalone"} 1.0' in text
    assert 'finetune_operator_status_writes_total{changed="nothing",replica_role="standalone"} 0.0' in text
