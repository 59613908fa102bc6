"""The one client: few verbs, plain objects in and out, every request with a deadline.

Not here: what the objects mean. Watching is kopf's.
"""

from __future__ import annotations

import asyncio
import json
import math
import typing
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

import aiohttp
from kubernetes.aio import client as kubernetes_client
from kubernetes.aio import config as kubernetes_config

from finetune_operator.api import keys
from finetune_operator.cluster.errors import NotFound, NotLeading, Unreachable, from_status

Body = dict[str, typing.Any]
Observer = Callable[[str, str, int, float], None]
"""Called after every request with verb, resource, HTTP status (0: no answer) and seconds."""

Fence = Callable[[], float]
"""Returns the seconds that a write begun now may last; 0 where it must not begin (`runtime.leader`)."""

REQUEST_SECONDS = 10.0
"""Longest time that one request may take."""

CONNECT_SECONDS = 5.0
"""Longest time that opening a connection may take."""

OTHER_CONNECTIONS = 30
"""Connections to the API server beside one for each worker: for trainers asked through it, Events and lists."""

SESSION = {"trust_env": False}
"""Of aiohttp: else each request looks for a .netrc file and a proxy, in a thread. An API server needs neither."""

APPLY = "application/apply-patch+yaml"
JSON = "application/json"
METADATA = f"{JSON};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,{JSON}"
"""What a list is asked for of which nothing but the objects' metadata counts."""

