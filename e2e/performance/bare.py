"""As little of an operator as there can be, for a yardstick: a Job and a status for each job, with two writes.

It plans nothing, reads nothing, and knows of no failure; the libraries are those of the operator. What it takes on a
machine says how fast the machine is. Run as a process: `python bare.py`, with KUBECONFIG set.
"""

from __future__ import annotations

import asyncio
import typing

import kopf
from finetune_operator.api import keys
from kubernetes.aio import client, config

WORKERS = 20
WRITER: dict[str, typing.Any] = {
    "field_manager": "bare",
    "force": True,
    "_content_type": "application/apply-patch+yaml",
}
"""What makes a patch a server-side apply."""

Body = typing.Mapping[str, typing.Any]


async def main() -> None:
    """Serve until the process ends."""
    await config.load_kube_config()
    new: asyncio.Queue[Body] = asyncio.Queue()
    async with client.ApiClient() as api:
        workers = [_work(api, new) for _ in range(WORKERS)]
        await asyncio.gather(
            kopf.operator(registry=_registry(new), settings=_settings(), clusterwide=True, standalone=True), *workers
        )


def _registry(new: asyncio.Queue[Body]) -> kopf.OperatorRegistry:
    doors = kopf.OperatorRegistry()

    async def on_job(event: Body, **_: object) -> None:
        if event["type"] in {None, "ADDED"}:
            new.put_nowait(event["object"])

    async def login(settings: kopf.OperatorSettings, **_: object) -> kopf.ConnectionInfo | None:
        return kopf.login_with_kubeconfig(settings=settings)

    kopf.on.login(registry=doors)(login)
    kopf.on.event(keys.GROUP, keys.VERSION, keys.PLURAL, registry=doors)(on_job)
    return doors


def _settings() -> kopf.OperatorSettings:
    chosen = kopf.OperatorSettings()
    chosen.posting.enabled = False
    return chosen


async def _work(api: client.ApiClient, new: asyncio.Queue[Body]) -> None:
    jobs, own = client.BatchV1Api(api), client.CustomObjectsApi(api)
    while True:
        metadata = (await new.get())["metadata"]
        name, namespace = metadata["name"], metadata["namespace"]
        await jobs.patch_namespaced_job(f"{name}-1", namespace, _job(metadata), **WRITER)
        status = {"observedGeneration": metadata["generation"], "phase": "Pending"}
        body = {"apiVersion": keys.API_VERSION, "kind": keys.KIND, "metadata": {"name": name}, "status": status}
        where = (keys.GROUP, keys.VERSION, namespace, keys.PLURAL, name)
        await own.patch_namespaced_custom_object_status(*where, body, **WRITER)


def _job(metadata: Body) -> Body:
    owner = {"apiVersion": keys.API_VERSION, "kind": keys.KIND, "name": metadata["name"], "uid": metadata["uid"]}
    trainer = {"name": "trainer", "image": "trainer", "command": ["train", metadata["name"]]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": f"{metadata['name']}-1", "ownerReferences": [owner | {"controller": True}]},
        "spec": {"backoffLimit": 0, "template": {"spec": {"restartPolicy": "Never", "containers": [trainer]}}},
    }


if __name__ == "__main__":
    asyncio.run(main())
