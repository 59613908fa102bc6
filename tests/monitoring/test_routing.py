"""The example of who is told: Alertmanager takes it, and each alert goes where its severity says."""

import pathlib

import pytest
from asked import rules

EXAMPLE = pathlib.Path(__file__).resolve().parents[2] / "monitoring/alertmanager.yaml"
TOLD = {"critical": "pager", "warning": "team", "info": "nobody"}
ALERTS = sorted({(rule["alert"], rule["labels"]["severity"]) for rule in rules("alerts")})


@pytest.fixture
def told(amtool):
    """Return who is told of an alert with these labels."""

    def ask(**labels):
        words = [f"{name}={value}" for name, value in labels.items()]
        code, said = amtool("config", "routes", "test", f"--config.file={EXAMPLE}", *words)
        assert code == 0, said
        return said.splitlines()[0]  # warnings come after it

    return ask


def test_alertmanager_takes_the_example(amtool):
    code, said = amtool("check-config", EXAMPLE)
    assert code == 0, said
    assert "SUCCESS" in said


@pytest.mark.parametrize(("alert", "severity"), ALERTS, ids=[" ".join(one) for one in ALERTS])
def test_an_alert_goes_to_whom_its_severity_says(told, alert, severity):
    assert told(alertname=alert, severity=severity, namespace="team") == TOLD[severity]


def test_alerts_of_others_are_none_of_its_business(told):
    assert told(alertname="Watchdog", severity="critical") == "nobody"
