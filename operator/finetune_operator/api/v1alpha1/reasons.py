"""Closed lists of words that conditions, metrics and runbooks share.

Not here: what sets them (`reconcile`), how they are worded for people (`status`).
"""

import enum


class ConditionType(enum.StrEnum):
    """Condition types of a FineTuneJob. `Stalled` and `Reconciling` follow kstatus and are absent when not true.

    `Admitted` is there for jobs with a queue only.
    """

    ACCEPTED = "Accepted"
    ADMITTED = "Admitted"
    RUNNING = "Running"
    SUSPENDED = "Suspended"
    CHECKPOINT_AVAILABLE = "CheckpointAvailable"
    FINISHED = "Finished"
    SUCCEEDED = "Succeeded"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"


class Phase(enum.StrEnum):
    """One word for `kubectl get`, derived from the conditions and read by no code."""

    PENDING = "Pending"
    QUEUED = "Queued"
    STARTING = "Starting"
    RUNNING = "Running"
    RESTARTING = "Restarting"
    SUSPENDING = "Suspending"
    SUSPENDED = "Suspended"
    STOPPING = "Stopping"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELLED = "Cancelled"


class Reason(enum.StrEnum):
    """Why a condition is what it is."""

    # Accepted
    PLANNED = "Planned"
    INVALID_SPEC = "InvalidSpec"
    UNKNOWN_MODEL = "UnknownModel"
    DOES_NOT_FIT = "DoesNotFit"
    UNSUPPORTED = "Unsupported"
    UNKNOWN_HARDWARE = "UnknownHardware"
    INSPECTING = "Inspecting"
    MODEL_CONFIG_MISSING = "ModelConfigMissing"
    MODEL_CONFIG_INVALID = "ModelConfigInvalid"
    # on the way to Running
    CLAIM_NOT_FOUND = "ClaimNotFound"
    CONFIG_MAP_NOT_FOUND = "ConfigMapNotFound"
    CONFIG_MAP_KEY_NOT_FOUND = "ConfigMapKeyNotFound"
    FROM_JOB_NOT_FOUND = "FromJobNotFound"
    FROM_JOB_UNFINISHED = "FromJobUnfinished"
    FROM_JOB_UNUSABLE = "FromJobUnusable"
    CLAIM_NOT_SHARED = "ClaimNotShared"
    CREATED = "Created"
    REFUSED_BY_API = "RefusedByAPI"
    QUEUED = "Queued"
    ADMITTED = "Admitted"
    POD_PENDING = "PodPending"
    POD_REFUSED = "PodRefused"
    QUOTA_EXCEEDED = "QuotaExceeded"
    UNSCHEDULABLE = "Unschedulable"
    IMAGE_PULL = "ImagePull"
    CONTAINER_CONFIG = "ContainerConfig"
    VOLUME = "Volume"
    STARTING = "Starting"
    TRAINING = "Training"
    # between attempts
    RESTARTING = "Restarting"
    RESUMED = "Resumed"
    SUSPENDING = "Suspending"
    SUSPENDED = "Suspended"
    CANCELLING = "Cancelling"
    # ends
    CANCELLED = "Cancelled"
    SUCCEEDED = "Succeeded"
    DATA_INVALID = "DataInvalid"
    MODEL_NOT_FOUND = "ModelNotFound"
    AUTH_FAILED = "AuthFailed"
    INVALID_RUN = "InvalidRun"
    GPU_OUT_OF_MEMORY = "GPUOutOfMemory"
    HOST_OUT_OF_MEMORY = "HostOutOfMemory"
    STORAGE_FULL = "StorageFull"
    NON_FINITE_LOSS = "NonFiniteLoss"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    EVICTED = "Evicted"
    PREEMPTED = "Preempted"
    NODE_LOST = "NodeLost"
    CHECKPOINT_CORRUPT = "CheckpointCorrupt"
    INTERRUPTED = "Interrupted"
    TRAINER_ERROR = "TrainerError"
    UNKNOWN = "Unknown"
    # checkpoints
    SAVED = "Saved"
    NONE_YET = "NoneYet"
    EPHEMERAL = "Ephemeral"
    ACTIVE = "Active"


USER_ERRORS = frozenset(
    {
        Reason.INVALID_SPEC,
        Reason.UNKNOWN_MODEL,
        Reason.DOES_NOT_FIT,
        Reason.UNSUPPORTED,
        Reason.UNKNOWN_HARDWARE,
        Reason.MODEL_CONFIG_MISSING,
        Reason.MODEL_CONFIG_INVALID,
        Reason.DATA_INVALID,
        Reason.MODEL_NOT_FOUND,
        Reason.AUTH_FAILED,
        Reason.INVALID_RUN,
        Reason.NON_FINITE_LOSS,
        Reason.FROM_JOB_UNUSABLE,
        Reason.CLAIM_NOT_SHARED,
    }
)
"""Failures that the same job would meet again: the user has to change something."""

OUT_OF_MEMORY = frozenset({Reason.GPU_OUT_OF_MEMORY, Reason.HOST_OUT_OF_MEMORY})
"""Failures that a smaller plan may get over."""

INFRASTRUCTURE = frozenset({Reason.EVICTED, Reason.PREEMPTED, Reason.NODE_LOST, Reason.INTERRUPTED})
"""Ends that are the cluster's doing, not the job's."""

STUCK = frozenset(
    {
        Reason.POD_PENDING,
        Reason.POD_REFUSED,
        Reason.QUOTA_EXCEEDED,
        Reason.UNSCHEDULABLE,
        Reason.IMAGE_PULL,
        Reason.CONTAINER_CONFIG,
        Reason.VOLUME,
    }
)
"""Why pods do not start; with one of them a job fails that has not started by the administrator's deadline."""

FAILURES = (
    USER_ERRORS
    | OUT_OF_MEMORY
    | INFRASTRUCTURE
    | STUCK
    | {
        Reason.STORAGE_FULL,
        Reason.DEADLINE_EXCEEDED,
        Reason.CHECKPOINT_CORRUPT,
        Reason.TRAINER_ERROR,
        Reason.UNKNOWN,
    }
)
"""Every reason with which a job may have failed."""
