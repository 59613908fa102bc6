"""A model that neither the catalog nor the spec knows is read from its claim before the job is planned."""

import dataclasses
import typing

import pytest
from builders import (
    KEY,
    NOW,
    a_job,
    a_pod,
    a_workload,
    an_attempt,
    ended,
    remembered,
    seen,
    status_of,
)
from finetune_operator.api.v1alpha1.reasons import Phase, Reason
from finetune_operator.manifests.volumes import Required
from finetune_operator.planning.catalog import read_shape
from finetune_operator.planning.profiles import Profiles, TrainerProfile
from finetune_operator.reconcile import inspection
from finetune_operator.reconcile.actions import Create, ProveIdle, Refused, Result, State
from finetune_operator.reconcile.attempts.history import LAST_WORD_GRACE
from finetune_operator.reconcile.decide import decide
from finetune_operator.reconcile.snapshot import Inspection, InvalidSpec, Missing, Snapshot, Trouble
from finetune_operator.status.events import events
from finetune_operator.status.render import render
from finetune_trainer.contract import InspectionReport, to_json

MODEL = {"name": "my-team/own", "source": {"claim": {"name": "models", "path": "own"}}}
CONFIG = {
    "model_type": "llama",
    "hidden_size": 192,
    "num_hidden_layers": 4,
    "num_attention_heads": 6,
    "intermediate_size": 512,
    "vocab_size": 2048,
    "max_position_embeddings": 512,
}
SHAPE = read_shape(CONFIG)
COMPLETE = {"complete": True, "finished_at": NOW - 1}
LONG_AGO = NOW - LAST_WORD_GRACE - 1


def own(**fields):
    """A job whose model nobody knows."""
    return a_job(**({"model": MODEL, "task": "chat"} | fields))


def an_inspection(*pods, **facts):
    return Inspection(a_workload(attempt=0, **facts), pods)


def orphaned(*pods):
    return Inspection(None, pods)


def said(report=None, **facts):
    """A pod of an inspection that left its answer, by default the model's numbers."""
    return ended(0, message=to_json(report or InspectionReport(config=CONFIG)), **({"attempt": 0} | facts))


def waits(**facts):
    return a_pod(attempt=0, **facts)


ANSWERED = an_inspection(said(), **COMPLETE)


class Case(typing.NamedTuple):
    seen: Snapshot
    want_state: State
    want_reason: Reason
    want_done: tuple[str, ...] = ()
    want_again: float | None = None


def broken(exit_code=1, **facts):
    return ended(exit_code, attempt=0, **facts)


FAILED = {"failed_reason": "BackoffLimitExceeded", "finished_at": NOW - 1}
HURRIED = Profiles(trainer=TrainerProfile(start_deadline_seconds=20))
PATIENT = Profiles(trainer=TrainerProfile(start_deadline_seconds=0))
CLAIM = Missing(Required("PersistentVolumeClaim", "models", "spec.model.source.claim.name"))
ROWS = Missing(Required("PersistentVolumeClaim", "samples", "spec.dataset.source.claim.name"))

