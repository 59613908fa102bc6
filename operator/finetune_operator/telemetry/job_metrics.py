"""The table of what is shown of single jobs, computed at the scrape: a deleted job leaves no series."""

from __future__ import annotations

from finetune_trainer.contract import Kind, Label, Metric, Stability

from finetune_operator.telemetry import words

JOB = (
    Label("namespace", bound="namespaces with jobs"),
    Label("finetunejob", bound="jobs, at most metrics.perJob.maxJobs"),
)

JOB_INFO = Metric(
    "finetune_job_info",
    Kind.GAUGE,
    "1, labelled with what the job is. Join it; it is the only place of free text, cut to 120 characters.",
    (
        *JOB,
        Label("uid", bound="one for each job"),
        Label("task", words.TASKS),
        Label("method", words.METHODS),
        Label("base_model", bound="one for each job"),
        Label("dataset_kind", words.SOURCES),
        Label("gpu_type", words.ACCELERATORS),
        Label("queue", bound="queues of Kueue"),
    ),
)
JOB_CONDITION = Metric(
    "finetune_job_status_condition",
    Kind.GAUGE,
    "1 for the present status of each condition of a job.",
    (
        *JOB,
        Label("condition", words.CONDITIONS),
        Label("status", words.STATUSES),
        Label("reason", words.REASONS),
    ),
    stability=Stability.STABLE,
)
JOB_CREATED = Metric("finetune_job_created_timestamp_seconds", Kind.GAUGE, "When the job was created.", JOB)
JOB_ADMITTED = Metric(
    "finetune_job_admitted_timestamp_seconds", Kind.GAUGE, "When its newest attempt was allowed to start.", JOB
)
JOB_STARTED = Metric("finetune_job_started_timestamp_seconds", Kind.GAUGE, "When its first pod ran.", JOB)
JOB_FINISHED = Metric("finetune_job_finished_timestamp_seconds", Kind.GAUGE, "When it ended.", JOB)
JOB_PROGRESS = Metric("finetune_job_progress_ratio", Kind.GAUGE, "Part of the steps done, 0 to 1.", JOB)
JOB_ETA = Metric("finetune_job_eta_timestamp_seconds", Kind.GAUGE, "When training is expected to end.", JOB)
JOB_STEP = Metric("finetune_job_step", Kind.GAUGE, "Optimizer steps done, earlier attempts included.", JOB)
JOB_ATTEMPT = Metric("finetune_job_attempt", Kind.GAUGE, "Number of the newest attempt, from 1.", JOB)
JOB_GPUS = Metric(
    "finetune_job_gpus", Kind.GAUGE, "Devices that the job holds now, 0 while it holds none. On a CPU its pods.", JOB
)
JOB_DEVICE_SECONDS = Metric(
    "finetune_job_device_seconds",
    Kind.GAUGE,
    "Time for which the job has held devices, times their number, all attempts together. On a CPU its pods.",
    JOB,
)
JOB_CHECKPOINT = Metric(
    "finetune_job_last_checkpoint_timestamp_seconds", Kind.GAUGE, "When its newest checkpoint was seen.", JOB
)
JOB_ATTEMPT_ENDED = Metric(
    "finetune_job_attempt_ended_timestamp_seconds",
    Kind.GAUGE,
    "When the newest attempt that has ended did, with the reason: a retry, a resume and the end of the job alike.",
    (*JOB, Label("reason", words.REASONS)),
)
POD_INFO = Metric(
    "finetune_job_pod_info",
    Kind.GAUGE,
    "1 for each training pod, to join what others measure of pods to jobs.",
    (
        *JOB,
        Label("pod", bound="pods of the newest attempt"),
        Label("node", bound="nodes of the cluster"),
        Label("role", words.ROLES_OF_PODS),
        Label("rank", bound="pods of the attempt, by index"),
    ),
)

PER_JOB = (
    JOB_INFO,
    JOB_CONDITION,
    JOB_CREATED,
    JOB_ADMITTED,
    JOB_STARTED,
    JOB_FINISHED,
    JOB_PROGRESS,
    JOB_ETA,
    JOB_STEP,
    JOB_ATTEMPT,
    JOB_GPUS,
    JOB_DEVICE_SECONDS,
    JOB_CHECKPOINT,
    JOB_ATTEMPT_ENDED,
    POD_INFO,
)
