"""What holds at every moment of every history, read from the cluster's own record of changes; `Watch` is the entry.

Not here: what holds once nothing moves any more (`quiet`).
"""

from __future__ import annotations

import collections
from dataclasses import dataclass, field

from cluster import kueue, objects
from cluster.api_server import ApiServer, Change, Write
from cluster.kinds import CLAIM, EVENT, FINE_TUNE_JOB, JOB, POD
from cluster.nodes import Nodes, Start
from cluster.objects import Body
from finetune_operator.api import keys
from finetune_operator.api.v1alpha1.reasons import INFRASTRUCTURE, OUT_OF_MEMORY, Reason

MOST_INFRASTRUCTURE = 11
"""Attempts that may end by the cluster's fault before one saves a newer checkpoint; with the last the job ends."""

OPERATOR = "operator-"
"""What the names of all operators begin with."""

LAST = {Reason.SUCCEEDED, Reason.CANCELLED, Reason.DATA_INVALID, Reason.NON_FINITE_LOSS}
"""Ends after which no other attempt begins."""

READING = "0"
"""What stands where attempts have their number on pods that read a model's config.json, and write nowhere."""

DISRUPTED = {Reason.EVICTED, Reason.PREEMPTED}
"""Ends that a pod's condition tells of."""

STOPPED = {Reason.SUSPENDED, Reason.DEADLINE_EXCEEDED}
"""Ends after which another attempt begins only when a user has changed the job."""

NO_FAILURE = {Reason.SUCCEEDED, Reason.SUSPENDED, Reason.CANCELLED, Reason.DEADLINE_EXCEEDED}


@dataclass
class Life:
    """What is known of one life of one job."""

    name: str
    generation: int = 0
    status: Body = field(default_factory=dict)
    backoff_limit: int = 0
    batch: int | None = None
    saved: int = 0
    """The newest step saved on a volume that still is there."""
    resumes: bool = False
    """Whether a trainer has begun, of a new attempt or of one that has its place again, whose word was not told yet."""
    end: tuple[object, ...] | None = None
    started: set[tuple[int, int]] = field(default_factory=set)
    """Attempt and rank of every process, since its queue last let it begin."""
    told: list[str] = field(default_factory=list)
    """Every status; an Event may arrive when there is another."""
    parent: str | None = None
    """The job that it goes on from."""
    places: dict[int, set[tuple[str, str]]] = field(default_factory=lambda: collections.defaultdict(set))
    """Where the trainers of each attempt saved."""


