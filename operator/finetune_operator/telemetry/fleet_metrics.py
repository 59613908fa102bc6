"""The table of what is counted over all jobs: no metric here names a job."""

from __future__ import annotations

from finetune_trainer.contract import Kind, Label, Metric, Stability

from finetune_operator.telemetry import words

WAITS = (1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 640.0, 1280.0, 2560.0, 5120.0, 10240.0)
FIRST_STATUS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
DURATIONS = (
    *(minutes * MINUTE for minutes in (1, 5, 15, 30)),
    *(hours * HOUR for hours in (1, 2, 4, 8, 12)),
    *(days * DAY for days in (1, 2, 4, 7)),
)

NAMESPACE = Label("namespace", bound="namespaces with jobs; beyond the first 50 all others count as `_other`")
METHOD = Label("method", words.METHODS)
RESULT = Label("result", words.ENDS)
GPU_TYPE = Label("gpu_type", words.ACCELERATORS)

JOBS = Metric(
    "finetune_jobs",
    Kind.GAUGE,
    "Jobs by phase and method, at the moment of the scrape.",
    (NAMESPACE, Label("phase", words.PHASES), METHOD),
    stability=Stability.STABLE,
)
CREATED = Metric(
    "finetune_jobs_created_total",
    Kind.COUNTER,
    "Jobs that were taken on, by the method of their plan.",
    (NAMESPACE, METHOD),
    stability=Stability.STABLE,
)
FINISHED = Metric(
    "finetune_jobs_finished_total",
    Kind.COUNTER,
    "Jobs that ended, by result.",
    (NAMESPACE, METHOD, RESULT),
    stability=Stability.STABLE,
)
FAILURES = Metric(
    "finetune_job_failures_total",
    Kind.COUNTER,
    "Jobs that failed, by reason. class says who can do something: user (change the job) or infra (the cluster).",
    (NAMESPACE, Label("reason", words.FAILURE_REASONS), Label("class", words.BLAME)),
    stability=Stability.STABLE,
)
RESTARTS = Metric(
    "finetune_job_restarts_total",
    Kind.COUNTER,
    "Attempts that followed on another, by the reason why that one ended.",
    (NAMESPACE, Label("reason", words.RESTART_REASONS)),
)
QUEUE_WAIT = Metric(
    "finetune_job_queue_wait_seconds",
    Kind.HISTOGRAM,
    "From a job's creation to its first pod running.",
    (NAMESPACE,),
    WAITS,
)
STARTUP_SECONDS = Metric(
    "finetune_job_startup_seconds",
    Kind.HISTOGRAM,
    "From the place that a queue gave, without a queue from a job's creation, to its first step.",
    (),
    WAITS,
)
DURATION_SECONDS = Metric(
    "finetune_job_duration_seconds",
    Kind.HISTOGRAM,
    "From a job's creation to its end.",
    (METHOD, RESULT),
    DURATIONS,
)
FIRST_STATUS_SECONDS = Metric(
    "finetune_job_first_status_seconds",
    Kind.HISTOGRAM,
    "From a job's creation to its first status. Objects name whole seconds.",
    (),
    FIRST_STATUS,
)
GPU_SECONDS = Metric(
    "finetune_gpu_seconds_total",
    Kind.COUNTER,
    "Device time of attempts that ended, or whose job was deleted: useful (led to a result or a checkpoint that lives "
    "on) or wasted. gpu_type cpu counts pods.",
    (NAMESPACE, GPU_TYPE, Label("outcome", words.OUTCOMES)),
)
GPUS_REQUESTED = Metric(
    "finetune_gpus_requested",
    Kind.GAUGE,
    "Devices that jobs ask for by their plan, whether they hold them or wait; neither ended nor suspended ones.",
    (NAMESPACE, GPU_TYPE),
)
GPU_PRICE = Metric(
    "finetune_gpu_price_dollars_per_hour",
    Kind.GAUGE,
    "What an hour of one device costs in USD: the administrator's price, else the cheapest of the catalog.",
    (GPU_TYPE,),
)
JOBS_DROPPED = Metric(
    "finetune_metrics_jobs_dropped", Kind.GAUGE, "Jobs without series of their own because of metrics.perJob.maxJobs."
)
NAMESPACES_DROPPED = Metric(
    "finetune_metrics_namespaces_dropped", Kind.GAUGE, "Namespaces that are counted together as `_other`."
)

COUNTED = (
    CREATED,
    FINISHED,
    FAILURES,
    RESTARTS,
    QUEUE_WAIT,
    STARTUP_SECONDS,
    DURATION_SECONDS,
    FIRST_STATUS_SECONDS,
    GPU_SECONDS,
)
"""Counted when a status is written."""

SCRAPED_FLEET = (JOBS, GPUS_REQUESTED, GPU_PRICE, JOBS_DROPPED, NAMESPACES_DROPPED)
"""Computed at the scrape."""
