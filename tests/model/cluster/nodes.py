"""Scheduler, kubelets and everything that takes pods away: pods move one step each time `work` is called."""

from __future__ import annotations

from dataclasses import dataclass, field

from cluster import objects
from cluster.api_server import ApiServer
from cluster.kinds import CLAIM, POD
from cluster.objects import Body
from cluster.trainer import OOM_KILLED, Ending, Reader, Trainer, Volume, run_of
from finetune_operator.api import keys
from finetune_trainer.contract import FailureReason, Progress

ME = "kubelet"
RANK = "batch.kubernetes.io/job-completion-index"


NO_CONFIG = "without-a-config"
"""A model of this name has no config.json."""


def _reads(pod: Body) -> bool:
    """Whether a pod reads a model's numbers, which is no attempt."""
    return bool(pod["metadata"]["labels"][keys.LABEL_ATTEMPT] == "0")


@dataclass(frozen=True, slots=True)
class Start:
    """One process that began: whose it is, which of which attempt, where it began, its batch, its newest checkpoint."""

    uid: str
    attempt: int
    rank: int
    resumed: int | None
    batch: int
    newest: int | None
    place: tuple[str, str]
    """The volume: whose it is, and the folder."""


@dataclass
class Nodes:
    """All nodes. `room` and `image` say whether pods find a node and an image.

    `lifetime` is how long a trainer's node lasts, in steps of the trainer; None where nodes stay.

    By uid of the job: `fits` is the largest micro-batch that memory is enough for, and `broken` has those that always
    fail.
    """

    api: ApiServer
    room: bool = True
    image: bool = True
    lifetime: int | None = None
    fits: dict[str, int] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    starts: list[Start] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.trainers: dict[str, Trainer | Reader] = {}
        self.volumes: dict[tuple[str, str], Volume] = {}
        self.lost: set[str] = set()
        self.disrupted: set[tuple[str, str]] = set()
        """Job and attempt of every pod that was evicted or preempted."""
        self._node = 1
        self.silent = False
        """Whether any trainer ended without a last word: what it saved last then nobody can tell."""

    @property
    def node(self) -> str:
        return f"node-{self._node}"

    def work(self) -> None:
        """Move every pod one step."""
        for pod in self.api.all(POD):
            found = self.api.find(POD, objects.namespace(pod), objects.name(pod))
            if found is not None and objects.uid(found) == objects.uid(pod):
                self.step(found)

    def step(self, pod: Body) -> None:
        """Move one pod one step."""
        node = pod["spec"].get("nodeName")
        if node in self.lost:
            return
        if objects.deleting(pod):
            self._stop(pod)
        elif objects.ended(pod):
            return
        elif not node:
            self._schedule(pod)
        elif objects.uid(pod) not in self.trainers:
            self._start(pod)
        elif self._all_ranks_run(pod):
            trainer = self.trainers[objects.uid(pod)]
            if self.lifetime is not None and trainer.age >= self.lifetime:
                self.take_away(pod, "PreemptionByScheduler")
                return
            broken = pod["metadata"]["labels"][keys.LABEL_JOB_UID] in self.broken and trainer.step > 0
            ending = trainer.fails(FailureReason.TRAINER_ERROR) if broken else trainer.work()
            if ending is not None:
                self._ended(pod, ending)

    def progress(self, namespace: str, name: str) -> Progress | None:
        """Return what a pod's trainer answers."""
        pod = self.api.find(POD, namespace, name)
        trainer = self.trainers.get(objects.uid(pod)) if pod else None
        lost = pod is not None and pod["spec"].get("nodeName") in self.lost
        return trainer.progress(self.api.clock.now) if isinstance(trainer, Trainer) and not lost else None

    # What goes wrong.

    def fail(self, pod: Body, how: str) -> None:
        """End a running trainer: `oom`, `killed`, `evicted`, or a FailureReason that it tells."""
        trainer = self.trainers.get(objects.uid(pod))
        if trainer is None or objects.ended(pod) or pod["spec"].get("nodeName") in self.lost:
            return
        self.silent = self.silent or how in {"oom", "killed", "evicted"}
        if how == "oom":
            self._ended(pod, Ending(OOM_KILLED, "OOMKilled"))
        elif how == "killed":
            self._ended(pod, Ending(OOM_KILLED))
        elif how == "evicted":
            self._disrupt(pod, "TerminationByKubelet")
            pod = self.api.get(POD, objects.namespace(pod), objects.name(pod))
            pod = objects.with_status(pod, reason="Evicted", message="The node was low on resource: memory.")
            self._ended(pod, Ending(OOM_KILLED))
        else:
            self._ended(pod, trainer.fails(FailureReason(how)))

    def take_away(self, pod: Body, cause: str) -> None:
        """Delete a pod for a cause that its condition tells: an eviction or a preemption."""
        if not objects.ended(pod) and not objects.deleting(pod):
            self._disrupt(pod, cause)
            self.api.delete(POD, objects.namespace(pod), objects.name(pod))

    def lose_node(self) -> None:
        """Lose the node that pods run on now; new ones go to another."""
        self.silent = True
        self.lost.add(self.node)
        for pod in self.api.all(POD):
            if pod["spec"].get("nodeName") == self.node:
                self.trainers.pop(objects.uid(pod), None)
                self.take_away(pod, "DeletionByTaintManager")
        self._node += 1

    def forget_lost(self) -> None:
        """Take pods of lost nodes out of the API, as the pod garbage collector does once the node is removed."""
        for pod in self.api.all(POD):
            if pod["spec"].get("nodeName") in self.lost:
                if not objects.ended(pod):
                    self.api.update(POD, objects.with_status(pod, phase="Failed"), "status")
                self.api.delete(POD, objects.namespace(pod), objects.name(pod), {"gracePeriodSeconds": 0})
        self.lost.clear()

    # A pod's life.

    def _schedule(self, pod: Body) -> None:
        lacks = self._lacks(pod)
        if self.room and not lacks:
            self.api.request(
                "POST",
                f"/api/v1/namespaces/{objects.namespace(pod)}/pods/{objects.name(pod)}/binding",
                {"target": {"name": self.node}},
                who=ME,
            )
            return
        why = {"reason": "Unschedulable", "message": f"0/1 nodes are available: {lacks or '1 Insufficient memory.'}"}
        condition = {"type": "PodScheduled", "status": "False", **why}
        condition["lastTransitionTime"] = objects.stamp(self.api.clock.now)
        self.api.update(POD, objects.with_condition(pod, condition), "status")

    def _start(self, pod: Body) -> None:
        lacks = self._lacks(pod)
        if lacks or not self.image:
            reason = "ContainerCreating" if lacks else "ImagePullBackOff"
            self._report(pod, "Pending", {"waiting": {"reason": reason, "message": "Back-off pulling image"}})
            return
        running = {"running": {"startedAt": objects.stamp(self.api.clock.now)}}
        if _reads(pod):
            self.trainers[objects.uid(pod)] = Reader(found=self._has_config(pod))
            self._report(pod, "Running", running)
            return
        place = self._place(pod)
        volume = self.volumes.setdefault(place, Volume())
        rank = int((pod["metadata"].get("annotations") or {}).get(RANK, "0"))
        uid = pod["metadata"]["labels"][keys.LABEL_JOB_UID]
        trainer = Trainer(run_of(pod), volume, rank=rank, fits=self.fits.get(uid))
        self.trainers[objects.uid(pod)] = trainer
        attempt = int(pod["metadata"]["labels"][keys.LABEL_ATTEMPT])
        self.starts.append(Start(uid, attempt, rank, trainer.resumed, trainer.batch, volume.step, place))
        self._report(pod, "Running", running)

    def _has_config(self, pod: Body) -> bool:
        """Whether a config.json lies beside the model of a pod's job."""
        uid = pod["metadata"]["labels"][keys.LABEL_JOB_UID]
        return any(job["spec"]["model"]["name"] != NO_CONFIG for _, job in self.api.by_uid(uid))

    def _lacks(self, pod: Body) -> str:
        """Return what a scheduler says of claims that are not there; nothing where all are."""
        for volume in pod["spec"].get("volumes") or ():
            name = (volume.get("persistentVolumeClaim") or {}).get("claimName")
            claim = self.api.find(CLAIM, objects.namespace(pod), name) if name else None
            if name and claim is None:
                return f'persistentvolumeclaim "{name}" not found.'
            if name and objects.deleting(claim or {"metadata": {}}):
                return f'persistentvolumeclaim "{name}" is being deleted.'
        return ""

    def _place(self, pod: Body) -> tuple[str, str]:
        """Return where a pod's checkpoints lie: on a claim, or on what goes with the pod."""
        (volume,) = (one for one in pod["spec"]["volumes"] if one["name"] == "work")
        name = (volume.get("persistentVolumeClaim") or {}).get("claimName")
        whose = objects.uid(self.api.get(CLAIM, objects.namespace(pod), name)) if name else objects.uid(pod)
        return whose, run_of(pod).checkpoints.directory

    def _all_ranks_run(self, pod: Body) -> bool:
        needed = 1 if _reads(pod) else run_of(pod).distribution.nodes
        if needed == 1:
            return True
        owner = objects.controller(pod)
        ranks = [one for one in self.api.all(POD, objects.namespace(pod)) if objects.controller(one) == owner]
        return sum(1 for one in ranks if objects.uid(one) in self.trainers or objects.ended(one)) >= needed

    def _stop(self, pod: Body) -> None:
        """End the process first and tell how; the object goes with the next step, as with a kubelet."""
        trainer = self.trainers.get(objects.uid(pod))
        if not pod["spec"].get("nodeName"):
            return
        if trainer is not None and not objects.ended(pod):
            self._ended(pod, trainer.told_to_stop())
        elif not objects.ended(pod):
            self._report(pod, "Failed", {"terminated": {"exitCode": OOM_KILLED, "reason": "ContainerStatusUnknown"}})
        else:
            self.api.delete(POD, objects.namespace(pod), objects.name(pod), {"gracePeriodSeconds": 0})

    def _ended(self, pod: Body, ending: Ending) -> None:
        self.trainers.pop(objects.uid(pod), None)
        moment = objects.stamp(self.api.clock.now)
        ended = {"exitCode": ending.code, "reason": ending.reason, "message": ending.message, "finishedAt": moment}
        running = (pod["status"].get("containerStatuses") or [{"state": {}}])[0]["state"].get("running") or {}
        ended["startedAt"] = running.get("startedAt", moment)
        self._report(pod, "Failed" if ending.code else "Succeeded", {"terminated": ended})

    def _report(self, pod: Body, phase: str, state: Body) -> None:
        container = [{"name": "trainer", "state": state}]
        self.api.update(
            POD, objects.with_status(pod, phase=phase, containerStatuses=container, podIP="10.0.0.7"), "status"
        )

    def _disrupt(self, pod: Body, reason: str) -> None:
        labels = pod["metadata"].get("labels") or {}
        self.disrupted.add((labels.get(keys.LABEL_JOB_UID, ""), labels.get(keys.LABEL_ATTEMPT, "")))
        condition = {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": "taken away"}
        condition["lastTransitionTime"] = objects.stamp(self.api.clock.now)
        self.api.update(POD, objects.with_condition(pod, condition), "status")
