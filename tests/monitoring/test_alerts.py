"""The alerts: each fires when it should and stays silent when it should, and has a runbook that helps."""

import json
import pathlib
import re

import promql_parser
import pytest
import yaml
from asked import RULES, rules

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCE = ROOT / "monitoring/rules"
RUNBOOKS = ROOT / "docs/runbooks"
TESTS = sorted((SOURCE / "tests").glob("*.yaml"))
HEADINGS = ["## Meaning", "## Impact", "## Diagnosis", "## Mitigation"]
ALERTS = rules("alerts")
NAMES = sorted({rule["alert"] for rule in ALERTS})
each = pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: f"{rule['alert']}-{rule['labels']['severity']}")
WANTED = """OperatorDown OperatorNoLeader OperatorSplitBrain ReconcileErrorBudgetBurn StatusLatencySLO WatchStale
APIThrottled OperatorHotLoop JobPendingTooLong JobStuck JobFailureRatioHigh JobLossNaN JobGPUIdle CheckpointStale
JobXID"""


def test_all_alerts_are_there():
    assert sorted(f"FineTune{name}" for name in WANTED.split()) == NAMES


@pytest.mark.parametrize("name", ["alerts.yaml", "recording.yaml"])
def test_the_chart_ships_the_rules_as_they_are(name):
    assert (RULES / name).read_text("utf-8") == (SOURCE / name).read_text("utf-8"), "run `make generate`"


def test_prometheus_takes_the_rules(promtool):
    code, said = promtool("check", "rules", SOURCE / "alerts.yaml", SOURCE / "recording.yaml")
    assert code == 0, said


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_alerts_fire_and_stay_silent_as_told(promtool, path):
    code, said = promtool("test", "rules", path)
    assert code == 0, said


def cases():
    """Every moment at which a test asks for an alert: its name, and what it expects."""
    for path in TESTS:
        for test in yaml.safe_load(path.read_text("utf-8"))["tests"]:
            for case in test.get("alert_rule_test", []):
                yield case["alertname"], case.get("exp_alerts") or []


@each
def test_every_alert_is_tried_firing_and_silent(rule):
    tried = [(expected, rule["labels"]["severity"]) for name, expected in cases() if name == rule["alert"]]
    firing = [
        expected for expected, severity in tried if any(e["exp_labels"]["severity"] == severity for e in expected)
    ]
    assert firing, "no test in which it fires"
    assert [expected for expected, _severity in tried if not expected], "no test in which it is silent"


@each
def test_every_alert_says_what_is_wrong(rule):
    assert re.fullmatch(r"[1-9]\d*[mh]", rule["for"]), "one scrape that is off is no alert"
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert (ROOT / rule["annotations"]["runbook_url"]).stem == rule["alert"]
    assert rule["annotations"]["description"].endswith(".")
    assert len(rule["annotations"]["summary"]) < 140
    if rule["labels"]["severity"] == "critical":
        assert rule["alert"].startswith(("FineTuneOperator", "FineTuneReconcile"))


@each
def test_annotations_name_labels_that_the_alert_has(rule):
    used = set(re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"])))
    expected = [alert for name, alerts in cases() if name == rule["alert"] for alert in alerts]
    assert used <= set().union(*(alert["exp_labels"] for alert in expected))


@each
def test_a_threshold_at_the_end_can_be_replaced(rule):
    expr = rule["expr"].strip()
    if re.search(r"[0-9.]+$", expr):
        promql_parser.parse(re.sub(r"[0-9.]+$", "0.5", expr))


@pytest.mark.parametrize("name", NAMES)
def test_every_alert_has_a_runbook_with_commands(name):
    text = (RUNBOOKS / f"{name}.md").read_text("utf-8")
    assert text.startswith(f"# {name}\n")
    assert [line for line in text.splitlines() if line.startswith("## ")] == HEADINGS
    diagnosis = text.split("## Diagnosis")[1].split("## Mitigation")[0]
    assert "```sh\n" in diagnosis
    assert "kubectl" in diagnosis


def test_there_is_no_runbook_without_an_alert():
    assert sorted(path.stem for path in RUNBOOKS.glob("*.md")) == sorted(NAMES)