PAGE = 500
"""Objects in one page of such a list."""
MERGE = "application/merge-patch+json"
CONTENT = {"apply": APPLY, "patch": MERGE}
METHODS = {
    "get": "GET",
    "list": "GET",
    "proxy": "GET",
    "create": "POST",
    "apply": "PATCH",
    "patch": "PATCH",
    "replace": "PUT",
    "delete": "DELETE",
}
READS = frozenset({"get", "list", "proxy"})


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of object: where its collection is in the API."""

    prefix: str
    plural: str

    def path(self, namespace: str, name: str = "", subresource: str = "") -> str:
        """Return the path of the collection, of an object, or of a part of it; without a namespace that of all."""
        parts = [self.prefix, "namespaces" if namespace else "", namespace, self.plural, name, subresource]
        return "/".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Request:
    """One request as a value; `seconds` is its deadline."""

    verb: str
    resource: Resource
    path: str
    body: Body | None = None
    query: tuple[tuple[str, str], ...] = ()
    seconds: float = REQUEST_SECONDS
    accept: str = JSON


JOBS = Resource(f"/apis/{keys.API_VERSION}", keys.PLURAL)
EVENTS = Resource("/api/v1", "events")
PODS = Resource("/api/v1", "pods")
RESOURCES = {
    "ConfigMap": Resource("/api/v1", "configmaps"),
    "Service": Resource("/api/v1", "services"),
    "PersistentVolumeClaim": Resource("/api/v1", "persistentvolumeclaims"),
    "Job": Resource("/apis/batch/v1", "jobs"),
    keys.JOBSET: Resource(f"/apis/{keys.JOBSET_VERSION}", "jobsets"),
}


UNFENCED: Fence = lambda: math.inf  # noqa: E731 - a value, for an operator that is alone


class Client:
    """A connection to one API server. What writes goes through the fence."""

    def __init__(self, api: kubernetes_client.ApiClient, observer: Observer, fence: Fence = UNFENCED) -> None:
        self._api = api
        self._observer = observer
        self._fence = fence
        self.jobsets = False
        """Whether there may be attempts that are JobSets, as `runtime.app` finds out at the start."""
        self._on_its_way: dict[str, asyncio.Task[Body]] = {}
        """Reads that are shared, by their path."""

    async def close(self) -> None:
        """Close all connections."""
        await self._api.close()

    async def get(self, resource: Resource, namespace: str, name: str, *, seconds: float = REQUEST_SECONDS) -> Body:
        """Read an object.

        Raises:
            ApiError: see `cluster.errors`; so do all other verbs.
        """
        return await self._object(Request("get", resource, resource.path(namespace, name), seconds=seconds))

    async def get_shared(self, resource: Resource, namespace: str, name: str) -> Body:
        """Read an object that many may ask for at once: all that ask while one request is on its way share its answer.

        So it may be as old as that request is, and nobody may change it.
        """
        path = resource.path(namespace, name)
        if path not in self._on_its_way:
            read = self._on_its_way[path] = asyncio.ensure_future(self.get(resource, namespace, name))
            read.add_done_callback(lambda _: self._on_its_way.pop(path))
        return await asyncio.shield(self._on_its_way[path])  # who gives up leaves it to the others

    async def serves(self, resource: Resource) -> bool:
        """Tell whether the API server knows a kind of object."""
        try:
            found = await self._object(Request("get", resource, resource.prefix))
        except NotFound:
            return False
        return any(one["name"] == resource.plural for one in found.get("resources") or ())

    async def create(self, resource: Resource, namespace: str, body: Body, *, seconds: float = REQUEST_SECONDS) -> Body:
        """Create an object."""
        return await self._object(Request("create", resource, resource.path(namespace), body=body, seconds=seconds))

    async def list(
        self, resource: Resource, namespace: str, *, label_selector: str = "", field_selector: str = ""
    ) -> list[Body]:
        """Read all objects of a namespace, or without one of all, that both selectors match."""
        selectors = (("labelSelector", label_selector), ("fieldSelector", field_selector))
        query = tuple((name, value) for name, value in selectors if value)
        found = await self._object(Request("list", resource, resource.path(namespace), query=query))
        return typing.cast("list[Body]", found["items"])

    async def uids(self, resource: Resource, namespace: str) -> frozenset[str]:
        """Read which objects there are, in pages and without what they hold: there may be thousands."""
        found: set[str] = set()
        query: tuple[tuple[str, str], ...] = (("limit", str(PAGE)),)
        while True:
            request = Request("list", resource, resource.path(namespace), query=query, accept=METADATA)
            page = await self._object(request)
            found.update(one["metadata"]["uid"] for one in page["items"])
            if not (token := page["metadata"].get("continue")):
                return frozenset(found)
            query = (("limit", str(PAGE)), ("continue", token))

    async def patch(self, resource: Resource, namespace: str, name: str, fields: Body) -> Body:
        """Write these fields of an object, whatever its version."""
        return await self._object(Request("patch", resource, resource.path(namespace, name), body=fields))

    async def replace(
        self, resource: Resource, namespace: str, body: Body, *, seconds: float = REQUEST_SECONDS
    ) -> Body:
        """Write an object over the version that its resourceVersion names; `Conflict` where that is not the newest."""
        path = resource.path(namespace, body["metadata"]["name"])
        return await self._object(Request("replace", resource, path, body=body, seconds=seconds))

    async def delete(
        self, resource: Resource, namespace: str, name: str, *, uid: str, propagation: str = "Background"
    ) -> Body:
        """Delete the object that has this uid; `Conflict` where it is another one, `NotFound` where there is none.

        The answer is the object, where it stays until its dependents or its grace period are over, else a Status.

        `propagation` says what becomes of its dependents: `Background`, `Foreground` or `Orphan`.
        """
        options: Body = {"preconditions": {"uid": uid}, "propagationPolicy": propagation}
        return await self._object(Request("delete", resource, resource.path(namespace, name), body=options))

    async def apply_status(self, resource: Resource, body: Body) -> Body:
        """Apply a status whole, as the manager of all its fields; `Conflict` where its version is not the newest."""
        metadata = body["metadata"]
        path = resource.path(metadata["namespace"], metadata["name"], "status")
        query = (("fieldManager", keys.FIELD_MANAGER), ("force", "true"))
        return await self._object(Request("apply", resource, path, body=body, query=query))

    async def pod_proxy(self, namespace: str, pod: str, port_and_path: str, seconds: float) -> str:
        """Ask a pod through the API server, for an operator outside the cluster's network."""
        port, path = port_and_path.split("/", 1)
        url = PODS.path(namespace, f"{pod}:{port}", f"proxy/{path}")
        return await self._text(Request("proxy", PODS, url, seconds=seconds))

    async def _object(self, request: Request) -> Body:
        return typing.cast("Body", json.loads(await self._text(request)))

    async def _text(self, request: Request) -> str:
        seconds = request.seconds if request.verb in READS else min(request.seconds, self._fence())
        if seconds <= 0:
            raise NotLeading(0, f"{request.verb} {request.path}: not sent, another operator may be leading")
        loop = asyncio.get_running_loop()
        began, code = loop.time(), 0
        try:
            code, text, patience = await self._send(request, seconds)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable(0, f"{request.verb} {request.path}: {type(error).__name__}: {error}") from error
        finally:
            self._observer(request.verb, request.resource.plural, code, loop.time() - began)
        if code >= HTTPStatus.BAD_REQUEST:
            raise from_status(code, _reason(text), patience)
        return text

    async def _send(self, request: Request, seconds: float) -> tuple[int, str, float]:
        """Return HTTP status, text, and for how many seconds the server asks to be left alone."""
        prepared = await self._api.param_serialize(
            METHODS[request.verb],
            request.path,
            query_params=list(request.query),
            header_params={
                "Accept": request.accept,
                "Content-Type": CONTENT.get(request.verb, JSON),
            },
            auth_settings=["BearerToken"],
        )
        method, url, headers = prepared[:3]
        deadline = aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_SECONDS)
        response = await self._api.call_api(method, url, headers, body=request.body, _request_timeout=deadline)
        text = (await response.read()).decode("utf-8", "replace")
        return response.status, text, _patience(response.headers.get("Retry-After"))


class NoCluster(Exception):
    """Neither a service account nor a usable kubeconfig."""


async def connect(observer: Observer, fence: Fence = UNFENCED, *, workers: int = 0) -> tuple[Client, bool]:
    """Connect with the pod's service account, else with the current kubeconfig; True where it runs in the cluster.

    A client has connections of its own: the renewals of a Lease do not wait behind other requests, and no worker waits
    for a connection.

    Raises:
        NoCluster: neither is there.
    """
    configuration = kubernetes_client.Configuration()
    inside = True
    try:
        kubernetes_config.load_incluster_config(configuration)
    except kubernetes_config.ConfigException:
        inside = False
        try:
            await kubernetes_config.load_kube_config(client_configuration=configuration)
        except kubernetes_config.ConfigException as error:
            raise NoCluster(str(error)) from error
    configuration.connection_pool_maxsize = workers + OTHER_CONNECTIONS
    configuration.client_session_kwargs = SESSION
    return Client(kubernetes_client.ApiClient(configuration), observer, fence), inside


def _patience(retry_after: str | None) -> float:
    """Return the seconds of a Retry-After; the API server never writes it as a date."""
    return float(retry_after) if retry_after and retry_after.isdecimal() else 0.0


def _reason(text: str) -> str:
    try:
        return str(json.loads(text).get("message") or text)
    except (ValueError, AttributeError):
        return text.strip()[:500]
