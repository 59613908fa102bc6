"""What clears up: the garbage collectors of objects and of pods, the namespace controller, the protection of claims."""

from __future__ import annotations

from cluster import objects
from cluster.admission import CLAIM_IN_USE
from cluster.api_server import FOREGROUND, ORPHAN, ApiServer
from cluster.kinds import CLAIM, NAMESPACE, OWNERS, POD, Kind
from cluster.objects import Body


def work(api: ApiServer) -> None:
    """Look at every object once."""
    for kind, body in [(kind, body) for kind, held in api.held.items() for body in held.values()]:
        found = api.find(kind, objects.namespace(body), objects.name(body))
        if found is None or objects.uid(found) != objects.uid(body):
            continue
        if objects.deleting(found) and {FOREGROUND, ORPHAN} & set(objects.finalizers(found)):
            _end(api, kind, found)
        else:
            _collect(api, kind, found)
    _pods(api)
    _claims(api)
    _namespaces(api)


def _collect(api: ApiServer, kind: Kind, body: Body) -> None:
    """Delete an object whose owners are all gone, or going with it."""
    references = objects.owners(body)
    if not references or objects.deleting(body):
        return
    found = [_owner(api, body, reference) for reference in references]
    solid = [one for one in found if one is not None and not _takes_along(one)]
    if solid:
        return
    waiting = any(one is not None for one in found)
    policy = "Foreground" if waiting and _dependents(api, objects.uid(body)) else "Background"
    options = {"propagationPolicy": policy, "preconditions": {"uid": objects.uid(body)}}
    api.delete(kind, objects.namespace(body), objects.name(body), options)


def _owner(api: ApiServer, body: Body, reference: Body) -> Body | None:
    kind = OWNERS.get((reference["apiVersion"], reference["kind"]))
    found = api.find(kind, objects.namespace(body), reference["name"]) if kind else None
    return found if found is not None and objects.uid(found) == reference["uid"] else None


def _takes_along(owner: Body) -> bool:
    return objects.deleting(owner) and FOREGROUND in objects.finalizers(owner)


def _end(api: ApiServer, kind: Kind, body: Body) -> None:
    """Let an object go whose dependents are gone (foreground), or free (orphan)."""
    uid = objects.uid(body)
    dependents = _dependents(api, uid)
    if ORPHAN in objects.finalizers(body):
        for of, dependent in dependents:
            left = [one for one in objects.owners(dependent) if one["uid"] != uid]
            api.update(of, objects.with_metadata(dependent, ownerReferences=left or None))
        api.update(kind, objects.without_finalizer(body, ORPHAN))
    elif not any(_blocks(dependent, uid) for _, dependent in dependents):
        api.update(kind, objects.without_finalizer(body, FOREGROUND))


def _blocks(dependent: Body, uid: str) -> bool:
    return any(one["uid"] == uid and one.get("blockOwnerDeletion") for one in objects.owners(dependent))


def _dependents(api: ApiServer, uid: str) -> list[tuple[Kind, Body]]:
    everything = [(kind, body) for kind, held in api.held.items() for body in held.values()]
    return [(kind, body) for kind, body in everything if any(one["uid"] == uid for one in objects.owners(body))]


def _pods(api: ApiServer) -> None:
    """End pods that were deleted before they had a node: no kubelet will."""
    for pod in api.all(POD):
        if objects.deleting(pod) and not pod["spec"].get("nodeName"):
            if not objects.ended(pod):
                api.update(POD, objects.with_status(pod, phase="Failed"), "status")
            api.delete(POD, objects.namespace(pod), objects.name(pod), {"gracePeriodSeconds": 0})


def _claims(api: ApiServer) -> None:
    for claim in api.all(CLAIM):
        if objects.deleting(claim) and CLAIM_IN_USE in objects.finalizers(claim) and not _used(api, claim):
            api.update(CLAIM, objects.without_finalizer(claim, CLAIM_IN_USE))


def _used(api: ApiServer, claim: Body) -> bool:
    return any(
        (volume.get("persistentVolumeClaim") or {}).get("claimName") == objects.name(claim)
        for pod in api.all(POD, objects.namespace(claim))
        if not objects.ended(pod) and pod["spec"].get("nodeName")
        for volume in pod["spec"].get("volumes") or ()
    )


def _namespaces(api: ApiServer) -> None:
    for space in api.all(NAMESPACE):
        if not objects.deleting(space):
            continue
        name = objects.name(space)
        content = [(kind, body) for kind in list(api.held) if kind.namespaced for body in api.all(kind, name)]
        for kind, body in content:
            if not objects.deleting(body):
                api.delete(kind, name, objects.name(body), {"propagationPolicy": "Background"})
        if not any(api.all(kind, name) for kind in api.held if kind.namespaced):
            api.update(NAMESPACE, objects.with_metadata(space, finalizers=None))