class Watch:
    """Reads every change once and raises where something does not hold."""

    def __init__(self, api: ApiServer, nodes: Nodes) -> None:
        self.api, self.nodes = api, nodes
        self.lives: dict[str, Life] = {}
        self.live_pods: dict[str, dict[str, str]] = collections.defaultdict(dict)
        self._read: dict[object, int] = {}
        self._looked_at = (-1, 0, 0)
        self._starts = self._writes = 0
        self.places: dict[tuple[str, str], str] = {}
        self.let_go: set[str] = set()
        """Lives that somebody deleted, by themselves or with all that is around them."""

    def look(self) -> None:
        """Read what is new, in the order in which it happened."""
        now = (self.api.revision, len(self.nodes.starts), len(self.api.writes))
        if now == self._looked_at:
            return
        self._looked_at = now
        new: list[tuple[int, object, Change]] = []
        for kind in (FINE_TUNE_JOB, JOB, POD, CLAIM, EVENT):
            history = self.api.history.get(kind, [])
            new += [(change.revision, kind, change) for change in history[self._read.get(kind, 0) :]]
            self._read[kind] = len(history)
        seen = {FINE_TUNE_JOB: self._job, JOB: self._child, POD: self._pod, CLAIM: self._claim, EVENT: self._event}
        for _, kind, change in sorted(new, key=lambda one: one[0]):
            seen[kind](change)
        for start in self.nodes.starts[self._starts :]:
            self._start(start)
        self._starts = len(self.nodes.starts)
        for write in self.api.writes[self._writes :]:
            if write.who.startswith(OPERATOR):
                _is_guarded(write)
        self._writes = len(self.api.writes)

    def _job(self, change: Change) -> None:
        body = change.new
        if body is None:
            self._goes(change.old or {})
            return
        life = self.lives.setdefault(objects.uid(body), Life(objects.name(body)))
        life.backoff_limit = max(life.backoff_limit, body["spec"]["backoffLimit"])
        life.generation = body["metadata"]["generation"]
        life.parent = body["spec"]["model"].get("fromJob")
        status = body.get("status") or {}
        if status != life.status:
            _goes_on(life, status)
            self._is_true(life, objects.uid(body), status)
            life.told.append(f"{status.get('message')} {status}")
            life.status = status

    def _goes(self, body: Body) -> None:
        """A job goes because somebody deleted it, or because it ended and its time to live is over."""
        over = is_finished(body) and body["spec"].get("ttlSecondsAfterFinished") is not None
        assert over or objects.uid(body) in self.let_go, f"{objects.name(body)} went, and nobody wanted that"

    def _pod(self, change: Change) -> None:
        body = change.new or change.old or {}
        labels = body["metadata"].get("labels") or {}
        uid = labels.get(keys.LABEL_JOB_UID)
        if uid is None:
            return
        live = self.live_pods[uid]
        if change.new is None or objects.ended(body):
            live.pop(objects.uid(body), None)
        else:
            live[objects.uid(body)] = labels[keys.LABEL_ATTEMPT]
        attempts = set(live.values()) - {READING}
        assert len(attempts) <= 1, f"pods of attempts {sorted(attempts)} of {labels[keys.LABEL_JOB]} live at once"

    def _child(self, change: Change) -> None:
        old, new = change.old, change.new
        if new is None:
            return
        if old is None:
            _belongs(new)
            assert new["spec"]["suspend"] or not kueue.is_queued(new), f"{objects.name(new)} begins before its queue"
        elif old["spec"]["suspend"] and not new["spec"]["suspend"]:
            labels = new["metadata"]["labels"]
            life, attempt = self.lives.get(labels[keys.LABEL_JOB_UID]), int(labels[keys.LABEL_ATTEMPT])
            if life is not None:  # its queue lets it begin, maybe again
                life.resumes = True
                life.started = {one for one in life.started if one[0] != attempt}

    def _is_true(self, life: Life, uid: str, status: Body) -> None:
        """What is said of an attempt has happened: a step that was saved, a pod that was taken away."""
        places = {place for found in life.places.values() for place in found}
        saved = {step for place in places for step in self.nodes.volumes[place].history}
        for one in status.get("attempts") or ():
            step = one.get("checkpointStep")
            assert not step or step in saved, f"{life.name} tells of step {step}, and saved {sorted(saved)}"
            disrupted = one.get("reason") not in DISRUPTED or (uid, str(one["number"])) in self.nodes.disrupted
            assert disrupted, f"attempt {one['number']} of {life.name} is said to be {one['reason']}, and was not"
        self._is_there(life, status)

    def _is_there(self, life: Life, status: Body) -> None:
        """A checkpoint that is told while a trainer trains lies where that trainer has looked for it."""
        newest, told = (status.get("attempts") or [{}])[-1], status.get("checkpoint")
        if told and status["phase"] == "Running" and not newest.get("endTime"):
            places = life.places[newest["number"]]
            found = {step for place in places for step in self.nodes.volumes[place].history}
            assert told["step"] in found, (
                f"{life.name} tells of step {told['step']}, and its trainer found {sorted(found)}"
            )

    def _claim(self, change: Change) -> None:
        body = change.new or change.old or {}
        uid = (body["metadata"].get("labels") or {}).get(keys.LABEL_JOB_UID)
        if uid is None:
            return
        if change.new is None or objects.deleting(body):
            if uid in self.lives:
                self.lives[uid].saved = 0
        elif change.old is None:
            _belongs(body)

    def _event(self, change: Change) -> None:
        body = change.new
        if body is None or change.old is not None:
            return
        life = self.lives.get(body["involvedObject"]["uid"])
        if life is not None and body["reason"] != "Planned":
            message, reason = body["message"], body["reason"]
            assert any(message in text or reason in text for text in life.told), (
                f"an Event tells '{reason}: {message}', which no status has told yet"
            )

    def _start(self, start: Start) -> None:
        life = self.lives.get(start.uid)
        if life is None:
            return
        life.batch = life.batch or start.batch
        assert start.batch == life.batch, f"the effective batch went from {life.batch} to {start.batch}"
        assert (start.newest or 0) >= life.saved, f"step {life.saved} was saved, but {start.newest} is found"
        assert (start.attempt, start.rank) not in life.started, f"attempt {start.attempt} started twice"
        life.started.add((start.attempt, start.rank))
        life.places[start.attempt].add(start.place)
        ready = [one for one in self.lives.values() if one.name == life.parent and one.end and "Succeeded" in one.end]
        assert life.parent is None or ready, f"{life.name} begins before {life.parent} has succeeded"
        first = self.places.setdefault(start.place, start.uid)
        assert first == start.uid, f"{life.name} writes where another life of a job did: {start.place}"

    def saved(self) -> None:
        """Note the newest steps on volumes that outlive their pods."""
        for (whose, _), volume in self.nodes.volumes.items():
            if volume.step is None:
                continue
            for _, claim in self.api.by_uid(whose):
                uid = (claim["metadata"].get("labels") or {}).get(keys.LABEL_JOB_UID)
                if claim["kind"] == CLAIM.name and uid in self.lives and not objects.deleting(claim):
                    self.lives[uid].saved = max(self.lives[uid].saved, volume.step)


