"""How an attempt begins, and what it waits for."""

import dataclasses

from builders import KEY, NOW, a_job, a_pod, a_workload, an_attempt, ended, remembered, seen
from finetune_operator.api.v1alpha1.reasons import Reason
from finetune_operator.api.v1alpha1.sources import ClaimPath
from finetune_operator.planning.plan import Descent, Plan
from finetune_operator.planning.profiles import HardwareProfile, Profiles
from finetune_operator.reconcile.actions import Create, Delete, ProveIdle, State
from finetune_operator.reconcile.attempts.beginning import begin, planned
from finetune_operator.reconcile.attempts.retry import Again
from finetune_operator.reconcile.snapshot import Parent

RESUMED = Again(NOW, Descent(), Reason.RESUMED, "resumes")
SUSPENDED = (an_attempt(reason="Suspended", active_seconds=40),)
CHAINED = a_job(model={"name": "all-MiniLM-L6-v2", "source": {"hub": {}}, "fromJob": "first"})


def made(decision):
    """The Job that a decision creates."""
    (job,) = [one.manifest for one in decision.actions if isinstance(one, Create) and one.manifest["kind"] == "Job"]
    return job


def begun(spec=None, attempts=(), again=None, **facts):
    spec = spec or a_job()
    return begin(seen(spec, **facts), spec, attempts, *([again] if again else []))


def test_a_new_job_is_begun_without_a_look_at_what_it_could_have_left_behind():
    decision = begun()
    assert not any(isinstance(one, ProveIdle) for one in decision.actions)
    assert (decision.begun.number, decision.begun.job) == (1, made(decision)["metadata"]["name"])


def test_whatever_is_not_new_is_begun_only_after_such_a_look():
    for decision in (begun(age=60), begun(previous=remembered()), begun(attempts=SUSPENDED, again=RESUMED)):
        assert isinstance(decision.actions[0], ProveIdle)


def test_the_next_attempt_has_the_next_number_and_what_is_left_of_the_deadline():
    decision = begun(a_job(activeDeadlineSeconds=100), SUSPENDED, RESUMED)
    assert decision.begun.number == 2
    assert made(decision)["metadata"]["name"].endswith("-2")
    assert made(decision)["spec"]["activeDeadlineSeconds"] == 60


def test_a_smaller_plan_is_told_in_status_and_on_the_job():
    smaller = Again(NOW, Descent(1, 1), Reason.RESTARTING, "words", "microBatchSize 4")
    decision = begun(attempts=(an_attempt(reason="HostOutOfMemory"),), again=smaller)
    assert (decision.begun.rung, decision.begun.memory_raises, decision.begun.change) == (1, 1, "microBatchSize 4")
    assert made(decision)["metadata"]["annotations"] == {
        "finetune.dev/rung": "1",
        "finetune.dev/memory-raises": "1",
        "finetune.dev/change": "microBatchSize 4",
    }
    assert decision.plan.micro_batch_size < begun().plan.micro_batch_size


def test_a_job_with_a_queue_is_made_suspended_under_its_label():
    job = made(begun(a_job(queueName="team")))
    assert job["spec"]["suspend"] is True
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team"


def test_nothing_begins_while_a_pod_of_an_earlier_attempt_lives():
    decision = begun(attempts=SUSPENDED, again=RESUMED, pod=a_pod(running=True))
    assert (decision.verdict.state, decision.verdict.reason) == (State.RESTARTING, Reason.RESTARTING)
    assert decision.actions == (Delete(kind="Pod", namespace=KEY.namespace, name="reviews-abcde-1-0", uid="pod-1-0"),)
    assert decision.begun is None


def test_a_pod_that_is_going_or_whose_job_will_see_to_it_is_awaited():
    for facts in (
        {"pod": a_pod(running=True, deleting=True)},
        {"workload": a_workload(finished_at=NOW), "pod": a_pod(running=True)},
        {"workload": a_workload()},
    ):
        decision = begun(attempts=SUSPENDED, again=RESUMED, **facts)
        assert (decision.verdict.state, decision.actions) == (State.RESTARTING, ())