CASES = {
    "a model that nobody knows is read first": Case(
        seen(own()), State.INSPECTING, Reason.INSPECTING, ("Create Job -0",), 300.0
    ),
    "a model of the catalog is not": Case(
        seen(), State.CREATING, Reason.CREATED, ("Create PersistentVolumeClaim ", "Create Job -1")
    ),
    "a model with numbers in the spec is not": Case(
        seen(own(model=MODEL | {"shape": SHAPE.model_dump(by_alias=True)})),
        State.CREATING,
        Reason.CREATED,
        ("Create PersistentVolumeClaim ", "Create Job -1"),
    ),
    "a model of the hub is refused as ever": Case(
        seen(own(model={"name": "my-team/own"})), State.REFUSED, Reason.UNKNOWN_MODEL
    ),
    "a model that another job goes on from is refused as ever": Case(
        seen(own(model=MODEL | {"fromJob": "earlier"})), State.REFUSED, Reason.UNKNOWN_MODEL
    ),
    "nothing is read while its claim is missing": Case(
        seen(own(), missing=(ROWS, CLAIM)), State.WAITING, Reason.CLAIM_NOT_FOUND, (), 5.0
    ),
    "other things may be missing meanwhile": Case(
        seen(own(), missing=(ROWS,)), State.INSPECTING, Reason.INSPECTING, ("Create Job -0",), 300.0
    ),
    "a suspended job reads nothing": Case(seen(own(suspend=True)), State.SUSPENDED, Reason.SUSPENDED),
    "a job that is suspended meanwhile ends the reading": Case(
        seen(own(suspend=True), inspection=an_inspection(waits())),
        State.SUSPENDED,
        Reason.SUSPENDED,
        ("Delete Job job-0",),
    ),
    "a cancelled job reads nothing": Case(seen(own(cancel=True)), State.CANCELLED, Reason.CANCELLED),
    "a job that is cancelled meanwhile ends the reading": Case(
        seen(own(cancel=True), inspection=an_inspection(waits(running=True))),
        State.CANCELLED,
        Reason.CANCELLED,
        ("Delete Job job-0",),
    ),
    "a job that is being deleted takes all with it": Case(
        seen(own(), inspection=an_inspection(waits()), deleting=True), State.DELETING, Reason.ACTIVE
    ),
    "a spec that became unreadable ends the reading": Case(
        seen(InvalidSpec("spec.task: nonsense"), inspection=ANSWERED),
        State.REFUSED,
        Reason.INVALID_SPEC,
        ("Delete Job job-0",),
    ),
    "a reading whose pod is not there yet goes on": Case(
        seen(own(), inspection=an_inspection()), State.INSPECTING, Reason.INSPECTING, (), 300.0
    ),
    "a reading whose pod is being started goes on": Case(
        seen(own(), inspection=an_inspection(waits(waiting_reason="ContainerCreating"))),
        State.INSPECTING,
        Reason.INSPECTING,
        (),
        300.0,
    ),
    "a reading that runs goes on": Case(
        seen(own(), inspection=an_inspection(waits(running=True))), State.INSPECTING, Reason.INSPECTING, (), 300.0
    ),
    "a reading that Kubernetes tries again goes on": Case(
        seen(own(), inspection=an_inspection(broken(), waits(name="second", uid="second"))),
        State.INSPECTING,
        Reason.INSPECTING,
        (),
        300.0,
    ),
    "a pod without a node is told": Case(
        seen(own(), inspection=an_inspection(waits(unschedulable="0/1 nodes are available"))),
        State.INSPECTING,
        Reason.UNSCHEDULABLE,
        (),
        300.0,
    ),
    "a pod without an image is told": Case(
        seen(own(), inspection=an_inspection(waits(waiting_reason="ImagePullBackOff"))),
        State.INSPECTING,
        Reason.IMAGE_PULL,
        (),
        300.0,
    ),
    "what Events tell is told": Case(
        seen(own(), inspection=an_inspection(waits()), trouble=Trouble("FailedMount", "timed out")),
        State.INSPECTING,
        Reason.VOLUME,
        (),
        300.0,
    ),
    "a reading that somebody holds back is told": Case(
        seen(own(), inspection=an_inspection(suspended=True)), State.INSPECTING, Reason.QUEUED, (), 300.0
    ),
    "nor does its time run out": Case(
        seen(own(activeDeadlineSeconds=60), profiles=HURRIED, inspection=an_inspection(suspended=True)),
        State.INSPECTING,
        Reason.QUEUED,
        (),
        300.0,
    ),
    "a reading that does not start in time fails the job by what holds it up": Case(
        seen(own(), profiles=HURRIED, inspection=an_inspection(waits(unschedulable="no node"))),
        State.FAILED,
        Reason.UNSCHEDULABLE,
        ("Delete Job job-0",),
    ),
    "a volume that does not answer in time fails the job": Case(
        seen(own(), profiles=HURRIED, inspection=an_inspection(waits(running=True))),
        State.FAILED,
        Reason.VOLUME,
        ("Delete Job job-0",),
    ),
    "an administrator may wait for ever": Case(
        seen(own(), profiles=PATIENT, inspection=an_inspection(waits(unschedulable="no node"))),
        State.INSPECTING,
        Reason.UNSCHEDULABLE,
        (),
        300.0,
    ),
    "reading counts for the job's deadline": Case(
        seen(own(activeDeadlineSeconds=60), inspection=an_inspection(waits(running=True), started_at=NOW - 60)),
        State.FAILED,
        Reason.DEADLINE_EXCEEDED,
        ("Delete Job job-0",),
    ),
    "a deadline that is near is looked at in time": Case(
        seen(own(activeDeadlineSeconds=100), inspection=an_inspection(waits(running=True), started_at=NOW - 60)),
        State.INSPECTING,
        Reason.INSPECTING,
        (),
        40.0,
    ),
    "the start's deadline is looked at in time": Case(
        seen(
            own(),
            profiles=Profiles(trainer=TrainerProfile(start_deadline_seconds=90)),
            inspection=an_inspection(waits(), started_at=NOW - 60),
        ),
        State.INSPECTING,
        Reason.INSPECTING,
        (),
        30.0,
    ),
    "a reading that was deleted by hand ends before it begins anew": Case(
        seen(own(), inspection=an_inspection(waits(running=True), deleting=True)),
        State.INSPECTING,
        Reason.INSPECTING,
        (),
        2.0,
    ),
    "and then begins anew": Case(
        seen(own(), inspection=orphaned(waits(running=True, gone_at=NOW - 1))),
        State.INSPECTING,
        Reason.INSPECTING,
        ("Create Job -0",),
        300.0,
    ),
    "an answer is waited for after the end of the Job": Case(
        seen(own(), inspection=an_inspection(waits(running=True), **COMPLETE)),
        State.INSPECTING,
        Reason.INSPECTING,
        (),
        1.0,
    ),
    "an answer that nobody heard is asked for once more": Case(
        seen(own(), inspection=an_inspection(complete=True, finished_at=LONG_AGO)),
        State.INSPECTING,
        Reason.INSPECTING,
        ("Delete Job job-0",),
        2.0,
    ),
    "one pod that failed does not stand for the one that succeeded": Case(
        seen(own(), inspection=an_inspection(broken(), **COMPLETE)), State.INSPECTING, Reason.INSPECTING, (), 1.0
    ),
    "a word that is none fails the job": Case(
        seen(own(), inspection=an_inspection(ended(0, message="hello", attempt=0), **COMPLETE)),
        State.FAILED,
        Reason.TRAINER_ERROR,
        ("Delete Job job-0",),
    ),
    "the end of a failed reading is waited for": Case(
        seen(own(), inspection=an_inspection(**FAILED)), State.INSPECTING, Reason.INSPECTING, (), 1.0
    ),
    "a reading that failed as often as it may fails the job": Case(
        seen(own(), inspection=an_inspection(broken(), **FAILED)),
        State.FAILED,
        Reason.TRAINER_ERROR,
        ("Delete Job job-0",),
    ),
    "a reading that was evicted as often as it may fails the job by that": Case(
        seen(own(), inspection=an_inspection(broken(137, disruption="EvictionByEvictionAPI"), **FAILED)),
        State.FAILED,
        Reason.EVICTED,
        ("Delete Job job-0",),
    ),
    "a reading that left nothing fails the job": Case(
        seen(own(), inspection=an_inspection(failed_reason="x", finished_at=LONG_AGO)),
        State.FAILED,
        Reason.INTERRUPTED,
        ("Delete Job job-0",),
    ),
    "a config.json that is not there is refused": Case(
        seen(own(), inspection=an_inspection(said(InspectionReport(problem="does not exist")), **COMPLETE)),
        State.REFUSED,
        Reason.MODEL_CONFIG_MISSING,
        ("Delete Job job-0",),
    ),
    "a config.json without a number is refused": Case(
        seen(own(), inspection=an_inspection(said(InspectionReport(config={"model_type": "x"})), **COMPLETE)),
        State.REFUSED,
        Reason.MODEL_CONFIG_INVALID,
        ("Delete Job job-0",),
    ),
    "with its numbers the job is planned and begins, and its reading is kept until they are written down": Case(
        seen(own(), inspection=ANSWERED),
        State.CREATING,
        Reason.CREATED,
        ("Create PersistentVolumeClaim ", "Create Job -1"),
    ),
    "then it goes": Case(
        seen(
            own(),
            workload=a_workload(),
            previous=remembered(an_attempt(), model_shape=SHAPE),
            inspection=ANSWERED,
        ),
        State.CREATING,
        Reason.CREATED,
        ("Delete Job job-0",),
        1800.0,
    ),
    "once": Case(
        seen(
            own(),
            workload=a_workload(),
            previous=remembered(an_attempt(), model_shape=SHAPE),
            inspection=an_inspection(said(), deleting=True, **COMPLETE),
        ),
        State.CREATING,
        Reason.CREATED,
        (),
        1800.0,
    ),
    "what waits for other things does so with its numbers": Case(
        seen(own(), inspection=ANSWERED, missing=(ROWS,)), State.WAITING, Reason.CLAIM_NOT_FOUND, (), 5.0
    ),
    "an answer counts although its Job is gone": Case(
        seen(own(), inspection=orphaned(said(gone_at=NOW - 1))),
        State.CREATING,
        Reason.CREATED,
        ("Create PersistentVolumeClaim ", "Create Job -1"),
    ),
    "pods that were left behind go as well": Case(
        seen(
            own(),
            workload=a_workload(),
            previous=remembered(an_attempt(), model_shape=SHAPE),
            inspection=orphaned(said(), waits(uid="gone", gone_at=1.0), waits(uid="going", deleting=True)),
        ),
        State.CREATING,
        Reason.CREATED,
        ("Delete Pod pod-0-0",),
        1800.0,
    ),
    "numbers that are too large for the machine are refused with the plan's words": Case(
        seen(
            own(),
            inspection=an_inspection(
                said(InspectionReport(config=CONFIG | {"hidden_size": 60_000, "num_hidden_layers": 90})), **COMPLETE
            ),
        ),
        State.REFUSED,
        Reason.DOES_NOT_FIT,
    ),
    "an attempt goes on although its model's numbers were forgotten": Case(
        seen(own(), workload=a_workload(), pod=a_pod(running=True)), State.STARTING, Reason.STARTING, (), 300.0
    ),
    "before the next one they are read again": Case(
        seen(own(), workload=a_workload(**FAILED), pod=ended(1, message="x")),
        State.INSPECTING,
        Reason.INSPECTING,
        ("Create Job -0",),
        300.0,
    ),
    "and if they are gone now the job has failed": Case(
        seen(
            own(),
            workload=a_workload(**FAILED),
            pod=ended(1, message="x"),
            inspection=an_inspection(said(InspectionReport(problem="does not exist")), **COMPLETE),
        ),
        State.FAILED,
        Reason.MODEL_CONFIG_MISSING,
        ("Delete Job job-0",),
    ),
}


