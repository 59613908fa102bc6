"""Where Prometheus finds the operator and its training pods."""

import pytest
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
