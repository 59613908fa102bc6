"""The closed lists of label values, and how anything else is brought into them."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus

from finetune_trainer.contract import Label

from finetune_operator.api.v1alpha1.reasons import FAILURES, USER_ERRORS, ConditionType, Phase, Reason
from finetune_operator.api.v1alpha1.sources import DatasetSource
from finetune_operator.api.v1alpha1.spec import Task
from finetune_operator.api.v1alpha1.technique import Method
from finetune_operator.planning import catalog

OTHER = "other"
NONE = "none"
"""What is not known, or not asked for."""

HANDLERS = ("finetunejob",)
RESULTS = ("success", "requeue", "retry", "error")
ROLES = ("leader", "follower", "standalone")
WATCHED = ("finetunejobs", "jobs", "jobsets", "pods")
VERBS = ("get", "list", "create", "apply", "patch", "replace", "delete", "proxy", OTHER)
RESOURCES = (
    "finetunejobs",
    "jobs",
    "jobsets",
    "pods",
    "workloads",
    "configmaps",
    "persistentvolumeclaims",
    "services",
    "leases",
    "events",
    OTHER,
)
SINGLE_CODES = (409, 410, 422, 429)
"""HTTP codes that are worth a value of their own; the others count by class, no answer as none."""

CODES = ("2xx", "3xx", "4xx", "5xx", *(str(code) for code in SINGLE_CODES), NONE)
CAUSES = (
    "AttributeError",
    "KeyError",
    "IndexError",
    "TypeError",
    "ValueError",
    "ValidationError",
    "RuntimeError",
    "TimeoutError",
    OTHER,
)
CHANGES = ("phase", "progress", "conditions", "message", "nothing")
WATCH_ENDS = ("gone", "timeout", "error")
PHASES = tuple(phase.value for phase in Phase)
METHODS = (*(method.value for method in Method if method is not Method.AUTO), NONE)
ENDS = ("succeeded", "failed", "cancelled")
CONDITIONS = tuple(kind.value for kind in ConditionType)
STATUSES = ("True", "False", "Unknown")
REASONS = tuple(reason.value for reason in Reason)
_COUNTED_AS = {
    Reason.DOES_NOT_FIT: Reason.INVALID_SPEC,
    Reason.UNSUPPORTED: Reason.INVALID_SPEC,
    Reason.UNKNOWN_HARDWARE: Reason.INVALID_SPEC,
    Reason.INVALID_RUN: Reason.INVALID_SPEC,
    Reason.FROM_JOB_UNUSABLE: Reason.INVALID_SPEC,
    Reason.CLAIM_NOT_SHARED: Reason.INVALID_SPEC,
    Reason.AUTH_FAILED: Reason.INVALID_SPEC,
    Reason.UNKNOWN_MODEL: Reason.MODEL_NOT_FOUND,
    Reason.MODEL_CONFIG_MISSING: Reason.MODEL_NOT_FOUND,
    Reason.MODEL_CONFIG_INVALID: Reason.MODEL_NOT_FOUND,
    Reason.POD_PENDING: Reason.UNSCHEDULABLE,
    Reason.POD_REFUSED: Reason.UNSCHEDULABLE,
    Reason.QUOTA_EXCEEDED: Reason.UNSCHEDULABLE,
    Reason.VOLUME: Reason.UNSCHEDULABLE,
    Reason.CONTAINER_CONFIG: Reason.IMAGE_PULL,
    Reason.INTERRUPTED: Reason.NODE_LOST,
}
"""Reasons that are counted under a kindred one: each costs a series per namespace, and the job itself has its own."""

FAILURE_REASONS = tuple(reason.value for reason in Reason if reason in FAILURES and reason not in _COUNTED_AS)
RESTART_REASONS = (
    *(reason for reason in FAILURE_REASONS if reason not in USER_ERRORS),
    Reason.SUSPENDED.value,
    OTHER,
)
"""A job that was suspended begins a new attempt too, although nothing failed; what the user has to repair ends it."""

OUTCOMES = ("useful", "wasted")
ACCELERATORS = (*(one.key for one in catalog.accelerators() if not one.inference_only), OTHER)
TASKS = (*(task.value for task in Task), NONE)
SOURCES = (*(field.alias or name for name, field in DatasetSource.model_fields.items()), NONE)
ROLES_OF_PODS = ("rank0", "worker")

USER, INFRA = "user", "infra"
BLAME = (USER, INFRA)


def code(status: int) -> str:
    """Return the label value of an HTTP status; 0 stands for no answer."""
    if status in SINGLE_CODES:
        return str(status)
    known = HTTPStatus.OK <= status < 600  # noqa: PLR2004 - the end of HTTP's classes
    return f"{status // 100}xx" if known else NONE


def one_of(values: Iterable[str], value: str, otherwise: str = OTHER) -> str:
    """Return the value where it is in the list."""
    return value if value in values else otherwise


def counted_as(reason: str) -> str:
    """Return the reason under which one is counted."""
    return {kin.value: kind.value for kin, kind in _COUNTED_AS.items()}.get(reason, reason)


def blame(reason: str) -> str:
    """Say whether the user has to change something, or the cluster failed."""
    return USER if reason in USER_ERRORS else INFRA


def label(name: str, values: Iterable[str] = (), bound: str = "") -> Label:
    """Return a label with its closed list of values, or with what keeps an open one small."""
    return Label(name, tuple(values), bound)
