"""One history: a cluster, its users, its faults and the real operator in it. Every method is something that happens.

Each says in `told` what it was, so that a history can be read. Not here: which history (`test_histories`), what has to
hold (`invariants`, `quiet`).
"""

from __future__ import annotations

import typing

from cluster import collectors, job_controller, kueue, objects
from cluster.api_server import ApiServer
from cluster.clock import Clock
from cluster.kinds import CLAIM, CONFIG_MAP, FINE_TUNE_JOB, JOB, NAMESPACE, POD, Kind
from cluster.nodes import Nodes
from cluster.objects import Body
from finetune_operator.api import keys
from finetune_operator.cluster.client import REQUEST_SECONDS
from finetune_operator.cluster.errors import ApiError, Overloaded, Unreachable
from finetune_operator.planning.profiles import Profiles
from finetune_operator.runtime import clock as operator_clock
from invariants import Watch
from modelled_operator import IDLE, Operator
from shapes import FITS, SHAPES, SPEC

TEAM = "team"
NAMES = ("anna", "bert")
TICK = 1.0

PROFILES = Profiles()

TROUBLE: dict[str, typing.Callable[[], ApiError]] = {
    "is refused for now": lambda: Overloaded(503, "try again"),
    "gets no answer": lambda: Unreachable(0, "timed out"),
}