def test_what_has_ended_is_in_nobodys_way():
    decision = begun(attempts=SUSPENDED, again=RESUMED, workload=a_workload(finished_at=NOW), pod=ended(30))
    assert decision.verdict.state is State.CREATING


def test_a_refusal_of_a_job_that_ran_before_is_its_failure():
    spec = a_job(image="registry.example/evil:1")
    assert begun(spec).verdict.state is State.REFUSED
    assert begun(spec, SUSPENDED, RESUMED).verdict.state is State.FAILED
    assert begun(spec, SUSPENDED, RESUMED).verdict.reason is Reason.UNSUPPORTED


def test_what_cannot_be_planned_has_no_plan_to_show():
    decision = begun(a_job(model={"name": "unheard-of"}))
    assert (decision.verdict.reason, decision.plan) == (Reason.UNKNOWN_MODEL, None)


def test_a_ladder_that_another_version_made_longer_ends_the_job_in_words():
    verdict = planned(seen(), a_job(), Descent(99))
    assert (verdict.reason, "no smaller form" in verdict.message) == (Reason.DOES_NOT_FIT, True)


def test_a_job_goes_on_from_another_ones_adapter():
    parent = Parent(found=True, finished=True, succeeded=True, method="lora", adapter=ClaimPath(name="out", path="a"))
    pod = made(begun(CHAINED, parent=parent))["spec"]["template"]["spec"]
    claims = {one["name"]: one["persistentVolumeClaim"] for one in pod["volumes"] if "persistentVolumeClaim" in one}
    assert claims["adapter"] == {"claimName": "out", "readOnly": True}


def test_a_job_waits_for_the_one_that_it_goes_on_from_and_looks_again():
    decision = begun(CHAINED, parent=Parent(found=False))
    assert (decision.verdict.state, decision.verdict.reason) == (State.WAITING, Reason.FROM_JOB_NOT_FOUND)
    assert decision.requeue_after == 5.0
    assert decision.plan is not None


def test_a_job_whose_parent_was_not_looked_up_is_seen_again_soon():
    """As long as the store holds a Job of an attempt that has ended: a watch may have lost its end."""
    for stale in ((), (a_workload(),)):
        decision = begun(CHAINED, workloads=stale)
        assert (decision.verdict.state, decision.actions, decision.requeue_after) == (State.RESTARTING, (), 2.0)


TWO = Profiles(hardware={"processors": HardwareProfile(accelerator="cpu", nodes=2)})


def two_nodes(monkeypatch, unshared):
    """A job planned for two nodes, whatever this release runs of that."""
    monkeypatch.setattr("finetune_operator.reconcile.attempts.beginning.unsupported", lambda *_: None)
    spec = a_job(hardware={"profile": "processors", "nodes": 2})
    return begin(seen(spec, profiles=TWO, unshared=unshared), spec, ())


def test_a_claim_for_one_node_is_refused_to_a_job_on_several(monkeypatch):
    decision = two_nodes(monkeypatch, ("samples",))
    assert (decision.verdict.state, decision.verdict.reason) == (State.REFUSED, Reason.CLAIM_NOT_SHARED)
    assert "claim 'samples'" in decision.verdict.message
    assert "ReadWriteMany" in decision.verdict.message


def test_a_claim_for_one_node_is_good_for_a_job_on_one():
    assert begun(unshared=("samples",)).verdict.state is State.CREATING


def test_the_own_claim_of_a_job_on_several_nodes_can_be_mounted_by_all(monkeypatch):
    claim = next(one.manifest for one in two_nodes(monkeypatch, ()).actions if isinstance(one, Create))
    assert (claim["kind"], claim["spec"]["accessModes"]) == ("PersistentVolumeClaim", ["ReadWriteMany"])


def test_the_plan_is_that_of_the_attempt():
    assert isinstance(planned(seen(), a_job(), Descent()), Plan)
    assert dataclasses.replace(begun().plan, warnings=()) == dataclasses.replace(
        planned(seen(), a_job(), Descent()), warnings=()
    )
