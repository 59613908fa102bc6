"""The programs that monitoring is tried with, and recordings loaded into a real Prometheus."""

import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
INSTALL_SECONDS = 600
for folder in (ROOT, ROOT / "e2e/recording", ROOT / "tests/monitoring"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


@pytest.fixture(scope="session")
def promtool():
    """Run promtool, and have it as the end-to-end tests have it."""
    return _program("promtool")


@pytest.fixture(scope="session")
def amtool():
    """Run Alertmanager's amtool."""
    return _program("amtool")


def _program(name):
    if shutil.which(name) is None:
        command = [sys.executable, str(ROOT / "e2e/cluster"), "prometheus"]
        subprocess.run(command, check=True, timeout=INSTALL_SECONDS)

    def run(*words, stdin=None):
        done = subprocess.run(
            [name, *map(str, words)], input=stdin, capture_output=True, text=True, check=False, timeout=60
        )
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.fixture(scope="session")
def rehearsal(promtool):
    """A Prometheus that saw the rehearsal, recording rules computed."""
    from asked import RULES
    from rehearsal import SECONDS, START, STEP, rehearse
    from replay import Replay

    span = (START, START + SECONDS)
    with Replay("".join(rehearse().openmetrics()), (RULES / "recording.yaml",), span, STEP) as prometheus:
        yield prometheus
