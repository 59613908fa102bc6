"""The other examples: one for each family of tasks, on small real models and real rows."""

from __future__ import annotations

import pytest
import yaml
from cluster_user import ROOT, TRAINING_SECONDS

DONE_ELSEWHERE = {"00-models-and-data.yaml", "01-classify-reviews.yaml", "14-distributed-zero.yaml"}
ALWAYS_SHOWN = "02-chat-qlora.yaml"
"""What the README tells to try after the first one."""

OTHERS = sorted(path for path in (ROOT / "examples").glob("*.yaml") if path.name not in DONE_ELSEWHERE)


def test_all_other_examples_are_here():
    assert len(OTHERS) == 7


@pytest.fixture(scope="module")
def begun(request, shared_sampled):
    """A user who has begun all that are looked at; as many train at a time as there is room for."""
    for item in request.session.items:
        if item.path == request.path and hasattr(item, "callspec"):
            shared_sampled.apply_file(item.callspec.params["path"])
    return shared_sampled


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, id=path.stem, marks=[] if path.name == ALWAYS_SHOWN else pytest.mark.long) for path in OTHERS],
)
def test_the_example_succeeds_and_its_held_out_loss_falls(begun, path):
    name = yaml.safe_load(path.read_text())["metadata"]["name"]
    status = begun.finished(name, within=TRAINING_SECONDS)["status"]
    assert status["phase"] == "Succeeded", status["message"]
    result = status["result"]
    print(f"\n{path.stem}: {result}")
    assert result["metricsAfter"]["loss"] < result["metricsBefore"]["loss"]
    assert result["artifacts"]
    assert result["peakMemoryBytes"] < status["plan"]["memoryBytes"]