class Simulation:
    """A cluster with one namespace, two names for jobs, and one operator that may die and come back."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.api = ApiServer(self.clock, forbid=self._quota)
        self.nodes = Nodes(self.api)
        self.watch = Watch(self.api, self.nodes)
        self.told: list[str] = []
        self.skew = 0.0
        self.quota: set[Kind] = set()
        self.queue_is_open = False
        """Whether Kueue lets every Job begin as soon as it waits."""
        self.generation = 0
        self._collected = -1
        """The revision at which the collectors looked last."""
        self.operator: Operator | None = None
        self.former: Operator | None = None
        self.handed_over = 0.0
        operator_clock.now = self.operators_time
        self._furnish()
        self.starts_operator()

    def operators_time(self) -> float:
        return self.clock.now + self.skew

    def tell(self, text: str) -> None:
        self.told.append(f"{self.clock.now - 1_800_000_000:6.0f} s  {text}")

    # Users.

    def applies(self, name: str, shape: str, fits: str) -> None:
        if self._job(name) is not None or self._space() is None:
            return
        body = {"metadata": {"name": name}, "spec": {**SPEC, **SHAPES[shape]}}
        code, made = self._ask("POST", FINE_TUNE_JOB, "", body)
        if code == 201:
            self.tell(f"a user applies {name}, {shape}; {fits}")
            limit = FITS[fits]
            if limit is not None:
                self.nodes.fits[objects.uid(made)] = limit
            if fits == "it always fails":
                self.nodes.broken.add(objects.uid(made))

    def changes(self, name: str, **spec: typing.Any) -> None:
        if self._job(name) is not None:
            code, _ = self._ask("PATCH", FINE_TUNE_JOB, name, {"spec": spec})
            self.tell(f"a user sets {spec} of {name}: {code}")

    def toggles(self, name: str) -> None:
        """Suspend and resume faster than a pod can end."""
        for suspend in (True, False):
            self.changes(name, suspend=suspend)
            for _ in range(2):
                self.operator_works()
                self.controllers_work()

    def wants_devices_back(self, name: str, trouble: str | None = None) -> None:
        """Suspend, and have the devices soon after, also where the first request that stops the attempt fails."""
        job = self._job(name)
        if job is None or objects.deleting(job) or self.operator is None:
            return
        self.changes(name, suspend=True)
        if trouble is not None:
            self.steps_to("delete")
            self.trouble(trouble, 0)
        self.time_passes(5)
        held = [pod for pod in self.api.all(POD) if objects.uid(pod) in self.nodes.trainers]
        mine = [pod for pod in held if pod["metadata"]["labels"].get(keys.LABEL_JOB_UID) == objects.uid(job)]
        assert not mine, f"{name} is suspended, and 5 s later its trainer still runs"

    def deletes(self, name: str, propagation: str) -> None:
        found = self._job(name)
        if found is not None:
            self.watch.let_go.add(objects.uid(found))
            self._ask("DELETE", FINE_TUNE_JOB, name, {"propagationPolicy": propagation})
            self.tell(f"a user deletes {name} ({propagation})")

    def deletes_by_hand(self, kind: Kind, pick: int, propagation: str) -> None:
        found = self.api.all(kind, TEAM)
        if found:
            name = objects.name(found[pick % len(found)])
            self._ask("DELETE", kind, name, {"propagationPolicy": propagation})
            self.tell(f"somebody deletes {kind} {name} ({propagation})")

    def makes_anew(self, name: str, ticks: int) -> None:
        """Replace a job by one of the same name and spec, so many moments later."""
        found = self._job(name)
        if found is None:
            return
        self.deletes(name, "Background")
        for _ in range(ticks):
            self.nodes_work()
            self.controllers_work()
        code, _ = self._ask("POST", FINE_TUNE_JOB, "", {"metadata": {"name": name}, "spec": found["spec"]})
        self.tell(f"a user applies {name} as it was, {ticks} moments later: {code}")

    def deletes_unseen(self, kind: Kind, pick: int, propagation: str, *, ticks: int) -> None:
        """Delete something while the operator's watches are lost; it lists again when all of it may be gone."""
        self.deletes_by_hand(kind, pick, propagation)
        for _ in range(ticks):
            self.nodes_work()
            self.controllers_work()
        for door in self.operator.streams if self.operator else ():
            self.lists_again(door, 0)

    def provides(self) -> None:
        """Make what jobs need and somebody deleted."""
        if self._space() is None:
            self._furnish()
            self.tell("somebody makes the namespace again")
        for kind in (CONFIG_MAP, CLAIM):
            self._provide(kind)

    def provides_parents(self) -> None:
        """Make, or wake, the jobs that others go on from."""
        for job in self.api.all(FINE_TUNE_JOB, TEAM):
            name = job["spec"]["model"].get("fromJob")
            parent = self._job(name) if name else None
            if name and parent is None:
                self.applies(name, "plain", "it fits")
            elif parent is not None and parent["spec"]["suspend"]:
                self.changes(name, suspend=False)

    def deletes_namespace(self) -> None:
        if self._space() is not None:
            self.watch.let_go |= {objects.uid(job) for job in self.api.all(FINE_TUNE_JOB)}
            self.api.request("DELETE", f"/api/v1/namespaces/{TEAM}")
            self.tell("somebody deletes the namespace")

    # The cluster.

    def fails(self, pick: int, how: str) -> None:
        pods = [pod for pod in self.api.all(POD) if objects.uid(pod) in self.nodes.trainers]
        if pods:
            pod = pods[pick % len(pods)]
            self.nodes.fail(pod, how)
            self.tell(f"the trainer of {objects.name(pod)} ends: {how}")

    def takes_away(self, pick: int, cause: str) -> None:
        pods = self.api.all(POD)
        if pods:
            pod = pods[pick % len(pods)]
            self.nodes.take_away(pod, cause)
            self.tell(f"{objects.name(pod)} is taken away: {cause}")

    def loses_node(self) -> None:
        self.tell(f"{self.nodes.node} is lost")
        self.nodes.lose_node()

    def nodes_come_and_go(self, lifetime: int, seconds: float) -> None:
        """Let pods run on nodes that are soon taken away, for a while."""
        self.tell(f"nodes last for {lifetime} steps")
        self.nodes.lifetime = lifetime
        self.waits(seconds)
        self.nodes.lifetime = None

    def forgets_lost_nodes(self) -> None:
        self.nodes.forget_lost()
        self.tell("pods of lost nodes are taken out of the API")

    def sets(self, *, room: bool, image: bool) -> None:
        self.nodes.room, self.nodes.image = room, image
        self.tell(f"nodes have {'room' if room else 'no room'}, the image is {'there' if image else 'missing'}")

    def limits(self, kinds: set[Kind]) -> None:
        self.quota = kinds
        self.tell(f"a quota forbids new {', '.join(sorted(map(str, kinds))) or 'nothing'}")

    def opens_queue(self, *, is_open: bool) -> None:
        self.queue_is_open = is_open
        self.tell(f"the queue {'lets everybody begin' if is_open else 'lets nobody begin'}")

    def moves_in_queue(self) -> None:
        """Let the first that waits begin, else take the place of the first that has one back."""
        for job in [*kueue.waiting(self.api), *kueue.holding(self.api)][:1]:
            admits = job["spec"]["suspend"]
            (kueue.admit if admits else kueue.evict)(self.api, job)
            self.watch.look()
            self.tell(f"the queue {'lets' if admits else 'stops'} {objects.name(job)}")

    def jumps(self, seconds: float) -> None:
        self.request_lands()
        self.clock.advance(seconds)
        self.tell(f"{seconds:.0f} s pass at once")

    def skews(self, seconds: float) -> None:
        self.skew = seconds
        self.tell(f"the operator's clock is {seconds:.0f} s ahead")

    def controllers_work(self) -> None:
        while self.queue_is_open and kueue.waiting(self.api):
            self.moves_in_queue()
        job_controller.work(self.api)
        self.watch.look()
        if self.api.revision != self._collected:  # what stands as it stood has nothing to clear up
            before = self.api.revision
            collectors.work(self.api)
            self.watch.look()
            self._collected = before

    def nodes_work(self) -> None:
        self.nodes.work()
        self.watch.look()
        self.watch.saved()

    # The operator.

    def starts_operator(self, behind: int = 0, early: int = 0) -> None:
        """Start an operator; new jobs are passed over for so many steps before the watches have told of anything."""
        if self.operator is None:
            self.generation += 1
            self.operator = Operator(self.nodes, f"operator-{self.generation}", PROFILES)
            self.operator.opens()
            self.steps(early, 0)
            for door in self.operator.streams:
                self.operator.list(door, behind)
            self.operator.listed()
            self.tell(f"an operator starts{f', its lists {behind} changes old' if behind else ''}")

    def crashes(self) -> None:
        if self.operator is not None:
            self.tell(f"the operator crashes, at {self.operator.places}")
            self.operator.crash()
            self.operator = None

    def hands_over(self, behind: int, early: int = 0) -> None:
        """Let another operator lead; a request that this one has sent may still arrive, soon, and is its last."""
        if self.operator is not None:
            self.request_lands()
            self.tell(f"another operator leads, the old one is at {self.operator.places}")
            self.former, self.operator = self.operator, None
            self.handed_over = self.clock.now
            self.starts_operator(behind, early)

    def request_lands(self) -> None:
        """Let the requests of a former leader arrive; it writes nothing more, since it holds no Lease."""
        if self.former is not None:
            for which, place in enumerate(self.former.places):
                if place != IDLE and not place.endswith(": answer"):
                    self.former.step(which)
            self.former.crash()
            self.former = None
            self.watch.look()
            self.tell("what the former leader had sent arrives")

    def steps(self, count: int, which: int) -> None:
        """Let a pass go on for so many requests, and stop there."""
        if self.operator is not None:
            for _ in range(count):
                self.operator.step(which)
                self.watch.look()
            self.tell(f"the operator goes on for {count} steps, to {self.operator.places[which]}")

    def steps_to(self, verb: str) -> None:
        """Let the operator hear all, and its passes go on to the next request of a kind, if there is one."""
        if self.operator is not None:
            self.operator.deliver_all()
            for _ in range(30):
                place = self.operator.step(0)
                if place is None or (place.startswith(verb) and not place.endswith(": answer")):
                    break
            self.watch.look()
            self.tell(f"the operator goes on to {self.operator.places[0]}")

    def trouble(self, what: str, which: int) -> None:
        if self.operator is not None:
            place = self.operator.places[which]
            if self.operator.trouble(which, TROUBLE[what]()):
                self.tell(f"{place} {what}")

    def hears(self, door: str, pick: int, *, newest: bool) -> None:
        if self.operator is not None:
            waiting = self.operator.streams[door].waiting()
            if waiting:
                self.operator.deliver(door, waiting[pick % len(waiting)], newest=newest)
                self.tell(f"the operator hears of a change ({door})")

    def hears_again(self, door: str) -> None:
        if self.operator is not None:
            self.operator.repeat(door)
            self.tell(f"the operator hears all again ({door})")

    def lists_again(self, door: str, behind: int) -> None:
        if self.operator is not None:
            self.operator.list(door, behind)
            self.tell(f"the operator's watch is lost; it lists again, {behind} changes old ({door})")

    def operator_works(self) -> bool:
        """Let the operator hear all, do all that is due, and ask its trainers."""
        if self.operator is None:
            return False
        news = self.operator.deliver_all()
        self.operator.timers.run_due()
        busy = self.operator.busy
        self.operator.finish()
        self.watch.look()
        self.operator.poll()
        self.operator.finish()
        self.watch.look()
        return news or busy

    def time_passes(self, ticks: int) -> None:
        self.tell(f"{ticks} s pass")
        for _ in range(ticks):
            self.tick()

    def waits(self, seconds: float) -> None:
        """Let time pass second by second while something moves, else at once to the operator's next timer."""
        self.tell(f"{seconds:.0f} s pass")
        end = self.clock.now + seconds
        while self.clock.now < end:
            before = self.api.revision
            self.tick()
            if self.api.revision == before:
                due = self.operator.timers.next() if self.operator else None
                self.clock.now = max(self.clock.now, min(end, due if due is not None else end))

    def tick(self) -> None:
        self.clock.advance(TICK)
        if self.clock.now - self.handed_over >= REQUEST_SECONDS:
            self.request_lands()
        self.nodes_work()
        self.controllers_work()
        self.operator_works()

    # What the methods above share.

    def _job(self, name: str) -> Body | None:
        return self.api.find(FINE_TUNE_JOB, TEAM, name)

    def _space(self) -> Body | None:
        return self.api.find(NAMESPACE, "", TEAM)

    def _ask(self, method: str, kind: Kind, name: str, body: Body) -> tuple[int, Body]:
        path = f"{kind.prefix}/namespaces/{TEAM}/{kind.plural}" + (f"/{name}" if name else "")
        answer = self.api.request(method, path, body)
        self.watch.look()
        return answer

    def _furnish(self) -> None:
        self.api.create(NAMESPACE, "", {"metadata": {"name": TEAM}})
        for kind in (CONFIG_MAP, CLAIM):
            self._provide(kind)

    def _provide(self, kind: Kind) -> None:
        body = {"metadata": {"name": "rows"}, "data": {"rows.jsonl": "{}"}}
        if kind is CLAIM:
            body = {"metadata": {"name": "shared"}, "spec": {}}
        if self._ask("POST", kind, "", body)[0] == 201:
            self.tell(f"somebody makes {kind} {body['metadata']['name']}")

    def _quota(self, who: str, kind: Kind, body: Body) -> str | None:
        made_for_jobs = keys.LABEL_JOB_UID in (body["metadata"].get("labels") or {})
        return "exceeded quota: count" if kind in self.quota and made_for_jobs else None


CHILDREN = {"Job": JOB, "Pod": POD, "PersistentVolumeClaim": CLAIM, "ConfigMap": CONFIG_MAP}
