"""What the operator answers to Prometheus and the kubelet, and that it works on meanwhile."""

import asyncio
import concurrent.futures
import contextlib
import gc
import time
import urllib.error
import urllib.request

import pytest
from finetune_operator.cluster.store import Store
from finetune_operator.runtime.server import serve
from finetune_operator.runtime.views import Sight
from finetune_operator.telemetry.jobs import JobsCollector
from finetune_operator.telemetry.process import Telemetry

HELD_UP_SECONDS = 0.05
"""Longest CPU time that the event loop may work for a scrape without a pause; usually 0.004."""

NOW = 1_800_000_000.0
OPEN_METRICS = "application/openmetrics-text; version=1.0.0"


def a_job(number):
    condition = {
        "type": "Running",
        "status": "True",
        "reason": "Training",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    metadata = {"namespace": f"team-{number % 20}", "name": f"job-{number}", "uid": f"uid-{number}"}
    return {
        "metadata": metadata | {"resourceVersion": "1", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"task": "chat", "model": {"name": "tiny-phi3"}},
        "status": {"phase": "Running", "conditions": [condition] * 7},
    }


def answers(store, ask, *, ready=True):
    """Return what a client finds out in a thread of its own, and the longest time that the loop could not turn."""
    telemetry, sight = Telemetry("1"), Sight(store)
    telemetry.registry.register(JobsCollector(sight.views, max_jobs=2000, prices={}, clock=lambda: NOW))

    async def turn():
        begin = asyncio.Event()
        if ready:
            begin.set()
        runner = await serve(0, telemetry, begin, sight.take)
        loop, most = asyncio.get_running_loop(), 0.0
        with concurrent.futures.ThreadPoolExecutor(1) as threads:
            port = next(where[1] for where in runner.addresses if where[0] == "0.0.0.0")  # IPv6 has another
            asked = loop.run_in_executor(threads, ask, f"http://127.0.0.1:{port}")
            while not asked.done():
                began = time.thread_time()
                await asyncio.wait([asked], timeout=0.001)
                most = max(most, time.thread_time() - began)
            found = await asked
        await runner.cleanup()
        return found, most

    gc.collect()  # what other tests left is none of the loop's work; the operator, too, freezes what it begins with
    gc.freeze()
    try:
        return asyncio.run(turn())
    finally:
        gc.unfreeze()


def get(url, accept=""):
    request = urllib.request.Request(url, headers={"Accept": accept})
    with contextlib.closing(urllib.request.urlopen(request, timeout=30)) as answer:
        return answer.headers["Content-Type"], answer.read().decode()


@pytest.mark.parametrize("accept", ["", OPEN_METRICS])
def test_the_event_loop_turns_while_2000_jobs_are_scraped(accept):
    store = Store()
    for number in range(2000):
        store.keep_job(a_job(number))
    (kind, text), held_up = answers(store, lambda url: get(f"{url}/metrics", accept))
    assert "finetune_job_info{" in text
    assert "job-1999" in text
    assert kind.startswith(accept.split(";")[0])
    assert held_up < HELD_UP_SECONDS


def test_it_is_ready_once_its_watches_run():
    def both(url):
        with pytest.raises(urllib.error.HTTPError, match="503"):
            get(f"{url}/readyz")
        return get(f"{url}/healthz")[1]

    assert answers(Store(), both, ready=False)[0] == "ok"
    assert answers(Store(), lambda url: get(f"{url}/readyz"))[0][1] == "ok"
