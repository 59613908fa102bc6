"""The operator's pod and its file of configuration."""

import pytest
import yaml
from finetune_operator.runtime.config import OperatorConfig


def config(objects):
    return OperatorConfig.model_validate(yaml.safe_load(objects.only("ConfigMap")["data"]["config.yaml"]))


def container(objects):
    (found,) = objects.pod()["spec"]["containers"]
    return found


def test_the_operator_reads_the_file_that_the_chart_writes_and_the_defaults_are_its_own(default):
    assert config(default) == OperatorConfig()


def test_every_word_of_the_operators_configuration_can_be_said_in_values(rendered):
    said = {
        "watch": {"namespaces": ["one"]},
        "logs": {"level": "debug", "json": False},
        "workers": 3,
        "metrics": {"perJob": {"maxJobs": 7}},
        "profiles": {
            "cpu": {"memoryBytes": 34359738368, "request": "500m", "limit": "2", "bf16": True},
            "trainer": {
                "image": "trainer:1",
                "imagePullPolicy": "Always",
                "imagePullSecrets": ["pull"],
                "terminationGracePeriodSeconds": 90,
                "startDeadlineSeconds": 600,
                "multiNode": "auto",
            },
            "hardware": {
                "big": {
                    "accelerator": "nvidia-h100",
                    "instanceType": "Standard_ND96isr_H100_v5",
                    "devicesPerNode": 8,
                    "nodes": 4,
                    "deviceMemoryBytes": 84825604096,
                    "memoryBytes": 2040109465600,
                    "cpus": 90.5,
                    "nodeSelector": {"example.com/pool": "training"},
                    "tolerations": [
                        {
                            "key": "nvidia.com/gpu",
                            "operator": "Exists",
                            "value": None,
                            "effect": "NoExecute",
                            "tolerationSeconds": 60,
                        }
                    ],
                    "runtimeClassName": "nvidia",
                    "resource": "nvidia.com/gpu",
                    "image": "trainer:cuda",
                    "pricePerHour": 88.5,
                }
            },
            "allowedImages": ["registry.example/team/*"],
            "defaultStorage": {
                "claim": None,
                "template": {"size": "100Gi", "storageClassName": "fast", "keep": True},
                "ephemeral": None,
            },
            "prices": {"g6.xlarge": 0.75},
        },
    }
    written = config(rendered({"config": said, "metrics": {"port": 9000}}))
    alone = OperatorConfig().leader_election.model_dump(mode="json", by_alias=True)
    ours = {"server": {"port": 9000}, "leaderElection": alone}
    assert written.model_dump(mode="json", by_alias=True) == said | ours


def test_the_pod_mounts_the_file_that_its_argument_names(default):
    spec = default.pod()["spec"]
    assert container(default)["args"] == ["--config", "/etc/finetune-operator/config.yaml"]
    (mount,) = container(default)["volumeMounts"]
    assert (mount["mountPath"], mount["readOnly"]) == ("/etc/finetune-operator", True)
    (volume,) = spec["volumes"]
    assert volume["configMap"]["name"] == default.only("ConfigMap")["metadata"]["name"]


def test_a_new_configuration_restarts_the_operator_and_the_same_one_does_not(default, rendered):
    def checksum(objects):
        return objects.pod()["metadata"]["annotations"]["checksum/config"]

    assert checksum(default) == checksum(rendered({"resources": {"requests": {"cpu": "1"}}}))
    assert checksum(default) != checksum(rendered({"config": {"workers": 3}}))


