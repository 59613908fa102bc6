"""A plan is there almost at once."""

from __future__ import annotations

import json
import statistics
import subprocess
import threading
import time

from cluster_user import a_job, eventually

JOBS = 20
MEDIAN_SECONDS = 1.0
"""Median time from apply until the plan is in status."""


def test_the_plan_is_in_status_within_a_second_of_apply(user):
    seen: dict[str, float] = {}
    columns = "NAME:.metadata.name,METHOD:.status.plan.method"
    watch = subprocess.Popen(
        ["kubectl", "-n", user.namespace, "get", "ftj", "-w", "--no-headers", "-o", f"custom-columns={columns}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )

    def read() -> None:
        for line in watch.stdout:
            name, method = line.split()
            if method != "<none>":
                seen.setdefault(name, time.monotonic())

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        applied = {}
        for number in range(JOBS):
            name = f"job-{number}"
            applied[name] = time.monotonic()
            user.apply(a_job(name))
        eventually(lambda: len(seen) == JOBS, within=30, waiting_for=f"{JOBS} plans")
    finally:
        watch.terminate()
        watch.wait(timeout=10)
        reader.join(timeout=10)
        watch.stdout.close()
    seconds = sorted(seen[name] - applied[name] for name in applied)
    median = statistics.median(seconds)
    print(f"\nplan in status: {json.dumps({'median': round(median, 3), 'longest': round(seconds[-1], 3)})}")
    assert median < MEDIAN_SECONDS
