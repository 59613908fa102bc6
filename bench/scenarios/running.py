# ruff: noqa: INP001, S603
"""Carries a cell out as an operator and its pods would, without Kubernetes: plan, run, processes, report.

The job is planned by the operator, its run is the one that its pods would read, and each process is a fresh one. What
it delivers is then loaded in another fresh process and measured again.

Not here: which cells there are (`cells.py`), loading again (`reload.py`).
"""

from __future__ import annotations

import json
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from cells import REPOSITORY, Cell
from finetune_operator.api.identity import JobKey
from finetune_operator.api.v1alpha1.sources import ClaimPath, DatasetSource
from finetune_operator.manifests.attempt import Attempt
from finetune_operator.manifests.run_config import trainer_run
from finetune_operator.planning.plan import Plan, plan
from finetune_operator.planning.profiles import Profiles
from finetune_operator.planning.refusal import Refusal
from finetune_trainer.contract import ExitReport, TrainerRun, from_json, to_json

RUN_SECONDS = 900
"""Longest that one cell may take on a busy machine; on an idle one it takes less than three minutes."""

LAST_LINES = 15
MIB = 2**20

PRIMARY = {
    "text-classification": "accuracy",
    "token-classification": "f1",
    "question-answering": "f1",
    "translation": "chrf",
}
"""The metric that a cell is judged by; tasks that are not here, and answers that are written, by their loss."""

LOWER_IS_BETTER = frozenset({"loss"})


class CellFailed(Exception):
    """A cell cannot be planned, its processes fail, or what they report is not what must hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was measured of a cell.

    Memory is of one process, the reporting one. CPU time is that of all processes from start to end, imports and both
    measurements included; unlike the time it takes, it hardly depends on what else the machine does.
    """

    digest: str
    task: str
    model: str
    method: str
    sharding: str
    processes: int
    metric: str
    before: float
    after: float
    reloaded: float
    trainable_parameters: int
    total_parameters: int
    steps: int
    batch: int
    train_seconds: float
    cpu_seconds: float
    peak_mib: int

    @property
    def is_better(self) -> bool:
        """Tell whether training helped on held-out rows."""
        return is_better(self.metric, self.before, self.after)

    @property
    def is_kept(self) -> bool:
        """Tell whether what was delivered is as good in another process as it was in the one that made it."""
        return abs(self.reloaded - self.after) <= max(2e-3 * abs(self.after), 1e-3)


def judged_by(cell: Cell, report: ExitReport) -> str:
    """Name the metric that tells how good the cell's model is."""
    return "loss" if "perplexity" in report.metrics_after else PRIMARY[cell.spec.task.value]


def is_better(metric: str, before: float, after: float) -> bool:
    """Tell whether a metric went the right way."""
    return after < before if metric in LOWER_IS_BETTER else after > before


def measure(cell: Cell, samples: Path, folder: Path) -> Figures:
    """Carry a cell out below a folder, and check what must hold.

    Raises:
        CellFailed: says what went wrong, with the last lines of the process.
    """
    decided = planned(cell)
    files = run_files(local_run(cell, decided, samples, folder), folder, decided.devices)
    before = _cpu_seconds()
    carry_out(cell, files)
    used = _cpu_seconds() - before
    reloaded = load_again(files[0])
    found = figures(cell, decided, report_of(folder), reloaded=reloaded, cpu_seconds=round(used, 1))
    if not found.is_better:
        raise CellFailed(f"{cell.name}: {found.metric} went from {found.before} to {found.after}")
    if not found.is_kept:
        message = f"{found.metric} is {found.after} after training and {found.reloaded} when loaded again"
        raise CellFailed(f"{cell.name}: {message}")
    return found


def planned(cell: Cell) -> Plan:
    """Plan a cell for the CPU pods that an operator offers where nobody set anything.

    Raises:
        CellFailed: the job is refused.
    """
    answer = plan(cell.spec, Profiles())
    if isinstance(answer, Refusal):
        raise CellFailed(f"{cell.name}: {answer.message}")
    return answer