def told(action):
    if isinstance(action, Create):
        kind, name = action.manifest["kind"], action.manifest["metadata"]["name"]
        return f"Create {kind} {name[-2:] if kind == 'Job' else ''}"
    return f"Delete {action.kind} {action.uid}"


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_decide(case):
    decision = decide(case.seen)
    done = tuple(told(action) for action in decision.actions if not isinstance(action, ProveIdle))
    verdict = decision.verdict
    assert (verdict.state, verdict.reason, done) == (case.want_state, case.want_reason, case.want_done), verdict.message
    assert decision.requeue_after == (None if case.want_again is None else pytest.approx(case.want_again))
    assert decide(case.seen) == decision


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_inspection_is_never_an_attempt(case):
    assert all(one.number > 0 for one in status_of(case.seen).attempts)


def test_what_was_read_is_remembered_and_the_plan_is_made_of_it():
    status = status_of(seen(own(), inspection=ANSWERED))
    assert status.model_shape == SHAPE
    assert status.plan.total_parameters > 1_000_000
    after = status_of(seen(own(), previous=status, workload=a_workload()))
    assert (after.model_shape, after.plan) == (SHAPE, status.plan)


def test_what_was_read_is_remembered_whatever_becomes_of_the_job():
    for fields in ({"suspend": True}, {"cancel": True}):
        assert status_of(seen(own(**fields), inspection=ANSWERED)).model_shape == SHAPE


