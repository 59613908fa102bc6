"""The loads: each starts its own control plane and operator, and returns figures by name."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import machine
from audit import OPERATOR, Write, writes
from control_plane import ControlPlane, poll_until, poll_until_same
from finetune_operator.api import keys
from finetune_operator.api.schema import crd
from load import NAMESPACE, apply, claim
from operator_process import ROOT, OperatorProcess

Figures = dict[str, float]

BURSTS = 3
"""Bursts in a row; the one with the median time counts."""

JOB = f'"requestURI":"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"'
"""How the creation of a Job stands in the audit log."""

APPLIED = "x-1?fieldManager="
"""How it stands there where the barest of prototypes applies it."""

TOLD = "x/status?"
"""How the write of a status stands there: all jobs have names that end with an x."""

MOST_OTHERS = 0.1
"""Cores that others may use while the yardstick is taken; it would stretch the limits for their sake."""

SLOWER = "times_slower"
"""The figure that says how many times slower this machine is."""

CEILING = "jobs_per_second_of_a_free_operator"
"""The figure that says what an operator could reach here that costs nothing: all else uses the processors alone."""

BARE_P50_SECONDS = 0.75
"""What a prototype of that shape took for the same on the machine that the limits are of."""

WARMED_BY = 10
"""Jobs before the clock starts: the API server delays the first of a new kind by 2 s, connections have to be opened."""

SETTLE_SECONDS = 3
"""Without a write of the operator for so long, it has nothing more to do."""

ASK_SECONDS = 2.0
"""From one look at the operator's metrics to the next: with thousands of jobs they cost it a tenth of a second."""

QUIET_SECONDS = 60
IDLE_JOBS = 5000


@dataclass(frozen=True, slots=True)
class Stage:
    """What a scenario plays on."""

    server: ControlPlane
    folder: pathlib.Path
    profile: pathlib.Path | None

    def operator(self) -> OperatorProcess:
        """Return an operator that is not started yet."""
        return OperatorProcess(self.server, self.folder, profile=self.profile, logs={"level": "warning"})

    def log_size(self) -> int:
        """Return the size of the audit log, to read it from here later."""
        return self.server.audit_log.stat().st_size

    def asked(self, path: str, since: int) -> int:
        """Count the writes to a path, as cheaply as can be: it is asked while the clock runs."""
        with self.server.audit_log.open("rb") as log:
            log.seek(since)
            return log.read().count(path.encode())

    def settled(self, within: float) -> None:
        """Wait until the operator writes nothing any more."""
        waiting = "the operator to have nothing to do"
        poll_until_same(self.log_size, seconds=SETTLE_SECONDS, within=within, waiting_for=waiting)