def local_run(cell: Cell, decided: Plan, samples: Path, folder: Path) -> TrainerRun:
    """Return what a pod of the job would read, with the samples' folder in place of the claim of that name."""
    spec = cell.spec
    key = JobKey("default", f"{cell.scenario}-{cell.technique}", cell.digest)
    run = trainer_run(Attempt(key, spec, decided, Profiles(), 1))
    validation = spec.dataset.validation
    held_out = validation.source if validation else None
    return replace(
        run,
        model=replace(run.model, path=_local(spec.model.source, samples)),
        dataset=replace(
            run.dataset, path=_local(spec.dataset.source, samples), validation_path=_local(held_out, samples)
        ),
        checkpoints=replace(run.checkpoints, directory=str(folder / "checkpoints")),
        output=replace(run.output, directory=str(folder / "output"), copies=()),
        reporting=replace(run.reporting, port=0, termination_log=str(_termination_log(folder, 0))),
        cache_directory=str(folder / "cache"),
    )


def _local(source: DatasetSource | object | None, samples: Path) -> str | None:
    claim: ClaimPath | None = getattr(source, "claim", None)
    return str(samples / claim.path) if claim and claim.path else None


def _termination_log(folder: Path, rank: int) -> Path:
    return folder / f"termination-log-{rank}"


def run_files(run: TrainerRun, folder: Path, processes: int) -> list[Path]:
    """Write the run of each process: they differ in nothing but where they put their last words, as pods do."""
    files = [folder / f"run-{rank}.json" for rank in range(processes)]
    for rank, file in enumerate(files):
        own = replace(run.reporting, termination_log=str(_termination_log(folder, rank)))
        file.write_text(to_json(replace(run, reporting=own)), encoding="utf-8")
    return files


def carry_out(cell: Cell, files: Sequence[Path]) -> None:
    """Start every process of the run, rank 0 first, and wait for all.

    Raises:
        CellFailed: one of them fails, or takes too long.
    """
    size, port = len(files), _free_port()
    started = []
    for rank, file in enumerate(files):
        words = {"OMP_NUM_THREADS": str(max(1, len(os.sched_getaffinity(0)) // size))}
        if size > 1:
            words |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(size)}
            words |= {"RANK": str(rank), "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}
        started.append(_start(["-m", "finetune_trainer", str(file)], words))
    try:
        for process in started:
            _finish(cell.name, process)
    finally:
        for process in started:
            process.kill()


def load_again(file: Path) -> dict[str, float]:
    """Measure what a run delivered, in a fresh process.

    Raises:
        CellFailed: the process fails, or takes too long.
    """
    script = str(Path(__file__).with_name("reload.py"))
    said = _finish("loading again", _start([script, str(file)], {}))
    found: dict[str, float] = json.loads(said.splitlines()[-1])
    return found


def report_of(folder: Path) -> ExitReport:
    """Read what the first process of a run has reported."""
    return from_json(ExitReport, _termination_log(folder, 0).read_text(encoding="utf-8"))


def _start(arguments: Sequence[str], words: Mapping[str, str]) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "trainer"), **words}
    command = [sys.executable, "-W", "ignore", *arguments]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=REPOSITORY
    )


def _finish(what: str, process: subprocess.Popen[str]) -> str:
    try:
        said, _nothing = process.communicate(timeout=RUN_SECONDS)
    except subprocess.TimeoutExpired as error:
        process.kill()
        raise CellFailed(f"{what}: not done after {RUN_SECONDS} s") from error
    if process.returncode:
        last = "\n".join(said.splitlines()[-LAST_LINES:])
        raise CellFailed(f"{what}: exit status {process.returncode}\n{last}")
    return said


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _cpu_seconds() -> float:
    """Return the CPU time of all processes that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def figures(
    cell: Cell, decided: Plan, report: ExitReport, *, reloaded: Mapping[str, float], cpu_seconds: float
) -> Figures:
    """Put together what was measured of a cell."""
    metric = judged_by(cell, report)
    sharding = decided.sharding
    return Figures(
        digest=cell.digest,
        task=cell.spec.task.value,
        model=cell.spec.model.name.rpartition("/")[2],
        method=decided.peft.type.value if decided.peft else decided.method.value,
        sharding=f"ZeRO stage {sharding.stage}" if sharding.strategy == "deepspeed" else "",
        processes=decided.devices,
        metric=metric,
        before=report.metrics_before[metric],
        after=report.metrics_after[metric],
        reloaded=reloaded[metric],
        trainable_parameters=report.trainable_parameters or 0,
        total_parameters=report.total_parameters or 0,
        steps=report.step,
        batch=decided.micro_batch_size * decided.gradient_accumulation_steps * decided.devices,
        train_seconds=report.train_seconds or 0.0,
        cpu_seconds=cpu_seconds,
        peak_mib=round((report.peak_memory_bytes or 0) / MIB),
    )


def as_json(found: Figures) -> dict[str, object]:
    """Write figures for the file of results."""
    return asdict(found)
