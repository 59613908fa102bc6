"""The API server: requests in, answers out, objects with versions, and a history that watches read.

It keeps to what tests/model/conformance.py says of a real one. Not here: controllers, which are its clients too.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from cluster import admission, objects
from cluster.answers import Refused, status_of
from cluster.clock import Clock
from cluster.kinds import NAMESPACE, POD, Kind, Place, place
from cluster.objects import Body
from cluster.server_side_apply import applied

NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
MERGE, APPLY = "merge-patch", "apply-patch"
FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
GRACE_SECONDS = 30
STALE = "the object has been modified; please apply your changes to the latest version and try again"


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the history: `old` and `new` are the object before and after; None where it was not."""

    revision: int
    old: Body | None
    new: Body | None


class How(typing.NamedTuple):
    """Who asks, which kind of patch a patch is, and the query."""

    who: str
    patch: str
    query: dict[str, str]


@dataclass(frozen=True, slots=True)
class Write:
    """One accepted write of a client; `uid` is that of the only object it was to do something to, if it named one."""

    who: str
    verb: str
    kind: Kind
    namespace: str
    name: str
    uid: str | None = None


@dataclass
class ApiServer:
    """All state of a cluster. `forbid` is asked before each creation and may answer why not (a quota)."""

    clock: Clock
    revision: int = 0
    writes: list[Write] = field(default_factory=list)
    forbid: Callable[[str, Kind, Body], str | None] = lambda who, kind, body: None

    def __post_init__(self) -> None:
        self.held: dict[Kind, dict[tuple[str, str], Body]] = {}
        self.history: dict[Kind, list[Change]] = {}
        self._applied: dict[tuple[str, str], Body] = {}
        self._made = 0

    # What a client sees.

    def request(
        self, method: str, path: str, body: Body | None = None, *, who: str = "user", patch: str = MERGE, **query: str
    ) -> tuple[int, Body]:
        """Answer one request with an HTTP status and an object."""
        where = place(path)
        if where is None:
            return 404, status_of(404, "NotFound", "the server could not find the requested resource")
        try:
            return self._answer(method, where, body or {}, How(who, patch, query))
        except Refused as refused:
            return refused.code, status_of(refused.code, refused.reason, refused.message)

    def _answer(self, method: str, where: Place, body: Body, how: How) -> tuple[int, Body]:
        if method == "GET" and not where.name:
            return 200, self._list(where, how.query)
        if method == "GET":
            return 200, self.get(where.kind, where.namespace, where.name)
        if method == "POST" and where.subresource == "binding":
            return 201, self._bind(where, body)
        if method == "POST":
            made = self.create(where.kind, where.namespace, body, who=how.who)
            self._wrote(how.who, "create", where.kind, made)
            return 201, made
        verb = {"PUT": "replace", "PATCH": "patch", "DELETE": "delete"}[method]
        before = self.get(where.kind, where.namespace, where.name)
        if method == "PUT":
            named = {"namespace": where.namespace, **body["metadata"]}
            after = self.update(where.kind, {**body, "metadata": named}, where.subresource)
        elif method == "DELETE":
            after = self.delete(where.kind, where.namespace, where.name, body)
        elif how.patch == APPLY:
            after = self._apply(where, before, body, how.query["fieldManager"])
        else:
            after = self._merge(where, before, body)
        if after is not before:
            named = (body.get("preconditions") or {}).get("uid") if method == "DELETE" else None
            self._wrote(how.who, verb + where.subresource, where.kind, before, uid=named)
        return 200, after

    def _wrote(self, who: str, verb: str, kind: Kind, body: Body, *, uid: str | None = None) -> None:
        self.writes.append(Write(who, verb, kind, objects.namespace(body), objects.name(body), uid))

    def _list(self, where: Place, query: dict[str, str]) -> Body:
        labels, fields = query.get("labelSelector", ""), query.get("fieldSelector", "")
        items = [
            body
            for body in self.all(where.kind, where.namespace)
            if objects.selects(labels, body["metadata"].get("labels") or {})
            and (not fields or objects.selects(fields, objects.field_values(body)))
        ]
        return {"kind": f"{where.kind}List", "metadata": {"resourceVersion": str(self.revision)}, "items": items}

    # What controllers use: the same, as values and errors.

    def all(self, kind: Kind, namespace: str = "") -> list[Body]:
        held = self.held.get(kind, {})
        return [body for (space, _), body in held.items() if not namespace or space == namespace]

    def find(self, kind: Kind, namespace: str, name: str) -> Body | None:
        return self.held.get(kind, {}).get((namespace, name))

    def get(self, kind: Kind, namespace: str, name: str) -> Body:
        found = self.find(kind, namespace, name)
        if found is None:
            raise Refused(404, "NotFound", f'{kind.plural} "{name}" not found')
        return found

    def by_uid(self, uid: str) -> Iterator[tuple[Kind, Body]]:
        for kind, held in self.held.items():
            yield from ((kind, body) for body in held.values() if body["metadata"]["uid"] == uid)

    def create(self, kind: Kind, namespace: str, body: Body, *, who: str = "user") -> Body:
        name = body["metadata"].get("name") or self._generated(body["metadata"])
        if not NAME.fullmatch(name):
            raise Refused(422, "Invalid", f'{kind} "{name}" is invalid: metadata.name: Invalid value')
        if body["metadata"].get("resourceVersion"):
            raise Refused(500, "", "resourceVersion should not be set on objects to be created")
        if kind.namespaced:
            self._admits(namespace, kind, body, name=name, who=who)
        if self.find(kind, namespace, name) is not None:
            raise Refused(409, "AlreadyExists", f'{kind.plural} "{name}" already exists')
        metadata = {
            **body["metadata"],
            "name": name,
            **({"namespace": namespace} if kind.namespaced else {}),
            "uid": f"00000000-0000-4000-8000-{self._next():012d}",
            "creationTimestamp": objects.stamp(self.clock.now),
            **({"generation": 1} if kind.generation else {}),
        }
        new = {"apiVersion": kind.version, "kind": kind.name, **body, "metadata": metadata}
        if kind.status:
            new.pop("status", None)
        return self._store(kind, None, admission.defaulted(kind, new))

    def update(self, kind: Kind, body: Body, subresource: str = "") -> Body:
        """Write an object over the version that it names, or over any where it names none."""
        old = self.get(kind, objects.namespace(body), objects.name(body))
        metadata, known = body["metadata"], old["metadata"]
        if metadata.get("uid") not in {None, known["uid"]}:
            raise Refused(409, "Conflict", f"Precondition failed: UID in precondition: {metadata['uid']}")
        if metadata.get("resourceVersion") not in {None, known["resourceVersion"]}:
            raise Refused(409, "Conflict", STALE)
        return self._replace(kind, old, body, subresource)

    def delete(self, kind: Kind, namespace: str, name: str, options: Body | None = None) -> Body:
        options = options or {}
        old = self.get(kind, namespace, name)
        for what, value in (options.get("preconditions") or {}).items():
            if old["metadata"].get(what) != value:
                raise Refused(409, "Conflict", f"Precondition failed: {what} in precondition: {value}")
        return self._deleted(kind, old, options)

    # How it works.

    def _bind(self, where: Place, binding: Body) -> Body:
        """Place a pod on a node, as a scheduler does."""
        pod = self.get(where.kind, where.namespace, where.name)
        return self._store(POD, pod, {**pod, "spec": {**pod["spec"], "nodeName": binding["target"]["name"]}})

    def _next(self) -> int:
        self._made += 1
        return self._made

    def _generated(self, metadata: Body) -> str:
        return f"{metadata.get('generateName', '')}{self._next():05d}"

    def _admits(self, namespace: str, kind: Kind, body: Body, *, name: str, who: str) -> None:
        space = self.find(NAMESPACE, "", namespace)
        if space is None:
            raise Refused(404, "NotFound", f'namespaces "{namespace}" not found')
        if objects.deleting(space):
            reason = f"unable to create new content in namespace {namespace} because it is being terminated"
            raise Refused(403, "Forbidden", f'{kind.plural} "{name}" is forbidden: {reason}')
        why = self.forbid(who, kind, body)
        if why is not None:
            raise Refused(403, "Forbidden", f'{kind.plural} "{name}" is forbidden: {why}')

    def _replace(self, kind: Kind, old: Body, body: Body, subresource: str) -> Body:
        known = old["metadata"]
        if subresource == "status":
            new = {**old, "status": body.get("status") or {}}
        else:
            new = {**body, "status": old["status"]} if kind.status and "status" in old else {**body}
            if kind.status and "status" not in old:
                new.pop("status", None)
            served = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation")
            own = {name: known[name] for name in (*served, "resourceVersion") if name in known}
            kept = {name: value for name, value in body["metadata"].items() if name not in served}
            new["metadata"] = {**kept, "namespace": known.get("namespace"), **own}
            new = {**new, "metadata": objects.changed(new["metadata"])}
            admission.may_change(kind, old, new)
        if kind.generation and new.get("spec") != old.get("spec"):
            new = objects.with_metadata(new, generation=known["generation"] + 1)
        if new == old:
            return old
        if objects.deleting(new) and not objects.finalizers(new) and kind is not POD:
            return self._store(kind, old, None)
        if kind is POD and objects.deleting(new) and not objects.finalizers(new) and _without_grace(new):
            return self._store(kind, old, None)
        return self._store(kind, old, new)

    def _merge(self, where: Place, old: Body, patch: Body) -> Body:
        if patch.get("metadata", {}).get("uid") not in {None, old["metadata"]["uid"]}:
            admission.refuse_other_uid(where.kind, objects.name(old), patch["metadata"]["uid"])
        if patch.get("metadata", {}).get("resourceVersion") not in {None, old["metadata"]["resourceVersion"]}:
            raise Refused(409, "Conflict", STALE)
        return self._replace(where.kind, old, objects.merged(old, patch), where.subresource)

    def _apply(self, where: Place, old: Body, body: Body, manager: str) -> Body:
        if body["metadata"].get("resourceVersion") not in {None, old["metadata"]["resourceVersion"]}:
            raise Refused(409, "Conflict", STALE)
        mine = (old["metadata"]["uid"], f"{manager}/{where.subresource}")
        if where.subresource != "status":
            raise NotImplementedError("the operator applies status and nothing else")
        status = applied(old.get("status") or {}, self._applied.get(mine, {}), body.get("status") or {})
        self._applied[mine] = body.get("status") or {}
        return self._replace(where.kind, old, {**old, "status": status}, "status")

    def _deleted(self, kind: Kind, old: Body, options: Body) -> Body:
        wanted = {"Foreground": [FOREGROUND], "Orphan": [ORPHAN]}.get(options.get("propagationPolicy", ""), [])
        others = [one for one in objects.finalizers(old) if one not in {FOREGROUND, ORPHAN}]
        kept = [*others, *wanted] or None
        grace = self._grace(kind, old, options)
        if kind is NAMESPACE:
            kept = ["kubernetes"]
        if not kept and not grace:
            return self._store(kind, old, None)
        if objects.deleting(old):
            before = old["metadata"].get("deletionGracePeriodSeconds", 0)
            new = objects.with_metadata(old, finalizers=kept, deletionGracePeriodSeconds=min(before, grace))
        else:
            generation = old["metadata"]["generation"] + 1 if kind.generation else None
            moment = objects.stamp(self.clock.now + grace)
            new = objects.with_metadata(
                old,
                finalizers=kept,
                deletionTimestamp=moment,
                deletionGracePeriodSeconds=grace,
                generation=generation,
            )
        return old if new == old else self._store(kind, old, new)

    @staticmethod
    def _grace(kind: Kind, old: Body, options: Body) -> int:
        """Return the seconds that a pod's containers get: none where they do not run."""
        if kind is not POD or objects.ended(old) or not old["spec"].get("nodeName"):
            return 0
        usual = old["spec"].get("terminationGracePeriodSeconds", GRACE_SECONDS)
        return int(options.get("gracePeriodSeconds", usual))

    def _store(self, kind: Kind, old: Body | None, new: Body | None) -> Body:
        self.revision += 1
        shown = typing.cast("Body", new if new is not None else old)
        shown = objects.with_metadata(shown, resourceVersion=str(self.revision))
        where = (objects.namespace(shown), objects.name(shown))
        held = self.held.setdefault(kind, {})
        if new is None:
            held.pop(where, None)
        else:
            held[where] = shown
        self.history.setdefault(kind, []).append(Change(self.revision, old, shown if new is not None else None))
        return shown


def _without_grace(pod: Body) -> bool:
    return pod["metadata"].get("deletionGracePeriodSeconds", 0) == 0
