"""The table of all metrics of the operator. Labels hold enumerable words only, except namespaces and `_info`."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Kind(enum.StrEnum):
    """Prometheus' types."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One family: its help text becomes the reference page. Buckets in the metric's own unit."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


FAST = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
LAG = (0.001, 0.01, 0.1, 0.5, 1.0, 5.0)
FIRST_STATUS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
WAITS = (1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 640.0, 1280.0, 2560.0, 5120.0, 10240.0)
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
DURATIONS = (
    MINUTE,
    5 * MINUTE,
    15 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    4 * HOUR,
    8 * HOUR,
    12 * HOUR,
    DAY,
    2 * DAY,
    4 * DAY,
    7 * DAY,
)

BUILD_INFO = Metric(
    "finetune_operator_build_info", Kind.GAUGE, "1, labelled with the running version.", ("version", "python", "kopf")
)
RECONCILES = Metric(
    "finetune_operator_reconcile_total",
    Kind.COUNTER,
    "Passes over a job by result: success, requeue, retry or error.",
    ("handler", "result"),
)
RECONCILE_SECONDS = Metric(
    "finetune_operator_reconcile_duration_seconds", Kind.HISTOGRAM, "Time of one pass over a job.", ("handler",), FAST
)
IN_FLIGHT = Metric("finetune_operator_handlers_in_flight", Kind.GAUGE, "Passes running now.", ("handler",))
QUEUE_DEPTH = Metric("finetune_operator_queue_depth", Kind.GAUGE, "Jobs that wait for a pass.")
LAST_EVENT = Metric(
    "finetune_operator_last_event_timestamp_seconds", Kind.GAUGE, "When a watch last told anything.", ("resource",)
)
API_REQUESTS = Metric(
    "finetune_operator_api_requests_total",
    Kind.COUNTER,
    "Requests to the API server by verb, resource and code (0: no answer).",
    ("verb", "resource", "code"),
)
API_SECONDS = Metric(
    "finetune_operator_api_request_duration_seconds",
    Kind.HISTOGRAM,
    "Time of requests to the API server.",
    ("verb", "resource"),
    FAST,
)
LOOP_LAG = Metric(
    "finetune_operator_event_loop_lag_seconds", Kind.HISTOGRAM, "How late the event loop wakes up.", (), LAG
)
UNHANDLED = Metric(
    "finetune_operator_unhandled_errors_total", Kind.COUNTER, "Errors that no code expected, by class.", ("cause",)
)
JOBS = Metric("finetune_jobs", Kind.GAUGE, "Jobs by phase and method.", ("namespace", "phase", "method"))
CREATED = Metric("finetune_jobs_created_total", Kind.COUNTER, "Jobs that got a plan.", ("namespace", "method"))
FINISHED = Metric(
    "finetune_jobs_finished_total", Kind.COUNTER, "Jobs that ended, by result.", ("namespace", "method", "result")
)
FAILURES = Metric(
    "finetune_job_failures_total",
    Kind.COUNTER,
    "Failed jobs by reason; class is user (the job must change) or infra.",
    ("namespace", "reason", "class"),
)
STARTUP_SECONDS = Metric(
    "finetune_job_startup_seconds", Kind.HISTOGRAM, "From creation to the first training step.", (), WAITS
)
DURATION_SECONDS = Metric(
    "finetune_job_duration_seconds",
    Kind.HISTOGRAM,
    "From creation to the end.",
    ("method", "result"),
    DURATIONS,
)
FIRST_STATUS_SECONDS = Metric(
    "finetune_job_first_status_seconds",
    Kind.HISTOGRAM,
    "From creation to the first status. Creation is known to the second only.",
    (),
    FIRST_STATUS,
)
JOB_LABELS = ("namespace", "finetunejob")
JOB_INFO = Metric(
    "finetune_job_info",
    Kind.GAUGE,
    "1 for each job shown, labelled with what it is.",
    (*JOB_LABELS, "uid", "task", "method", "base_model", "accelerator"),
)
JOB_CONDITION = Metric(
    "finetune_job_status_condition",
    Kind.GAUGE,
    "1 for the present status of each condition of a job.",
    (*JOB_LABELS, "condition", "status"),
)
JOB_CREATED = Metric("finetune_job_created_timestamp_seconds", Kind.GAUGE, "When the job was created.", JOB_LABELS)
JOB_STARTED = Metric("finetune_job_started_timestamp_seconds", Kind.GAUGE, "When its first pod started.", JOB_LABELS)
JOB_FINISHED = Metric("finetune_job_finished_timestamp_seconds", Kind.GAUGE, "When it ended.", JOB_LABELS)
JOB_PROGRESS = Metric("finetune_job_progress_ratio", Kind.GAUGE, "Share of the steps done, 0 to 1.", JOB_LABELS)
JOB_ETA = Metric("finetune_job_eta_timestamp_seconds", Kind.GAUGE, "When it is expected to end.", JOB_LABELS)
JOB_ATTEMPT = Metric("finetune_job_attempt", Kind.GAUGE, "Number of the present attempt.", JOB_LABELS)
JOBS_DROPPED = Metric(
    "finetune_metrics_jobs_dropped", Kind.GAUGE, "Jobs without series of their own because of the cap."
)

PROCESS = (
    BUILD_INFO,
    RECONCILES,
    RECONCILE_SECONDS,
    IN_FLIGHT,
    QUEUE_DEPTH,
    LAST_EVENT,
    API_REQUESTS,
    API_SECONDS,
    LOOP_LAG,
    UNHANDLED,
    CREATED,
    FINISHED,
    FAILURES,
    STARTUP_SECONDS,
    DURATION_SECONDS,
    FIRST_STATUS_SECONDS,
)
"""Measured as things happen."""

SCRAPED = (
    JOBS,
    JOB_INFO,
    JOB_CONDITION,
    JOB_CREATED,
    JOB_STARTED,
    JOB_FINISHED,
    JOB_PROGRESS,
    JOB_ETA,
    JOB_ATTEMPT,
    JOBS_DROPPED,
)
"""Computed at the scrape from the jobs that are there, so that a deleted job leaves no series."""

ALL = PROCESS + SCRAPED