def test_the_pod_is_restricted_in_the_words_of_the_pod_security_standards(default):
    spec = default.pod()["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert isinstance(spec["securityContext"]["runAsUser"], int)
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container(default)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & spec.keys()
    assert all(set(volume) == {"name", "configMap"} for volume in spec["volumes"])


def test_memory_is_requested_and_limited(default):
    resources = container(default)["resources"]
    assert set(resources["requests"]) == {"cpu", "memory"}
    assert set(resources["limits"]) == {"memory"}


def test_there_is_one_operator_and_never_two_at_a_time(default):
    spec = default.only("Deployment")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


SEVERAL = {"replicaCount": 2, "leaderElection": {"enabled": True}}


def test_several_operators_are_refused_without_an_election(refused):
    assert "replicaCount: several operators need leaderElection.enabled: true" in refused({"replicaCount": 2})


def test_of_several_operators_one_stays_while_the_others_are_replaced_or_drained(rendered):
    objects = rendered(SEVERAL)
    spec = objects.only("Deployment")["spec"]
    assert (spec["replicas"], spec["strategy"]["type"]) == (2, "RollingUpdate")
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    budget = objects.only("PodDisruptionBudget")["spec"]
    assert budget["maxUnavailable"] == 1
    assert budget["selector"] == spec["selector"]


def test_several_operators_prefer_different_nodes_unless_the_administrator_says_otherwise(rendered):
    assert "podAntiAffinity" in rendered(SEVERAL).pod()["spec"]["affinity"]
    own = {"nodeAffinity": {}}
    assert rendered({**SEVERAL, "affinity": own}).pod()["spec"]["affinity"] == own


def test_an_election_is_held_in_the_operators_own_namespace(rendered):
    election = config(rendered(SEVERAL)).leader_election
    assert (election.enabled, election.namespace) == (True, "system")


def test_the_kubelet_sees_within_seconds_that_the_operator_is_ready(default):
    probes = container(default)
    assert probes["startupProbe"]["periodSeconds"] == 1
    assert probes["readinessProbe"]["periodSeconds"] <= 2
    asked = {name: probes[name]["httpGet"]["path"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert asked == {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}


def test_a_new_operator_does_not_wait_long_for_the_old_one(default):
    assert default.pod()["spec"]["terminationGracePeriodSeconds"] <= 10


def test_a_port_reaches_the_operator_its_container_and_its_service(rendered):
    objects = rendered({"metrics": {"port": 9000}})
    assert config(objects).server.port == 9000
    assert container(objects)["ports"] == [{"name": "metrics", "containerPort": 9000}]
    assert objects.only("Service")["spec"]["ports"] == [{"name": "metrics", "port": 9000, "targetPort": "metrics"}]
    assert objects.pod()["metadata"]["annotations"]["prometheus.io/port"] == "9000"


def test_the_image_is_the_charts_version_unless_a_tag_is_given(default, rendered, chart):
    version = yaml.safe_load((chart / "Chart.yaml").read_text("utf-8"))["appVersion"]
    assert container(default)["image"] == f"finetune-operator:{version}"
    assert container(rendered({"image": {"repository": "r/o", "tag": "t"}}))["image"] == "r/o:t"


PLACES = {
    "nodeSelector": {"disk": "fast"},
    "tolerations": [{"key": "a", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
}


@pytest.mark.parametrize("name", PLACES)
def test_where_the_pod_may_run_is_passed_on(rendered, name):
    assert rendered({name: PLACES[name]}).pod()["spec"][name] == PLACES[name]


def test_secrets_to_pull_with_are_named_as_kubernetes_names_them(rendered):
    assert rendered({"imagePullSecrets": ["a"]}).pod()["spec"]["imagePullSecrets"] == [{"name": "a"}]


def test_labels_of_the_administrator_are_added_and_cannot_lose_the_pod_to_its_selector(rendered):
    objects = rendered({"podLabels": {"team": "ml", "app.kubernetes.io/name": "other"}})
    labels = objects.pod()["metadata"]["labels"]
    assert labels["team"] == "ml"
    assert objects.only("Deployment")["spec"]["selector"]["matchLabels"].items() <= labels.items()


def test_annotations_of_the_administrator_win_but_for_the_checksum(default, rendered):
    annotations = {"team": "ml", "prometheus.io/scrape": "false", "checksum/config": "x"}
    found = rendered({"podAnnotations": annotations}).pod()["metadata"]["annotations"]
    assert (found["team"], found["prometheus.io/scrape"]) == ("ml", "false")
    assert found["checksum/config"] == default.pod()["metadata"]["annotations"]["checksum/config"]
