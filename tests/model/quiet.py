"""What holds once nothing happens to a cluster any more: `settle` brings it there, `check` looks.

Not here: what holds at every moment (`invariants`).
"""

from __future__ import annotations

from cluster import objects
from cluster.kinds import CLAIM, FINE_TUNE_JOB, JOB, POD
from cluster.objects import Body
from finetune_operator.api import keys
from finetune_operator.api.v1alpha1.reasons import OUT_OF_MEMORY
from invariants import is_finished
from simulation import TEAM, Simulation

REST_SECONDS = 4000.0
"""Time without any change after which nothing is expected to move: more than any timer of the operator's, also of one
that was set while its clock was an hour ahead."""

MOST_RESTS = 8
"""Rests until a cluster without faults has to be quiet: a job may have many attempts left, each after a pause."""

SLEEPING = {"Suspended"}

RUNGS = (16, 8, 4, 2)
"""Micro-batches of the jobs here, each half of the one before, that have to be given up before the job is."""


def settle(story: Simulation) -> None:
    """End all faults and let everything work until nothing moves."""
    story.tell("all faults end")
    story.quota, story.skew = set(), 0.0
    story.nodes.room = story.nodes.image = True
    story.opens_queue(is_open=True)
    story.request_lands()
    story.starts_operator()
    story.nodes.forget_lost()
    for _ in range(MOST_RESTS):
        story.provides()
        story.provides_parents()
        before = story.api.revision
        story.waits(REST_SECONDS)
        if story.api.revision == before:
            return
    last = "\n".join(str(write) for write in story.api.writes[-6:])
    raise AssertionError(f"the cluster does not come to rest; written last:\n{last}")


def check(story: Simulation) -> None:
    """Look at a cluster at rest."""
    living = {objects.uid(body) for kind in (FINE_TUNE_JOB, JOB) for body in story.api.all(kind)}
    for kind in (JOB, POD, CLAIM):
        for child in story.api.all(kind):
            owner = objects.controller(child)
            left = kind is CLAIM and objects.name(child) in _held_by_orphans(story)
            assert owner is None or owner in living or left, f"{kind} {objects.name(child)} is an orphan"
    for job in story.api.all(FINE_TUNE_JOB, TEAM):
        _check_job(story, job)


def _held_by_orphans(story: Simulation) -> set[str]:
    """Return the claims of pods that somebody left behind on purpose, and then deleted their job: nobody ends those."""
    orphans = [pod for pod in story.api.all(POD, TEAM) if objects.controller(pod) is None and not objects.ended(pod)]
    volumes = [volume for pod in orphans for volume in pod["spec"].get("volumes") or ()]
    return {one["persistentVolumeClaim"]["claimName"] for one in volumes if "persistentVolumeClaim" in one}


def _check_job(story: Simulation, job: Body) -> None:
    name, status, spec = objects.name(job), job.get("status") or {}, job["spec"]
    assert status, f"{name} has no status"
    pods = _live(story, POD, job)
    reason = (status.get("columns") or {}).get("reason")
    assert reason, f"{name} says no reason"
    looked_at = {status["observedGeneration"], *(one["observedGeneration"] for one in status["conditions"])}
    assert looked_at == {job["metadata"]["generation"]}, f"{name} was not looked at again"
    if is_finished(job):
        assert not pods, f"{name} is {status['phase']}, but {pods} live"
        _ends_rightly(story, job)
        return
    assert not spec["cancel"], f"{name} is cancelled and still {status['phase']}"
    assert spec["suspend"], f"{name} neither ends nor waits: {status['phase']}, {reason}: {status.get('message')}"
    assert status["phase"] in SLEEPING, f"{name} is suspended and still {status['phase']} ({reason})"
    assert not pods, f"{name} is suspended, but {pods} live"
    jobs = [one for one in story.api.all(JOB, TEAM) if objects.controller(one) == objects.uid(job)]
    open_ones = [one for one in jobs if not (objects.is_true(one, "Failed") or objects.is_true(one, "Complete"))]
    assert not open_ones, f"{name} is suspended and still has a Job"
    saved = story.watch.lives[objects.uid(job)].saved
    if saved and not story.nodes.silent and not story.nodes.fits:
        told = (status.get("checkpoint") or {}).get("step")
        assert told == saved, f"{name} saved step {saved} and tells {told}"


def _ends_rightly(story: Simulation, job: Body) -> None:
    """Memory that runs out ends no job while a smaller plan exists; and what has no reason to fail does not."""
    name, status = objects.name(job), job["status"]
    (end,) = (one["reason"] for one in status["conditions"] if one["type"] == "Finished")
    ran_out = [one for one in status.get("attempts") or () if one.get("reason") in OUT_OF_MEMORY]
    if end in OUT_OF_MEMORY:
        assert len(ran_out) > len(RUNGS), f"{name} gave up after memory ran out {len(ran_out)} times"
    failed = [one for one in status.get("attempts") or () if one.get("reason") not in {"Succeeded", *OUT_OF_MEMORY}]
    if status["phase"] == "Failed" and status.get("attempts") and "unheard-of" not in job["spec"]["model"]["name"]:
        assert ran_out or failed, f"{name} failed ({end}) and nothing was wrong"


def _live(story: Simulation, kind: object, job: Body) -> list[str]:
    return [
        objects.name(child)
        for child in story.api.all(kind, TEAM)
        if (child["metadata"].get("labels") or {}).get(keys.LABEL_JOB_UID) == objects.uid(job)
        if not objects.ended(child)
    ]


def stays(story: Simulation) -> None:
    """Nothing more is written, however long one waits."""
    written = len(story.api.writes)
    story.waits(REST_SECONDS)
    new = story.api.writes[written:]
    assert not new, f"the cluster was at rest, and still was written: {new[:3]}"
