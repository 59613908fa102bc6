"""Kubernetes objects as plain values: nothing here changes one in place, every change makes a new one."""

from __future__ import annotations

import typing
from datetime import UTC, datetime

Body = dict[str, typing.Any]


def parse(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def stamp(seconds: float) -> str:
    """Write a moment as the API server does, to the second."""
    return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")


def changed(value: Body, **fields: typing.Any) -> Body:
    """Return a copy with fields set; a field that is None is left out."""
    return {name: field for name, field in {**value, **fields}.items() if field is not None}


def with_metadata(body: Body, **fields: typing.Any) -> Body:
    return {**body, "metadata": changed(body["metadata"], **fields)}


def with_status(body: Body, **fields: typing.Any) -> Body:
    return {**body, "status": changed(body.get("status") or {}, **fields)}


def uid(body: Body) -> str:
    return body["metadata"]["uid"]


def name(body: Body) -> str:
    return body["metadata"]["name"]


def namespace(body: Body) -> str:
    return body["metadata"].get("namespace", "")


def finalizers(body: Body) -> list[str]:
    return body["metadata"].get("finalizers") or []


def without_finalizer(body: Body, finalizer: str) -> Body:
    return with_metadata(body, finalizers=[one for one in finalizers(body) if one != finalizer] or None)


def deleting(body: Body) -> bool:
    return "deletionTimestamp" in body["metadata"]


def owners(body: Body) -> list[Body]:
    return body["metadata"].get("ownerReferences") or []


def controller(body: Body) -> str | None:
    """Return the uid of the owner that controls an object."""
    return next((owner["uid"] for owner in owners(body) if owner.get("controller")), None)


def conditions(body: Body) -> dict[str, Body]:
    return {one["type"]: one for one in (body.get("status") or {}).get("conditions") or ()}


def is_true(body: Body, condition: str) -> bool:
    return conditions(body).get(condition, {}).get("status") == "True"


def with_condition(body: Body, condition: Body) -> Body:
    """Return a copy with one condition set; its time stays where its status stays."""
    known = conditions(body)
    before = known.get(condition["type"])
    if before and before["status"] == condition["status"]:
        condition = {**condition, "lastTransitionTime": before["lastTransitionTime"]}
    return with_status(body, conditions=list({**known, condition["type"]: condition}.values()))


def ended(pod: Body) -> bool:
    """Return whether a pod's containers have ended for good."""
    return (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}


def merged(old: typing.Any, patch: typing.Any) -> typing.Any:
    """Return a value with a JSON merge patch applied (RFC 7386)."""
    if not isinstance(patch, dict):
        return patch
    result = dict(old) if isinstance(old, dict) else {}
    for field, value in patch.items():
        if value is None:
            result.pop(field, None)
        else:
            result[field] = merged(result.get(field), value)
    return result


def selects(selector: str, values: dict[str, str]) -> bool:
    """Return whether an equality selector (`a=b,c!=d,e,!f`) holds of labels or fields."""
    return all(_holds(term.strip(), values) for term in selector.split(",") if term.strip())


def _holds(term: str, values: dict[str, str]) -> bool:
    if "!=" in term:
        left, right = term.split("!=", 1)
        return values.get(left) != right
    if "=" in term:
        left, right = term.replace("==", "=").split("=", 1)
        return values.get(left) == right
    return term[1:] not in values if term.startswith("!") else term in values


def field_values(body: Body) -> dict[str, str]:
    """Return the fields that a field selector may ask for."""
    found = {"metadata.name": name(body), "metadata.namespace": namespace(body)}
    if body.get("kind") == "Event":
        told = body.get("involvedObject") or {}
        found |= {f"involvedObject.{field}": str(told.get(field, "")) for field in ("kind", "name", "namespace", "uid")}
        found |= {"reason": body.get("reason", ""), "type": body.get("type", "")}
    if body.get("kind") in {"Pod", "FineTuneJob"}:
        found["status.phase"] = (body.get("status") or {}).get("phase", "")
    if body.get("kind") == "Pod":
        found["spec.nodeName"] = (body.get("spec") or {}).get("nodeName", "")
    return found
