"""Closed lists of words that conditions, metrics and runbooks share.

Not here: what sets them (`reconcile`), how they are worded for people (`status`).
"""

import enum


class ConditionType(enum.StrEnum):
    """Condition types of a FineTuneJob. `Stalled` and `Reconciling` follow kstatus and are absent when not true."""

    ACCEPTED = "Accepted"
    RUNNING = "Running"
    CHECKPOINT_AVAILABLE = "CheckpointAvailable"
    FINISHED = "Finished"
    SUCCEEDED = "Succeeded"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"


class Phase(enum.StrEnum):
    """One word for `kubectl get`, derived from the conditions and read by no code."""

    PENDING = "Pending"
    STARTING = "Starting"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


class Reason(enum.StrEnum):
    """Why a condition is what it is."""

    # Accepted
    PLANNED = "Planned"
    INVALID_SPEC = "InvalidSpec"
    UNKNOWN_MODEL = "UnknownModel"
    DOES_NOT_FIT = "DoesNotFit"
    UNSUPPORTED = "Unsupported"
    UNKNOWN_HARDWARE = "UnknownHardware"
    # on the way to Running
    CLAIM_NOT_FOUND = "ClaimNotFound"
    CONFIG_MAP_NOT_FOUND = "ConfigMapNotFound"
    CONFIG_MAP_KEY_NOT_FOUND = "ConfigMapKeyNotFound"
    CREATED = "Created"
    REFUSED_BY_API = "RefusedByAPI"
    POD_PENDING = "PodPending"
    UNSCHEDULABLE = "Unschedulable"
    IMAGE_PULL = "ImagePull"
    CONTAINER_CONFIG = "ContainerConfig"
    STARTING = "Starting"
    TRAINING = "Training"
    # ends
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
    ACTIVE = "Active"


USER_ERRORS = frozenset(
    {
        Reason.INVALID_SPEC,
        Reason.UNKNOWN_MODEL,
        Reason.DOES_NOT_FIT,
        Reason.UNSUPPORTED,
        Reason.UNKNOWN_HARDWARE,
        Reason.DATA_INVALID,
        Reason.MODEL_NOT_FOUND,
        Reason.AUTH_FAILED,
        Reason.INVALID_RUN,
        Reason.NON_FINITE_LOSS,
    }
)
"""Failures that the same job would meet again: the user has to change something."""

FAILURES = USER_ERRORS | {
    Reason.GPU_OUT_OF_MEMORY,
    Reason.HOST_OUT_OF_MEMORY,
    Reason.STORAGE_FULL,
    Reason.DEADLINE_EXCEEDED,
    Reason.EVICTED,
    Reason.PREEMPTED,
    Reason.NODE_LOST,
    Reason.CHECKPOINT_CORRUPT,
    Reason.INTERRUPTED,
    Reason.TRAINER_ERROR,
    Reason.UNKNOWN,
}
"""Every reason with which a job may have failed."""
