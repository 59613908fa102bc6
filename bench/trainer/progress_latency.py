# ruff: noqa: INP001, T201, S603, S310
"""Measure how fast a training pod answers while it trains, and whether asking slows it down.

    python bench/trainer/progress_latency.py RUN_FILE

The run should take a minute or more; its port must be fixed and free. Every second ten-second window is asked
ten times a second, fifty times what the operator does; the others are left in peace.
"""

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

WINDOW_SECONDS = 10
PAUSE_SECONDS = 0.1
TRAINER = Path(__file__).parents[2] / "trainer"


def main() -> None:
    """Start the run, ask it, and print the percentiles and both speeds."""
    run = Path(sys.argv[1])
    url = f"http://127.0.0.1:{json.loads(run.read_text(encoding='utf-8'))['reporting']['port']}/progress"
    command = [sys.executable, "-m", "finetune_trainer", str(run)]
    process = subprocess.Popen(command, env={"PYTHONPATH": str(TRAINER)}, stdout=subprocess.DEVNULL)
    while _ask(url)[1].get("phase") != "Training":
        if process.poll() is not None:
            sys.exit("the run ended before it trained; is the port taken?")
        time.sleep(0.5)
    latencies: list[float] = []
    speeds: dict[bool, list[float]] = {True: [], False: []}
    asked = True
    while process.poll() is None:
        before, start = _ask(url)[1], time.monotonic()
        while time.monotonic() - start < WINDOW_SECONDS and process.poll() is None:
            time.sleep(PAUSE_SECONDS if asked else WINDOW_SECONDS)
            latencies += _latency_in_training(url) if asked else []
        after, elapsed = _ask(url)[1], time.monotonic() - start
        if after.get("phase") == "Training":
            speeds[asked].append((after["step"] - before["step"]) / elapsed)
        asked = not asked
    latencies.sort()
    for percent in (50, 99, 100):
        print(f"p{percent}: {latencies[min(len(latencies) - 1, len(latencies) * percent // 100)] * 1000:.1f} ms")
    for each, found in speeds.items():
        if found:
            print(
                f"{'asked' if each else 'left in peace'}: {sum(found) / len(found):.3f} steps/s ({len(found)} windows)"
            )


def _latency_in_training(url: str) -> list[float]:
    latency, document = _ask(url)
    return [latency] if document.get("phase") == "Training" else []


def _ask(url: str) -> tuple[float, dict[str, object]]:
    start = time.monotonic()
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            document = json.load(answer)
    except (urllib.error.URLError, ConnectionError):
        return time.monotonic() - start, {}
    return time.monotonic() - start, document


if __name__ == "__main__":
    main()
