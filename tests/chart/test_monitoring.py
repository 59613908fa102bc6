"""Where Prometheus finds the operator and its training pods."""

import json

import pytest
import yaml
from builders import KEY, a_job
from finetune_operator.manifests.attempt import Attempt
from finetune_operator.manifests.workload import job
from finetune_operator.planning.plan import plan
from finetune_operator.planning.profiles import Profiles

ALL_ON = {"serviceMonitor": {"enabled": True}, "trainerPodMonitor": {"enabled": True}}
TRAINING_POD = job(Attempt(KEY, a_job(), plan(a_job(), Profiles()), Profiles(), 1))["spec"]["template"]


@pytest.fixture(scope="module")
def monitored(rendered):
    return rendered({"metrics": ALL_ON})


def test_the_service_selects_the_operators_pod(default):
    service = default.only("Service")["spec"]
    assert service["selector"].items() <= default.pod()["metadata"]["labels"].items()


def test_the_service_monitor_selects_the_service_and_a_port_that_it_has(monitored):
    monitor, service = monitored.only("ServiceMonitor")["spec"], monitored.only("Service")
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["endpoints"][0]["port"] in {port["name"] for port in service["spec"]["ports"]}


def test_the_pod_monitor_selects_the_pods_that_the_operator_makes_and_a_port_that_they_have(monitored):
    monitor = monitored.only("PodMonitor")["spec"]
    labels = TRAINING_POD["metadata"]["labels"]
    assert monitor["selector"]["matchLabels"].items() <= labels.items()
    (container,) = TRAINING_POD["spec"]["containers"]
    assert monitor["podMetricsEndpoints"][0]["port"] in {port["name"] for port in container["ports"]}


def test_the_pod_monitor_looks_where_the_operator_looks(monitored, rendered):
    assert monitored.only("PodMonitor")["spec"]["namespaceSelector"] == {"any": True}
    narrow = rendered({"metrics": ALL_ON, "config": {"watch": {"namespaces": ["one", "two"]}}})
    assert narrow.only("PodMonitor")["spec"]["namespaceSelector"] == {"matchNames": ["one", "two"]}


@pytest.mark.parametrize(("name", "kind"), [("serviceMonitor", "ServiceMonitor"), ("trainerPodMonitor", "PodMonitor")])
def test_a_monitor_carries_the_labels_and_the_interval_that_it_is_given(rendered, name, kind):
    monitor = {"enabled": True, "interval": "7s", "labels": {"release": "prometheus"}}
    body = rendered({"metrics": {name: monitor}}).only(kind)
    assert body["metadata"]["labels"]["release"] == "prometheus"
    assert "7s" in str(body["spec"])


def test_by_default_nothing_needs_the_resources_of_the_prometheus_operator(default):
    assert not {"ServiceMonitor", "PodMonitor"} & set(default.kinds())


RULES = {"rules": {"enabled": True}}


def alerts(body):
    return {rule["alert"]: rule for group in body["spec"]["groups"] for rule in group["rules"] if "alert" in rule}


def test_the_rules_are_those_of_the_files(rendered, chart):
    body = rendered({"monitoring": RULES}).only("PrometheusRule")
    want = [yaml.safe_load((chart / f"rules/{name}.yaml").read_text("utf-8")) for name in ("recording", "alerts")]
    assert body["spec"]["groups"] == want[0]["groups"] + want[1]["groups"]


def test_an_alert_can_be_left_out_and_another_changed(rendered):
    own = {"for": "2h", "severity": "info", "threshold": 7200}
    rules = {
        "enabled": True,
        "labels": {"release": "prometheus"},
        "excludeRules": ["FineTuneJobXID"],
        "overrides": {"FineTuneJobPendingTooLong": own},
        "runbookUrlPrefix": "https://runbooks.example/",
    }
    body = rendered({"monitoring": {"rules": rules}}).only("PrometheusRule")
    found = alerts(body)
    changed = found["FineTuneJobPendingTooLong"]
    assert body["metadata"]["labels"]["release"] == "prometheus"
    assert "FineTuneJobXID" not in found
    assert changed["expr"] == "finetune:pending_seconds:job > 7200"
    assert (changed["for"], changed["labels"]["severity"]) == ("2h", "info")
    assert changed["annotations"]["runbook_url"] == "https://runbooks.example/FineTuneJobPendingTooLong.md"
    assert changed["annotations"]["summary"].startswith("{{ $labels.namespace }}")


REFUSED = {
    "an alert that there is not": {"overrides": {"FineTuneJobSlow": {"for": "1h"}}},
    "an alert to leave out that there is not": {"excludeRules": ["FineTuneJobSlow"]},
    "a threshold of an alert without one": {"overrides": {"FineTuneOperatorDown": {"threshold": 5}}},
    "a severity that there is not": {"overrides": {"FineTuneOperatorDown": {"severity": "loud"}}},
    "a misspelt word": {"overrides": {"FineTuneOperatorDown": {"after": "5m"}}},
}


@pytest.mark.parametrize("rules", REFUSED.values(), ids=REFUSED)
def test_a_wrong_change_of_the_rules_is_refused(refused, rules):
    assert "monitoring" in refused({"monitoring": {"rules": {"enabled": True} | rules}})


def test_dashboards_are_what_grafanas_sidecar_loads(rendered, chart):
    values = {
        "enabled": True,
        "namespace": "grafana",
        "folder": "Fine-tuning",
        "extraLabels": {"team": "ml"},
        "annotations": {"owner": "us"},
    }
    bodies = [
        body
        for body in rendered({"monitoring": {"dashboards": values}}).all("ConfigMap")
        if "config.yaml" not in body["data"]
    ]
    assert len(bodies) == 3
    for body in bodies:
        ((name, text),) = body["data"].items()
        assert json.loads(text) == json.loads((chart / "dashboards" / name).read_text("utf-8"))
        metadata = body["metadata"]
        assert metadata["namespace"] == "grafana"
        assert {"grafana_dashboard": "1", "team": "ml"}.items() <= metadata["labels"].items()
        assert metadata["annotations"] == {"grafana_folder": "Fine-tuning", "owner": "us"}


EVERYTHING = {"metrics": ALL_ON, "monitoring": RULES}


def test_monitors_can_be_skipped_where_nothing_knows_them(rendered):
    skipped = rendered({**EVERYTHING, "monitoring": {**RULES, "renderMode": "skipIfMissing"}})
    assert not {"ServiceMonitor", "PodMonitor", "PrometheusRule"} & set(skipped.kinds())


def test_monitors_can_be_asked_for_where_nothing_may_be_skipped(refused):
    said = refused({**EVERYTHING, "monitoring": {**RULES, "renderMode": "failIfMissing"}})
    assert "monitoring.renderMode" in said


def test_by_default_there_are_neither_rules_nor_dashboards(default):
    assert "PrometheusRule" not in default.kinds()
    assert len(default.all("ConfigMap")) == 1
