"""Runs the main example as a user would and shows what it brings; `make demo` calls it when all is set up."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
SAMPLES, EXAMPLE = ROOT / "examples/00-models-and-data.yaml", ROOT / "examples/01-classify-reviews.yaml"
JOB = "finetunejob/reviews"
COLUMNS = ("PHASE", "PROGRESS", "STEP", "LOSS", "ETA", "DEVICES", "REASON")
ROW = "{:<10} {:<9} {:<8} {:<8} {:<6} {:<8} {}"
LONGEST = 600.0
"""Seconds after which something must be wrong."""


def kubectl(*words: str) -> str:
    """Run kubectl in the default namespace; its own words are the error."""
    done = subprocess.run(
        ["kubectl", "-n", "default", *words], capture_output=True, text=True, check=False, timeout=150
    )
    if done.returncode:
        raise SystemExit(f"demo: kubectl {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def watch(began: float) -> dict:
    """Print a line whenever a column moves, until the job has ended; return the job."""
    shown = ""
    print(ROW.format(*COLUMNS))
    while time.monotonic() - began < LONGEST:
        job = json.loads(kubectl("get", JOB, "-o", "json"))
        status = job.get("status", {})
        cells = status.get("columns", {})
        line = ROW.format(status.get("phase", ""), *(cells.get(name.lower(), "") for name in COLUMNS[1:]))
        if line.strip() and line != shown:
            print(line, flush=True)
            shown = line
        if status.get("completionTime"):
            return job
        time.sleep(1)
    raise SystemExit(f"demo: the job has not ended within {LONGEST:.0f} s; see: kubectl describe {JOB}")


def main() -> int:
    """Apply, watch, report."""
    print("demo: models and data onto the claim `samples` (usually 10 s)", flush=True)
    kubectl("apply", "-f", str(SAMPLES))
    kubectl("wait", "--for=condition=complete", "job/samples", "--timeout=120s")
    kubectl("delete", JOB, "--ignore-not-found", "--wait=true", "--timeout=60s")
    print(f"demo: kubectl apply -f {EXAMPLE.relative_to(ROOT)} (usually 2 minutes)\n", flush=True)
    began = time.monotonic()
    kubectl("apply", "-f", str(EXAMPLE))
    status = watch(began)["status"]
    print(f"\n{status['phase']}: {status['message']}")
    if status["phase"] != "Succeeded":
        print(f"demo: see: kubectl describe {JOB}", file=sys.stderr)
        return 1
    result = status["result"]
    before, after = result["metricsBefore"]["accuracy"], result["metricsAfter"]["accuracy"]
    print(f"accuracy on held-out reviews: {before:.3f} before, {after:.3f} after")
    print(f"trained {result['trainableParameters']:,} of {result['totalParameters']:,} parameters", end=" ")
    print(f"in {result['trainSeconds']:.0f} s, with {result['peakMemoryBytes'] / 2**30:.1f} GiB of memory at the peak")
    for artifact in result["artifacts"]:
        print(f"{artifact['kind']}: {artifact['uri']} ({artifact['bytes'] / 2**20:.1f} MiB)")
    print(f"the plan with its reasons: kubectl get {JOB} -o yaml")
    return 0


if __name__ == "__main__":
    sys.exit(main())
