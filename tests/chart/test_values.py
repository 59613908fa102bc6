"""The chart as a whole: what it makes by default, which values it takes, which it refuses."""

import json
import re

import pytest
import yaml

WHOLE = {"resources"}


def test_the_chart_is_clean_under_the_strict_linter(helm, chart):
    said = helm("lint", "--strict", str(chart))
    assert "0 chart(s) failed" in said
    assert "[WARNING]" not in said


def test_by_default_everything_needed_is_there_and_nothing_else(default):
    assert default.kinds() == [
        "ClusterRole",
        "ClusterRoleBinding",
        "ConfigMap",
        "CustomResourceDefinition",
        "Deployment",
        "NetworkPolicy",
        "Service",
        "ServiceAccount",
    ]


def test_all_that_can_be_left_out_can_be_left_out_together(rendered):
    off = {
        "metrics": {"service": {"enabled": False}},
        "networkPolicy": {"enabled": False},
        "rbac": {"create": False},
        "crds": {"install": False},
        "serviceAccount": {"create": False},
    }
    assert rendered(off).kinds() == ["ConfigMap", "Deployment"]


def test_the_chart_renders_nothing_that_the_operator_writes(default):
    for body in default.values():
        assert "status" not in body
        assert body["kind"] not in {"Secret", "Job", "FineTuneJob"}


def test_every_object_is_labelled_as_kubernetes_recommends(default, narrow):
    for body in [*default.values(), *narrow.values()]:
        labels = body["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == "finetune-operator"
        assert labels["app.kubernetes.io/instance"] == "release"
        assert labels["app.kubernetes.io/managed-by"] == "Helm"


@pytest.mark.parametrize("release", ["finetune-operator", "x" * 53, "a"])
def test_names_fit_whatever_the_release_is_called(rendered, release):
    for _kind, _namespace, name in rendered(release=release):
        assert len(name) <= 63
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", name)


def test_a_release_named_as_the_chart_does_not_say_it_twice(rendered):
    assert rendered(release="finetune-operator").only("Deployment")["metadata"]["name"] == "finetune-operator"


def test_the_notes_name_the_next_commands(helm, chart):
    said = helm("install", "r", str(chart), "--namespace", "system", "--dry-run=client")
    notes = said.split("NOTES:")[1]
    assert "kubectl get finetunejobs" in notes
    assert "kubectl -n system logs deployment/r-finetune-operator" in notes


WRONG = {
    "a misspelt value": {"replicas": 1},
    "a misspelt value deep inside": {"config": {"profiles": {"cpu": {"memory": 5}}}},
    "a misspelt resource": {"resources": {"limit": {"memory": "1Gi"}}},
    "a misspelt affinity": {"affinity": {"nodeAfinity": {}}},
    "a misspelt toleration": {"tolerations": [{"keyy": "a"}]},
    "a value of the wrong type": {"config": {"workers": "many"}},
    "a word that is none of the words": {"config": {"logs": {"level": "chatty"}}},
    "a pull policy that there is not": {"image": {"pullPolicy": "Sometimes"}},
    "a label that is not text": {"podLabels": {"a": 5}},
    "no operator": {"replicaCount": 0},
    "no workers": {"config": {"workers": 0}},
    "no memory": {"config": {"profiles": {"cpu": {"memoryBytes": 0}}}},
    "a CPU that is no quantity": {"config": {"profiles": {"cpu": {"request": "one"}}}},
    "no image": {"config": {"profiles": {"trainer": {"image": ""}}}},
    "hardware without an accelerator": {"config": {"profiles": {"hardware": {"big": {"nodes": 1}}}}},
    "hardware with a misspelt key": {
        "config": {"profiles": {"hardware": {"big": {"accelerator": "cpu", "devices": 1}}}}
    },
    "hardware of a name that no job can write": {"config": {"profiles": {"hardware": {"Big": {"accelerator": "cpu"}}}}},
    "every image": {"config": {"profiles": {"allowedImages": ["*"]}}},
    "a price that is none": {"config": {"profiles": {"prices": {"g6.xlarge": -1}}}},
    "a port that there is not": {"metrics": {"port": 70000}},
    "an API server without ports": {"networkPolicy": {"apiServerPorts": []}},
    "an interval that is none": {"metrics": {"serviceMonitor": {"enabled": True, "interval": "often"}}},
    "a namespace that there cannot be": {"config": {"watch": {"namespaces": ["A_b"]}}},
    "a namespace twice": {"config": {"watch": {"namespaces": ["a", "a"]}}},
}


@pytest.mark.parametrize("values", WRONG.values(), ids=WRONG)
def test_a_wrong_value_is_refused_with_its_place(refused, values):
    (group,) = values
    assert f"'/{group}" in (said := refused(values)) or f"'{group}'" in said


def test_a_value_of_a_parent_chart_is_let_through(rendered):
    assert rendered({"global": {"anything": 1}})


def test_no_object_of_the_schema_takes_unknown_keys(chart):
    schema = json.loads((chart / "values.schema.json").read_text("utf-8"))
    free = {"global", "nodeAffinity", "podAffinity", "podAntiAffinity"}

    def check(node, name):
        if node.get("type") == "object" and name not in free:
            assert node["additionalProperties"] is False or node["additionalProperties"]["type"], name
        for key, child in node.get("properties", {}).items():
            check(child, key)

    check(schema, "")


def paths(values, path=()):
    for key, value in values.items():
        if isinstance(value, dict) and value and key not in WHOLE:
            yield from paths(value, (*path, key))
        else:
            yield (*path, key)


def test_every_value_is_used_and_every_use_is_declared(chart):
    values = yaml.safe_load((chart / "values.yaml").read_text("utf-8"))
    declared = {".".join(path) for path in paths(values)}
    text = "\n".join(path.read_text("utf-8") for path in sorted((chart / "templates").rglob("*")) if path.is_file())
    used = set(re.findall(r"\.Values\.([A-Za-z.]+)", text))
    # `config` is rendered whole, into the operator's own file; test_operator reads every word of it there
    own_file = {name for name in declared if name.startswith("config.")}
    assert used - {"config"} - own_file == declared - own_file
    assert used & own_file == {"config.watch.namespaces", "config.profiles.trainer.multiNode"}


def test_every_value_is_described_in_the_readme(chart):
    rows = [line for line in (chart / "README.md").read_text("utf-8").splitlines() if line.startswith("| `")]
    values = yaml.safe_load((chart / "values.yaml").read_text("utf-8"))
    assert len(rows) == len(list(paths(values)))
    assert not [row for row in rows if row.rstrip().endswith("|  |")]
