"""The table of all metrics: those of the operator's process, of the fleet, of single jobs, and of training pods.

Not here: the rows (`process_metrics`, `fleet_metrics`, `job_metrics`, `finetune_trainer.contract`).
"""

from __future__ import annotations

from finetune_trainer.contract import TRAINER_METRICS

from finetune_operator.telemetry.fleet_metrics import COUNTED, SCRAPED_FLEET
from finetune_operator.telemetry.job_metrics import PER_JOB
from finetune_operator.telemetry.process_metrics import PROCESS

GROUPS = {
    "The operator's process": PROCESS,
    "All jobs": COUNTED + SCRAPED_FLEET,
    "Single jobs": PER_JOB,
    "Training pods": TRAINER_METRICS,
}
"""As the reference page shows them."""

MEASURED = PROCESS + COUNTED
"""Kept in the client library's own counters."""

SCRAPED = SCRAPED_FLEET + PER_JOB
"""Computed at the scrape from the jobs that are there."""

ALL = tuple(metric for group in GROUPS.values() for metric in group)