def _is_guarded(write: Write) -> None:
    """The operator deletes what it has seen, not what has its name now; of a Job it writes nothing: a queue does."""
    named = f"{write.kind} {write.name}"
    assert write.verb != "delete" or write.uid is not None, f"{named} is deleted, whichever it is"
    assert write.kind is not JOB or write.verb in {"create", "delete"}, f"{named} is not the operator's to {write.verb}"


def _belongs(body: Body) -> None:
    """A child that the operator makes is controlled by the very job whose uid it is labelled with."""
    uid = (body["metadata"].get("labels") or {}).get(keys.LABEL_JOB_UID)
    if uid is not None:
        named = f"{body['kind']} {objects.name(body)}"
        assert objects.controller(body) in {uid, None}, f"{named} is labelled for {uid} but owned by another"
        assert objects.owners(body), f"{named} has no owner"


def _goes_on(life: Life, status: Body) -> None:
    """What was written may be added to, but not taken back."""
    before, end = life.status, _end(status)
    if life.end is not None:
        assert end == life.end, f"{life.name} had ended as {life.end}, now it is {end}"
    life.end = end
    assert status.get("observedGeneration", 0) >= before.get("observedGeneration", 0), "observedGeneration went back"
    attempts, known = status.get("attempts") or [], before.get("attempts") or []
    numbers = [one["number"] for one in attempts]
    assert numbers == list(range(1, len(numbers) + 1)), f"attempts are numbered {numbers}"
    assert len(attempts) >= len(known), f"{len(known) - len(attempts)} attempts were forgotten"
    for old, new in zip(known, attempts, strict=False):
        if old.get("endTime"):
            assert new.get("reason") == old.get("reason"), f"attempt {old['number']} had ended: {old} became {new}"
    for one in attempts[:-1]:
        final = one.get("endTime") and one.get("reason") in LAST
        assert not final, f"an attempt follows one that ended {one['reason']}"
    _bounded(life, attempts)
    old, new = (one.get("checkpoint") or {} for one in (before, status))
    if old and new.get("step", 0) < old["step"]:
        assert life.saved < old["step"], f"the checkpoint went back: {old} to {new}"
    old, new = (one.get("progress") or {} for one in (before, status))
    begins = len(attempts) > len(known)
    life.resumes = life.resumes or begins
    if old and new and new["step"] < old["step"]:
        assert life.resumes, f"progress went back from step {old['step']} to {new['step']} within an attempt"
    if new != old and not begins:  # the new trainer's first word
        life.resumes = False


def _bounded(life: Life, attempts: list[Body]) -> None:
    ends = [Reason(one["reason"]) for one in attempts if one.get("reason") and one.get("endTime")]
    stopped = [one for one in ends if one in STOPPED]
    assert len(stopped) <= life.generation, f"{len(stopped)} attempts were stopped, on {life.generation} wishes"
    furthest, infrastructure = 0, 0
    for one in attempts:
        infrastructure += one.get("endTime") is not None and Reason(one["reason"]) in INFRASTRUCTURE
        if (one.get("checkpointStep") or 0) > furthest:
            furthest, infrastructure = one["checkpointStep"], 0
    counted = [one for one in ends if one not in INFRASTRUCTURE | OUT_OF_MEMORY | NO_FAILURE]
    assert infrastructure <= MOST_INFRASTRUCTURE, f"{infrastructure} attempts ended by the cluster's fault"
    assert len(counted) <= life.backoff_limit + 1, f"{len(counted)} failures, backoffLimit {life.backoff_limit}"


def _end(status: Body) -> tuple[object, ...] | None:
    """Return how a job ended, or None where it has not."""
    for one in status.get("conditions") or ():
        if one["type"] == "Finished" and one["status"] == "True":
            ends = [(a["number"], a.get("reason")) for a in status.get("attempts") or ()]
            return (one["reason"], status["phase"], status.get("completionTime"), tuple(ends))
    return None


def is_finished(body: Body) -> bool:
    return objects.is_true(body, "Finished")
