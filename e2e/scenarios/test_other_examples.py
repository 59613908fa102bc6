"""The other examples: one for each family of tasks, on small real models and real rows."""

from __future__ import annotations

import pytest
import yaml
from cluster_user import ROOT, TRAINING_SECONDS

DONE_ELSEWHERE = {"00-models-and-data.yaml", "01-classify-reviews.yaml", "14-distributed-zero.yaml"}
OTHERS = sorted(path for path in (ROOT / "examples").glob("*.yaml") if path.name not in DONE_ELSEWHERE)


def test_all_other_examples_are_here():
    assert len(OTHERS) == 7


@pytest.mark.parametrize("path", OTHERS, ids=lambda path: path.stem)
def test_the_example_succeeds_and_its_held_out_loss_falls(shared_sampled, path):
    name = yaml.safe_load(path.read_text())["metadata"]["name"]
    shared_sampled.apply_file(path)
    status = shared_sampled.finished(name, within=TRAINING_SECONDS)["status"]
    assert status["phase"] == "Succeeded", status["message"]
    result = status["result"]
    print(f"\n{path.stem}: {result}")
    assert result["metricsAfter"]["loss"] < result["metricsBefore"]["loss"]
    assert result["artifacts"]
    assert result["peakMemoryBytes"] < status["plan"]["memoryBytes"]
