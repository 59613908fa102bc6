"""Turns the store's jobs into what the dashboards see of them."""

from __future__ import annotations

from collections.abc import Iterator

from finetune_operator.api import timestamps
from finetune_operator.cluster.store import Body, Store
from finetune_operator.telemetry.jobs import JobView
from finetune_operator.telemetry.process import UNPLANNED

UNSEEN = "Pending"


def views(store: Store) -> Iterator[JobView]:
    """Yield every job of the store."""
    for key, body in store.jobs():
        spec, status = body.get("spec") or {}, body.get("status") or {}
        plan, progress = status.get("plan") or {}, status.get("progress") or {}
        active = status.get("completionTime") is None
        yield JobView(
            namespace=key.namespace,
            name=key.name,
            uid=key.uid,
            phase=status.get("phase") or UNSEEN,
            task=spec.get("task", ""),
            method=plan.get("method") or UNPLANNED,
            base_model=(spec.get("model") or {}).get("name", ""),
            accelerator=plan.get("accelerator") or UNPLANNED,
            created=timestamps.parse(body["metadata"]["creationTimestamp"]),
            started=_time(status, "startTime"),
            finished=_time(status, "completionTime"),
            progress=progress["percent"] / 100 if "percent" in progress else None,
            eta=_eta(progress) if active else None,
            attempt=status["attempts"][-1]["number"] if status.get("attempts") else None,
            conditions=tuple((c["type"], c["status"]) for c in status.get("conditions") or ()),
        )


def _time(status: Body, name: str) -> float | None:
    return timestamps.parse(status[name]) if status.get(name) else None


def _eta(progress: Body) -> float | None:
    if progress.get("etaSeconds") is None:
        return None
    return timestamps.parse(progress["updatedAt"]) + float(progress["etaSeconds"])