def run(name: str, programs: pathlib.Path, folder: pathlib.Path, profile: pathlib.Path | None) -> Figures:
    """Play one scenario."""
    hurried = {"pods_per_second": 300} if name == "idle" else {}  # 5,000 pods would take it four minutes
    with ControlPlane(programs, job_controller=True, **hurried) as server:
        server.request("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd())
        server.request("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        server.request("POST", f"/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims", claim())
        path = f"/apis/{keys.API_VERSION}/namespaces/{NAMESPACE}/{keys.PLURAL}"
        poll_until(lambda: server.request("GET", path)[0] == 200, within=30, waiting_for="the definition")
        return ALL[name](Stage(server, folder, profile))


def bare(stage: Stage) -> Figures:
    """300 jobs at once, for the barest of prototypes: how fast this machine is."""
    command = [sys.executable, str(pathlib.Path(__file__).with_name("bare.py"))]
    environment = {**os.environ, "KUBECONFIG": str(stage.server.kubeconfig(stage.folder / "bare.json", "operator"))}
    path = os.pathsep.join(str(ROOT / part) for part in ("operator", "trainer"))
    with (stage.folder / "bare.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment | {"PYTHONPATH": path}, stdout=log, stderr=log)
    try:
        figures = _burst(stage, 300, begun=APPLIED)
    finally:
        process.kill()  # its workers wait for ever, and kopf would wait for them
        process.wait()
    if (others := figures["cores_used_by_others"]) > MOST_OTHERS:
        raise SystemExit(f"others used {others:.2f} cores: the yardstick says nothing of the machine; run again alone")
    return {**figures, SLOWER: figures["apply_to_job_p50_seconds"] / BARE_P50_SECONDS}


def burst_20(stage: Stage) -> Figures:
    """20 jobs applied at once."""
    with stage.operator() as operator:
        return _burst(stage, 20, operator)


def burst_300(stage: Stage) -> Figures:
    """300 jobs applied at once."""
    with stage.operator() as operator:
        return _burst(stage, 300, operator)


def _burst(stage: Stage, count: int, operator: OperatorProcess | None = None, begun: str = JOB) -> Figures:
    """Return the figures of the burst with the median time, of several in a row."""
    apply(stage.server, _names("warm", WARMED_BY))
    poll_until(lambda: stage.asked(TOLD, 0) >= WARMED_BY, within=60, waiting_for="the first statuses")
    stage.settled(within=60)
    played = [_one_burst(stage, operator, begun, _names(f"burst{number}", count)) for number in range(BURSTS)]
    played.sort(key=lambda figures: figures["apply_to_job_p50_seconds"])
    return played[len(played) // 2]


def _one_burst(stage: Stage, operator: OperatorProcess | None, begun: str, names: list[str]) -> Figures:
    machine.quiet()
    since, cpu, before = stage.log_size(), operator.cpu_seconds() if operator else 0.0, machine.read()
    apply(stage.server, names)
    poll_until(lambda: stage.asked(begun, since) >= len(names), within=120, waiting_for="a Job for each")
    after, until_job = machine.read(), operator.cpu_seconds() - cpu if operator else 0.0
    stage.settled(within=120)
    figures = _of_burst(writes(stage.server.audit_log, since), names)
    whole, used = after.own - before.own, {}
    if operator:
        used = {
            "operator_cpu_seconds_per_job": (operator.cpu_seconds() - cpu) / len(names),
            "operator_cpu_seconds_until_job": until_job / len(names),
            CEILING: len(names) * (os.cpu_count() or 1) / (whole - until_job),
        }
    return {
        **figures,
        **used,
        "all_cpu_seconds_until_job": whole / len(names),
        "cores_used_by_others": after.others_since(before),
    }


def _of_burst(log: list[Write], names: list[str]) -> Figures:
    count = len(names)
    applied = {w.name: w.received for w in log if w.resource == keys.PLURAL and w.verb == "create"}
    own = _by_job((w for w in log if w.user == OPERATOR), names)
    created = {name: next(w for w in own[name] if w.resource == "jobs" and w.done) for name in names}
    told = {name: next(w for w in own[name] if w.resource == f"{keys.PLURAL}/status" and w.done) for name in names}
    to_job = sorted(created[name].answered - applied[name] for name in names)
    to_status = sorted(told[name].answered - applied[name] for name in names)
    seconds = max(write.answered for write in created.values()) - min(applied.values())
    return {
        "apply_to_job_p50_seconds": percentile(to_job, 50),
        "apply_to_job_p99_seconds": percentile(to_job, 99),
        "apply_to_status_p50_seconds": percentile(to_status, 50),
        "apply_to_status_p99_seconds": percentile(to_status, 99),
        "jobs_per_second": count / seconds,
        "applies_per_second": count / (max(applied.values()) - min(applied.values())),
        "writes_until_job": max(own[name].index(created[name]) + 1 for name in names),
        "writes_until_pending": sum(len(own[name]) for name in names) / count,
        "failed_writes": sum(not w.done for name in names for w in own[name]),
    }


def idle(stage: Stage) -> Figures:
    """5,000 jobs whose pods wait for a node: what the operator costs, and how soon a new one is at work."""
    with stage.operator() as operator:
        apply(stage.server, _names("idle", IDLE_JOBS))
        stage.settled(within=600)
        since, cpu, began = stage.log_size(), operator.cpu_seconds(), time.monotonic()
        poll_until(lambda: time.monotonic() - began > QUIET_SECONDS, within=2 * QUIET_SECONDS, waiting_for="a minute")
        used = (operator.cpu_seconds() - cpu) / (time.monotonic() - began)
        written = [write for write in writes(stage.server.audit_log, since) if write.user == OPERATOR]
        memory = operator.memory_bytes()
    since = stage.log_size()
    apply(stage.server, ["late"])
    began_at = time.time()
    with stage.operator() as operator:
        late = f"/{keys.PLURAL}/late/status"
        poll_until(lambda: stage.asked(late, since), within=120, waiting_for="a status of the new job")
        passes = "finetune_operator_reconcile_total"
        waiting = "a pass over each job"
        poll_until(lambda: operator.metric(passes) > IDLE_JOBS, within=120, waiting_for=waiting, every=ASK_SECONDS)
        all_seen = time.time() - began_at
        stage.settled(within=120)
        again = operator.memory_bytes()
    own = [write for write in writes(stage.server.audit_log, since) if write.user == OPERATOR]
    first = next(write for write in own if write.name == "late" and write.resource == f"{keys.PLURAL}/status")
    return {
        "cpu_cores": used,
        "memory_bytes": memory,
        "memory_after_restart_bytes": again,
        "writes_in_a_quiet_minute": len(written),
        "restart_to_first_status_seconds": first.answered - began_at,
        "restart_to_all_seen_seconds": all_seen,
        "writes_after_restart": sum(not write.name.startswith("late") for write in own),
    }


ALL: dict[str, Callable[[Stage], Figures]] = {"bare": bare, "burst-20": burst_20, "burst-300": burst_300, "idle": idle}


def percentile(ordered: list[float], percent: float) -> float:
    """Return the smallest value that so many percent do not exceed."""
    return ordered[max(0, -(-len(ordered) * percent // 100).__int__() - 1)]


def _names(stem: str, count: int) -> list[str]:
    return [f"{stem}-{number:05}x" for number in range(count)]


def _by_job(log: Iterable[Write], names: list[str]) -> dict[str, list[Write]]:
    """Return the writes by the job that they were made for: names of children and Events begin with the job's."""
    found: dict[str, list[Write]] = {name: [] for name in names}
    for write in log:
        name = write.name[: len(names[0])]
        if name in found:
            found[name].append(write)
    return found
