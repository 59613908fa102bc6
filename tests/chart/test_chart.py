"""What the chart renders, by Helm itself."""

import json
import pathlib
import re
import shutil
import subprocess

import pytest
import yaml
from finetune_operator.runtime.config import OperatorConfig

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "charts/finetune-operator"


class HelmError(AssertionError):
    """Helm said no."""


def helm(*words: str) -> str:
    program = shutil.which("helm")
    if program is None:
        pytest.fail("helm is not on PATH: run `make test-chart`, which sets it up")
    done = subprocess.run([program, *words], capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        raise HelmError(done.stderr)
    return done.stdout


def rendered(values: dict | None = None) -> dict[tuple[str, str], dict]:
    flags = [f"--set-json={key}={json.dumps(value)}" for key, value in (values or {}).items()]
    text = helm("template", "release", str(CHART), "--namespace", "system", *flags)
    objects = [document for document in yaml.safe_load_all(text) if document]
    return {(document["kind"], document["metadata"]["name"]): document for document in objects}


def only(objects, kind):
    (found,) = [document for (of_kind, _name), document in objects.items() if of_kind == kind]
    return found


def kinds(objects):
    return sorted({kind for kind, _name in objects})


@pytest.fixture(scope="module")
def default():
    return rendered()


def test_the_chart_is_clean_under_the_strict_linter():
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART))


def test_by_default_everything_needed_is_there_and_nothing_else(default):
    assert kinds(default) == [
        "ClusterRole",
        "ClusterRoleBinding",
        "ConfigMap",
        "CustomResourceDefinition",
        "Deployment",
        "NetworkPolicy",
        "Service",
        "ServiceAccount",
    ]


def test_with_namespaces_there_is_no_cluster_role_at_all():
    objects = rendered({"config.watch.namespaces": ["one", "two"]})
    assert "ClusterRole" not in kinds(objects)
    assert "ClusterRoleBinding" not in kinds(objects)
    text = helm("template", "r", str(CHART), "--set-json", 'config.watch.namespaces=["one","two"]')
    roles = [d for d in yaml.safe_load_all(text) if d and d["kind"] in {"Role", "RoleBinding"}]
    assert sorted((d["kind"], d["metadata"]["namespace"]) for d in roles) == [
        ("Role", "one"),
        ("Role", "two"),
        ("RoleBinding", "one"),
        ("RoleBinding", "two"),
    ]


EXACTLY = {
    ("finetune.dev", "finetunejobs"): {"get", "list", "watch"},
    ("finetune.dev", "finetunejobs/status"): {"patch"},
    ("finetune.dev", "finetunejobs/finalizers"): {"update"},
    ("batch", "jobs"): {"get", "list", "watch", "create"},
    ("", "pods"): {"get", "list", "watch"},
    ("", "configmaps"): {"get", "create"},
    ("", "persistentvolumeclaims"): {"get", "create"},
    ("", "events"): {"create"},
    ("apiextensions.k8s.io", "customresourcedefinitions"): {"list", "watch"},
    ("", "namespaces"): {"list", "watch"},
}


def test_the_operator_may_do_exactly_this(default):
    rules = default["ClusterRole", "release-finetune-operator"]["rules"]
    granted = {
        (group, resource): set(rule["verbs"])
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    assert granted == EXACTLY


def test_the_operator_reads_the_file_that_the_chart_writes(default):
    text = only(default, "ConfigMap")["data"]["config.yaml"]
    assert OperatorConfig.model_validate(yaml.safe_load(text)) == OperatorConfig()


def test_every_value_of_the_configuration_arrives():
    objects = rendered({"config.profiles.cpu.limit": "2", "config.workers": 3, "metrics.port": 9000})
    config = OperatorConfig.model_validate(yaml.safe_load(only(objects, "ConfigMap")["data"]["config.yaml"]))
    assert (config.profiles.cpu.limit, config.workers, config.server.port) == ("2", 3, 9000)
    (container,) = only(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert container["ports"][0]["containerPort"] == 9000


def test_a_new_configuration_restarts_the_operator(default):
    def checksum(objects):
        return only(objects, "Deployment")["spec"]["template"]["metadata"]["annotations"]["checksum/config"]

    assert checksum(default) != checksum(rendered({"config.workers": 3}))


WRONG = {
    "a misspelt value": {"replicas": 3},
    "a misspelt value deep inside": {"config.profiles.cpu.memory": 5},
    "a value that is none of the words": {"config.logs.level": "chatty"},
    "a value of the wrong type": {"config.workers": "many"},
}


@pytest.mark.parametrize("values", WRONG.values(), ids=WRONG)
def test_a_wrong_value_is_refused(values):
    with pytest.raises(HelmError):
        rendered(values)


def test_the_operator_is_restricted_in_the_words_of_the_pod_security_standards(default):
    spec = only(default, "Deployment")["spec"]["template"]["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
    (container,) = spec["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"]["memory"]


def test_there_is_one_operator_and_never_two_at_a_time(default):
    spec = only(default, "Deployment")["spec"]
    assert (spec["replicas"], spec["strategy"]["type"]) == (1, "Recreate")


def test_the_crd_and_all_jobs_outlive_the_release(default):
    annotations = only(default, "CustomResourceDefinition")["metadata"]["annotations"]
    assert annotations["helm.sh/resource-policy"] == "keep"
    assert "annotations" not in only(rendered({"crds.keep": False}), "CustomResourceDefinition")["metadata"]
    assert "CustomResourceDefinition" not in kinds(rendered({"crds.install": False}))


def test_switches_switch():
    off = {"metrics.service.enabled": False, "networkPolicy.enabled": False, "rbac.create": False}
    assert kinds(rendered(off | {"crds.install": False, "serviceAccount.create": False})) == ["ConfigMap", "Deployment"]
    on = {"metrics.serviceMonitor.enabled": True, "metrics.trainerPodMonitor.enabled": True}
    assert {"ServiceMonitor", "PodMonitor"} <= set(kinds(rendered(on)))


def test_users_roles_are_aggregated_or_not(default):
    assert ("ClusterRole", "release-finetune-operator-editor") in default
    assert ("ClusterRole", "release-finetune-operator-editor") not in rendered({"rbac.aggregate": False})


def test_every_object_is_labelled_as_kubernetes_recommends(default):
    for document in default.values():
        labels = document["metadata"]["labels"]
        assert labels["app.kubernetes.io/managed-by"] == "Helm"
        assert labels["app.kubernetes.io/part-of"] == "finetune-operator"


def paths(values, path=()):
    for key, value in values.items():
        if isinstance(value, dict) and value and key != "resources":
            yield from paths(value, (*path, key))
        else:
            yield (*path, key)


def test_every_value_is_used_and_every_use_is_declared():
    values = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    declared = {".".join(path) for path in paths(values)}
    text = "\n".join(path.read_text("utf-8") for path in sorted((CHART / "templates").rglob("*")) if path.is_file())
    used = set(re.findall(r"\.Values\.([A-Za-z.]+)", text))
    whole = {"config"}  # rendered as it is, into the operator's own file
    assert used - whole - {"config.watch.namespaces"} == {name for name in declared if not name.startswith("config.")}


def test_every_value_is_described():
    text = (CHART / "README.md").read_text("utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    values = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    assert len(rows) == len(list(paths(values)))
    assert not [row for row in rows if row.rstrip().endswith("|  |")]
