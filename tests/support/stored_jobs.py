"""Jobs and pods as the operator's store keeps them, and how long a scrape of many takes."""

import time

from finetune_operator.api import timestamps
from finetune_operator.cluster.store import Store
from finetune_operator.runtime.views import Sight
from finetune_operator.telemetry.instruments import exposition
from finetune_operator.telemetry.jobs import JobsCollector
from finetune_operator.telemetry.process import Telemetry

CREATED, STARTED, SAID = "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z", "2026-01-01T00:02:00Z"
BEGAN = timestamps.parse(CREATED)

STATUS = {
    "phase": "Running",
    "startTime": STARTED,
    "plan": {"method": "qlora", "accelerator": "nvidia-l4", "devices": 2},
    "progress": {"percent": 40, "step": 12, "etaSeconds": 60, "updatedAt": SAID},
    "attempts": [{"number": 1}, {"number": 2}],
    "conditions": [
        {"type": "Running", "status": "True", "reason": "Training", "lastTransitionTime": STARTED},
        {"type": "Suspended", "status": "False", "reason": "Active", "lastTransitionTime": STARTED},
    ],
}
SPEC = {
    "task": "chat",
    "model": {"name": "microsoft/Phi-3-mini-4k-instruct"},
    "dataset": {"source": {"configMap": {"name": "rows", "key": "a.jsonl"}}},
    "queueName": "gpus",
}


def a_body(name="reviews", **status):
    metadata = {"namespace": "team", "name": name, "uid": name, "creationTimestamp": CREATED, "resourceVersion": "1"}
    return {"metadata": metadata, "spec": SPEC, "status": STATUS | status}


def a_pod(name="reviews-2-x", job="reviews", attempt=2, rank=0):
    labels = {"finetune.dev/job-name": job, "finetune.dev/job-uid": job, "finetune.dev/attempt": str(attempt)}
    labels["batch.kubernetes.io/job-completion-index"] = str(rank)
    metadata = {"namespace": "team", "name": name, "uid": name, "labels": labels, "creationTimestamp": STARTED}
    return {"metadata": metadata, "spec": {"nodeName": "node-a"}, "status": {"phase": "Running"}}


def seen(store):
    sight = Sight(store)
    sight.take()
    return tuple(sight.views())


def scraped(count, times):
    """Scrape so many jobs, each with a pod; return the last text, and the processor seconds of the shortest time."""
    store = Store()
    for number in range(count):
        store.keep_job(a_body(f"job-{number}"))
        store.keep_pod(a_pod(f"pod-{number}", f"job-{number}"))
    telemetry = Telemetry("1")
    telemetry.registry.register(JobsCollector(lambda: seen(store), max_jobs=500, prices={}, clock=lambda: BEGAN + 200))
    taken = []
    for _ in range(times):
        began = time.process_time()
        text = exposition(telemetry.registry, "")[0]
        taken.append(time.process_time() - began)
    return text, min(taken)