def test_a_suspended_job_that_was_read_is_planned():
    status = status_of(seen(own(suspend=True), previous=remembered(model_shape=SHAPE)))
    assert (status.phase, status.plan.method) == (Phase.SUSPENDED, "lora")


def test_numbers_in_status_do_nothing_for_a_job_that_has_them_in_its_spec():
    other = read_shape(CONFIG | {"vocab_size": 50_000})
    spec = own(model=MODEL | {"shape": SHAPE.model_dump(by_alias=True)})
    plans = [status_of(seen(spec, previous=remembered(model_shape=one))).plan for one in (None, other)]
    assert plans[0] == plans[1]


def test_a_job_that_ended_leaves_no_inspection():
    refused = status_of(
        seen(own(), inspection=an_inspection(said(InspectionReport(problem="is a folder")), **COMPLETE))
    )
    assert [told(one) for one in decide(seen(own(), previous=refused, inspection=ANSWERED)).actions] == [
        "Delete Job job-0"
    ]
    assert decide(seen(own(), previous=refused)).actions == ()


def accepted(status):
    return next(one for one in status.conditions if one.type == "Accepted")


def test_until_it_is_read_nobody_knows_whether_the_job_is_accepted():
    status = status_of(seen(own()))
    assert (status.phase, status.columns.reason, status.plan) == (Phase.PENDING, "Inspecting", None)
    assert (accepted(status).status, accepted(status).reason) == ("Unknown", "Inspecting")
    assert "own/config.json on claim 'models'" in status.message
    assert accepted(status_of(seen(own(), inspection=ANSWERED))).status == "True"
    assert accepted(status_of(seen(own(), missing=(CLAIM,)))).status == "Unknown"


