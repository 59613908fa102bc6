"""How the pods of one attempt find each other: an Indexed Job, a headless Service, and the name of the first pod.

The number of a pod among them is set by Kubernetes, in JOB_COMPLETION_INDEX. One pod that fails fails the Job, which
ends the others.

Not here: the processes inside a pod (`finetune_trainer.distributed`).
"""

from __future__ import annotations

from finetune_operator.api import keys
from finetune_operator.manifests import names
from finetune_operator.manifests.attempt import Attempt
from finetune_operator.manifests.labels import Manifest, metadata
from finetune_operator.planning.plan import Plan

PORT = 29500
"""TCP port of the first pod at which all meet; torchrun's own. What they exchange goes over ports that they choose."""


def is_shared(plan: Plan) -> bool:
    """Tell whether several pods train together."""
    return plan.nodes > 1


def service(attempt: Attempt) -> Manifest:
    """Return the Service that gives the pods of all attempts at a job their names, before they are ready as well."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(attempt.key, names.rendezvous(attempt.key)),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {keys.LABEL_JOB_UID: attempt.key.uid},
            "ports": [{"name": "rendezvous", "port": PORT, "protocol": "TCP"}],
        },
    }


def job_fields(plan: Plan) -> Manifest:
    """Return the fields of a Job that start a pod for each node, all at once."""
    indexed = {"completionMode": "Indexed"} if is_shared(plan) else {}
    return {**indexed, "completions": plan.nodes, "parallelism": plan.nodes}


def pod_fields(attempt: Attempt) -> Manifest:
    """Return the fields of a pod that give it its name."""
    return {"subdomain": names.rendezvous(attempt.key)} if is_shared(attempt.plan) else {}


def environment(attempt: Attempt) -> list[Manifest]:
    """Return where the first pod is, in torchrun's words."""
    if not is_shared(attempt.plan):
        return []
    first = f"{names.attempt(attempt.key, attempt.number)}-0.{names.rendezvous(attempt.key)}"
    return [{"name": "MASTER_ADDR", "value": first}, {"name": "MASTER_PORT", "value": str(PORT)}]


def ports(attempt: Attempt) -> list[Manifest]:
    """Return the port at which they meet."""
    return [{"name": "rendezvous", "containerPort": PORT, "protocol": "TCP"}] if is_shared(attempt.plan) else []
