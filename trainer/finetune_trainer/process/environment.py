"""The process's surroundings, set before any heavy import: threads, writable folders, quiet libraries.

A training pod has a read-only root, no home and a CPU limit that Python does not know of.

Not here: what the run says (`contract`).
"""

from __future__ import annotations

import logging
import math
import os
import sys
import tempfile
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NoReturn

from finetune_trainer.distributed import launch, seat

CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Where Linux says how much CPU time this container gets: quota and period in microseconds, or `max`."""

NOISY_LOGGERS = (
    *("transformers", "datasets", "trl", "peft", "accelerate", "bitsandbytes", "torchao", "torch", "httpx"),
    "DeepSpeed",
)

SETTINGS: Mapping[str, str] = {
    # A thread that waits must sleep, not spin: on CPUs that others share, spinning made steps ten times longer.
    "OMP_WAIT_POLICY": "PASSIVE",
    "TOKENIZERS_PARALLELISM": "false",  # forked workers would only print a warning about it
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TQDM_DISABLE": "1",
    "TORCH_CPP_LOG_LEVEL": "ERROR",
    "BITSANDBYTES_NOWELCOME": "1",
}

CACHES: Mapping[str, str] = {
    "HOME": "home",
    "HF_HOME": "huggingface",
    "TORCHINDUCTOR_CACHE_DIR": "inductor",
    "TRITON_CACHE_DIR": "triton",
    "MPLCONFIGDIR": "matplotlib",
    "XDG_CACHE_HOME": "cache",
}


def prepare() -> None:
    """Set what libraries read from the environment at import; a value that is set already stays."""
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    _use_writable_folders()
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    here = int(os.environ.get(seat.LOCAL_SIZE, "1"))
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, usable_cpus() // here)))
    if here > 1:
        launch.die_with_parent()
    if os.environ.get(seat.LOCAL_RANK, "0") != "0":
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - the first one of a node speaks for all
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    for name in NOISY_LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)


def leave(code: int) -> NoReturn:
    """End this process; one of several does so at once, since threads that listen to the others cannot be stopped."""
    sys.stdout.flush()
    sys.stderr.flush()
    if seat.RANK in os.environ:
        os._exit(code)
    sys.exit(code)


def go_offline() -> None:
    """Forbid the hub, because the model lies in a folder and a pod may have no network to wait for."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["HF_DATASETS_OFFLINE"] = "1"


def hide(libraries: Iterable[str]) -> None:
    """Make optional libraries look absent: transformers imports each one that it finds, needed or not.

    Measured: datasets, scikit-learn and bitsandbytes cost 240 of the 870 MiB that a pod holds before it trains.
    """
    for name in libraries:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type] - the import system's own word for absent


def usable_cpus(quota_file: Path = CPU_QUOTA) -> int:
    """Count the CPUs this process may use; more threads than that only wait for each other."""
    cpus = len(os.sched_getaffinity(0))
    try:
        quota, period = quota_file.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return cpus
    return cpus if quota == "max" else max(1, min(cpus, math.ceil(int(quota) / int(period))))


def _use_writable_folders() -> None:
    root = Path(tempfile.gettempdir()) / "finetune-trainer"
    for variable, folder in CACHES.items():
        current = os.environ.get(variable)
        if current and (variable != "HOME" or os.access(current, os.W_OK)):
            continue
        if variable != "HOME" and os.access(Path.home(), os.W_OK) and Path.home() != Path("/"):
            continue
        os.environ[variable] = str(root / folder)
        (root / folder).mkdir(parents=True, exist_ok=True)
