"""What may reach the operator, and what it may reach."""

from builders import KEY
from finetune_operator.manifests.labels import labels
from finetune_trainer.contract import PROGRESS_PORT


def ports(rule):
    return {(port["port"], port["protocol"]) for port in rule["ports"]}


def test_the_policy_is_about_the_operators_pod_and_about_both_directions(default):
    spec = default.only("NetworkPolicy")["spec"]
    assert spec["podSelector"]["matchLabels"].items() <= default.pod()["metadata"]["labels"].items()
    assert spec["policyTypes"] == ["Ingress", "Egress"]


def test_only_metrics_and_health_can_be_reached(default):
    assert default.only("NetworkPolicy")["spec"]["ingress"] == [{"ports": [{"port": "metrics"}]}]


def test_the_operator_reaches_names_and_the_api_server(default, rendered):
    anywhere, _trainers = default.only("NetworkPolicy")["spec"]["egress"]
    assert set(anywhere) == {"ports"}
    assert ports(anywhere) == {(53, "UDP"), (53, "TCP"), (443, "TCP"), (6443, "TCP")}
    other = rendered({"networkPolicy": {"apiServerPorts": [8443]}}).only("NetworkPolicy")["spec"]["egress"][0]
    assert ports(other) == {(53, "UDP"), (53, "TCP"), (8443, "TCP")}


def test_the_operator_reaches_the_pods_that_it_makes_at_the_port_where_they_answer(default):
    _anywhere, trainers = default.only("NetworkPolicy")["spec"]["egress"]
    (peer,) = trainers["to"]
    assert peer["podSelector"]["matchLabels"].items() <= labels(KEY).items()
    assert ports(trainers) == {(PROGRESS_PORT, "TCP")}


def test_trainers_are_reached_where_the_operator_looks_and_nowhere_else(default, narrow):
    def namespaces(objects):
        return objects.only("NetworkPolicy")["spec"]["egress"][1]["to"][0]["namespaceSelector"]

    assert namespaces(default) == {}
    assert namespaces(narrow) == {
        "matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["one", "two"]}]
    }


def test_the_policy_can_be_left_out(rendered):
    assert "NetworkPolicy" not in rendered({"networkPolicy": {"enabled": False}}).kinds()
