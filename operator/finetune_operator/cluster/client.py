"""The one client: few verbs, plain objects in and out, every request with a deadline.

Not here: what the objects mean. Watching is kopf's.
"""

from __future__ import annotations

import asyncio
import json
import typing
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

import aiohttp
from kubernetes.aio import client as kubernetes_client
from kubernetes.aio import config as kubernetes_config

from finetune_operator.api import keys
from finetune_operator.cluster.errors import NotFound, Unreachable, from_status

Body = dict[str, typing.Any]
Observer = Callable[[str, str, int, float], None]
"""Called after every request with verb, resource, HTTP status (0: no answer) and seconds."""

REQUEST_SECONDS = 10.0
"""Longest time that one request may take."""

METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
APPLY = "application/apply-patch+yaml"
METHODS = {"get": "GET", "create": "POST", "apply": "PATCH", "proxy": "GET"}


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of object: where its collection is in the API."""

    prefix: str
    plural: str

    def path(self, namespace: str, name: str = "", subresource: str = "") -> str:
        """Return the path of the collection, of an object, or of a part of it."""
        parts = [self.prefix, "namespaces", namespace, self.plural, name, subresource]
        return "/".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Request:
    """One request as a value; `seconds` is its deadline."""

    verb: str
    resource: Resource
    path: str
    body: Body | None = None
    query: tuple[tuple[str, str], ...] = ()
    accept: str = "application/json"
    seconds: float = REQUEST_SECONDS


JOBS = Resource(f"/apis/{keys.API_VERSION}", keys.PLURAL)
EVENTS = Resource("/api/v1", "events")
PODS = Resource("/api/v1", "pods")
RESOURCES = {
    "ConfigMap": Resource("/api/v1", "configmaps"),
    "PersistentVolumeClaim": Resource("/api/v1", "persistentvolumeclaims"),
    "Job": Resource("/apis/batch/v1", "jobs"),
}


class Client:
    """A connection to one API server."""

    def __init__(self, api: kubernetes_client.ApiClient, observer: Observer) -> None:
        self._api = api
        self._observer = observer

    async def close(self) -> None:
        """Close all connections."""
        await self._api.close()

    async def get(self, resource: Resource, namespace: str, name: str) -> Body:
        """Read an object.

        Raises:
            ApiError: see `cluster.errors`; so do all other verbs.
        """
        return await self._object(Request("get", resource, resource.path(namespace, name)))

    async def exists(self, resource: Resource, namespace: str, name: str) -> bool:
        """Return whether an object exists, without reading what is in it."""
        try:
            await self._object(Request("get", resource, resource.path(namespace, name), accept=METADATA_ONLY))
        except NotFound:
            return False
        return True

    async def create(self, resource: Resource, namespace: str, body: Body) -> Body:
        """Create an object."""
        return await self._object(Request("create", resource, resource.path(namespace), body=body))

    async def apply_status(self, resource: Resource, body: Body) -> Body:
        """Apply a status whole, as the manager of all its fields; the uid in the body guards against a namesake."""
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
        loop = asyncio.get_running_loop()
        began, code = loop.time(), 0
        try:
            code, text = await self._send(request)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable(0, f"{request.verb} {request.path}: {type(error).__name__}: {error}") from error
        finally:
            self._observer(request.verb, request.resource.plural, code, loop.time() - began)
        if code >= HTTPStatus.BAD_REQUEST:
            raise from_status(code, _reason(text))
        return text

    async def _send(self, request: Request) -> tuple[int, str]:
        prepared = await self._api.param_serialize(
            METHODS[request.verb],
            request.path,
            query_params=list(request.query),
            header_params={
                "Accept": request.accept,
                "Content-Type": APPLY if request.verb == "apply" else "application/json",
            },
            auth_settings=["BearerToken"],
        )
        method, url, headers = prepared[:3]
        deadline = aiohttp.ClientTimeout(total=request.seconds)
        response = await self._api.call_api(method, url, headers, body=request.body, _request_timeout=deadline)
        return response.status, (await response.read()).decode("utf-8", "replace")


class NoCluster(Exception):
    """Neither a service account nor a usable kubeconfig."""


async def connect(observer: Observer) -> tuple[Client, bool]:
    """Connect with the pod's service account, else with the current kubeconfig; True where it runs in the cluster.

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
    configuration.connection_pool_maxsize = 50
    return Client(kubernetes_client.ApiClient(configuration), observer), inside


def _reason(text: str) -> str:
    try:
        return str(json.loads(text).get("message") or text)
    except (ValueError, AttributeError):
        return text.strip()[:500]