def test_reading_is_told_in_one_event_that_is_no_warning():
    before = remembered()
    (event,) = events(before, status_of(seen(own(), previous=before)))
    assert (event.reason, event.warning) == ("Inspecting", False)


def test_a_reading_that_the_api_server_refuses_is_told():
    snapshot = seen(own())
    result = Result(refused=Refused("Job", "reviews-0", 403, "exceeded quota: jobs"))
    status = render(snapshot, decide(snapshot), result)
    assert status.columns.reason == "QuotaExceeded"


FILE = "spec.model: 'my-team/own' is not in the catalog, and own/config.json on claim 'models'"
WAY_OUT = "or set spec.model.shape; then apply the job anew"
WAYS_OUT = {
    "the file is missing": (
        said(InspectionReport(problem="does not exist: its folder is empty")),
        f"{FILE} does not exist: its folder is empty; put it right, {WAY_OUT}",
    ),
    "a number is missing": (
        said(InspectionReport(config={**CONFIG, "vocab_size": 0})),
        f"{FILE}: vocab_size must be a whole number above 0, but is 0; take another model, {WAY_OUT}",
    ),
}


@pytest.mark.parametrize(("pod", "want"), WAYS_OUT.values(), ids=WAYS_OUT)
def test_a_refusal_names_the_file_and_the_way_out(pod, want):
    assert status_of(seen(own(), inspection=an_inspection(pod, **COMPLETE))).message == want


def test_a_file_at_the_root_of_the_claim_is_called_so():
    root = own(model={"name": "own", "source": {"claim": {"name": "models"}}})
    assert "reads config.json on claim 'models'" in decide(seen(root)).verdict.message


def test_a_failed_reading_tells_the_last_line_of_its_pod():
    pod = broken(message="Traceback\nOSError: [Errno 5] Input/output error")
    message = decide(seen(own(), inspection=an_inspection(pod, **FAILED))).verdict.message
    assert "OSError: [Errno 5] Input/output error" in message
    assert "gave up after 4 pods; or set spec.model.shape" in message


def test_numbers_are_pending_only_where_they_can_be_read():
    assert inspection.pending(seen(own()))
    assert not inspection.pending(seen(InvalidSpec("x")))
    assert not inspection.pending(dataclasses.replace(seen(own()), inspection=ANSWERED))
    assert not inspection.pending(seen())


def test_a_job_made_again_under_its_name_has_an_inspection_of_its_own():
    first = decide(seen(own()))
    other = seen(own())
    other = dataclasses.replace(
        other, meta=dataclasses.replace(other.meta, key=dataclasses.replace(KEY, uid="another"))
    )
    names = {one.actions[0].manifest["metadata"]["name"] for one in (first, decide(other))}
    assert len(names) == 2
