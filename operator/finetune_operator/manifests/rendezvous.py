"""How the pods of one attempt find each other: an Indexed Job, a headless Service, and the name of the first pod.

A JobSet, where the administrator wants one, makes the Service itself.

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
from finetune_operator.planning.profiles import MultiNode

PORT = 29500
"""TCP port of the first pod at which all meet; torchrun's own. What they exchange goes over ports that they choose."""


def is_shared(plan: Plan) -> bool:
    """Tell whether several pods train together."""
    return plan.nodes > 1


def in_jobset(attempt: Attempt) -> bool:
    """Tell whether an attempt is a JobSet: that is wanted, and its pods can have the names which that gives them."""
    if not is_shared(attempt.plan) or attempt.profiles.trainer.multi_node is not MultiNode.JOBSET:
        return False
    longest = names.longest_pod(attempt.key, attempt.number, attempt.plan.nodes)
    return longest[0].isalpha() and len(longest) <= names.MAX_POD


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
    if not is_shared(attempt.plan) or in_jobset(attempt):
        return {}
    return {"subdomain": names.rendezvous(attempt.key)}


def environment(attempt: Attempt) -> list[Manifest]:
    """Return where the first pod is, in torchrun's words."""
    if not is_shared(attempt.plan):
        return []
    name = names.attempt(attempt.key, attempt.number)
    job, network = (names.in_jobset(name), name) if in_jobset(attempt) else (name, names.rendezvous(attempt.key))
    first = f"{job}-0.{network}"
    return [{"name": "MASTER_ADDR", "value": first}, {"name": "MASTER_PORT", "value": str(PORT)}]


def ports(attempt: Attempt) -> list[Manifest]:
    """Return the port at which they meet."""
    return [{"name": "rendezvous", "containerPort": PORT, "protocol": "TCP"}] if is_shared(attempt.plan) else []
