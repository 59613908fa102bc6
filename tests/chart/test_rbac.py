"""Who may do what: the operator exactly what its code uses, users what their role in the cluster says."""

import re

import pytest
import yaml
from finetune_operator.cluster.client import EVENTS, JOBS, RESOURCES
from finetune_operator.cluster.execute import KINDS
from finetune_operator.cluster.lease import LEASES

IN_EVERY_MODE = {
    ("finetune.dev", "finetunejobs"): {"get", "list", "watch", "delete"},
    ("finetune.dev", "finetunejobs/status"): {"patch"},
    ("finetune.dev", "finetunejobs/finalizers"): {"update"},
    ("batch", "jobs"): {"get", "list", "watch", "create", "delete"},
    ("", "pods"): {"get", "list", "watch", "delete"},
    ("", "configmaps"): {"get"},
    ("", "persistentvolumeclaims"): {"get", "create"},
    ("", "services"): {"get", "create"},
    ("", "events"): {"create", "list", "patch"},
    ("kueue.x-k8s.io", "workloads"): {"list"},
    ("jobset.x-k8s.io", "jobsets"): {"get", "list", "watch", "delete"},
}
WITH_JOBSETS = {("jobset.x-k8s.io", "jobsets"): {"get", "list", "watch", "create", "delete"}}
CLUSTER_WIDE = {
    ("apiextensions.k8s.io", "customresourcedefinitions"): {"list", "watch"},
    ("", "namespaces"): {"list", "watch"},
}
OPERATOR = "release-finetune-operator"


def granted(role):
    return {
        (group, resource): set(rule["verbs"])
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }


def words(objects):
    roles = [*objects.all("ClusterRole"), *objects.all("Role")]
    return {word for role in roles for rule in role["rules"] for key in rule for word in rule[key]}


def test_over_the_whole_cluster_the_operator_may_do_exactly_this(default):
    assert granted(default.named("ClusterRole", OPERATOR)) == IN_EVERY_MODE | CLUSTER_WIDE


def test_in_a_namespace_the_operator_may_do_exactly_this(narrow):
    for role in narrow.all("Role"):
        assert granted(role) == IN_EVERY_MODE


@pytest.mark.parametrize("wish", ["auto", "jobset"])
def test_where_attempts_may_be_jobsets_the_operator_may_do_as_much_with_these(rendered, wish):
    objects = rendered({"config": {"profiles": {"trainer": {"multiNode": wish}}}})
    assert granted(objects.named("ClusterRole", OPERATOR)) == IN_EVERY_MODE | WITH_JOBSETS | CLUSTER_WIDE


def test_with_namespaces_there_is_no_cluster_role_at_all_and_a_role_in_each(narrow):
    assert not {"ClusterRole", "ClusterRoleBinding"} & set(narrow.kinds())
    assert sorted((kind, namespace) for kind, namespace, _name in narrow if kind.startswith("Role")) == [
        ("Role", "one"),
        ("Role", "two"),
        ("RoleBinding", "one"),
        ("RoleBinding", "two"),
    ]


ELECTION = {"leaderElection": {"enabled": True}}


def test_with_an_election_the_operator_may_write_its_own_lease_and_no_other(rendered):
    objects = rendered(ELECTION)
    role = objects.only("Role")
    assert role["metadata"]["namespace"] == "system"
    name = yaml.safe_load(objects.only("ConfigMap")["data"]["config.yaml"])["leaderElection"]["name"]
    leases = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"]}
    assert role["rules"] == [
        {**leases, "verbs": ["create"]},
        {**leases, "resourceNames": [name], "verbs": ["get", "update"]},
    ]
    assert LEASES.prefix.split("/")[2] == "coordination.k8s.io"


def test_the_role_for_the_lease_stands_beside_that_for_the_jobs_of_its_namespace(rendered):
    objects = rendered({**ELECTION, "config": {"watch": {"namespaces": ["system"]}}})
    assert len(objects.all("Role")) == len(objects.all("RoleBinding")) == 2


def test_no_role_holds_a_wildcard_or_a_right_that_leads_to_others(default, narrow):
    dangerous = {"*", "secrets", "nodes", "pods/exec", "serviceaccounts", "escalate", "bind", "impersonate"}
    for objects in (default, narrow):
        assert not dangerous & words(objects)


@pytest.mark.parametrize("resource", [JOBS, EVENTS, *RESOURCES.values()], ids=lambda resource: resource.plural)
def test_what_the_client_creates_or_writes_is_granted(resource):
    group = "" if resource.prefix == "/api/v1" else resource.prefix.split("/")[2]
    subresource, verb = ("/status", "patch") if resource is JOBS else ("", "create")
    verb = "get" if resource is RESOURCES["ConfigMap"] else verb  # only looked for
    assert verb in (IN_EVERY_MODE | WITH_JOBSETS)[group, resource.plural + subresource]


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_operator_deletes_is_granted_and_nothing_else(kind):
    resource = KINDS[kind]
    group = "" if resource.prefix == "/api/v1" else resource.prefix.split("/")[2]
    deletes = "delete" in (IN_EVERY_MODE | WITH_JOBSETS)[group, resource.plural]
    assert deletes == (kind in {"FineTuneJob", "Job", "JobSet", "Pod"})


def test_every_rule_of_the_operator_gives_its_reason(chart):
    text = (chart / "templates/_helpers.tpl").read_text("utf-8").split('define "finetune-operator.rules"')[1]
    lines = text.splitlines()
    rules = [number for number, line in enumerate(lines) if line.startswith("- apiGroups")]
    assert len(rules) == len(IN_EVERY_MODE | WITH_JOBSETS)
    # a reason stands above a rule, or above the rule for the same nouns before it
    unexplained = [lines[number + 1] for number in rules if not lines[number - 1].startswith("#")]
    assert [line.strip() for line in unexplained] == ["resources: [finetunejobs/status]"]


@pytest.mark.parametrize("mode", ["default", "narrow"])
def test_every_role_is_bound_to_the_account_that_the_pod_uses(mode, request):
    objects = request.getfixturevalue(mode)
    account = objects.pod()["spec"]["serviceAccountName"]
    bindings = [*objects.all("ClusterRoleBinding"), *objects.all("RoleBinding")]
    assert bindings
    for binding in bindings:
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": account, "namespace": "system"}]
        assert binding["roleRef"]["name"] == OPERATOR


def test_an_account_of_the_administrator_is_used_and_not_made(rendered):
    objects = rendered({"serviceAccount": {"create": False, "name": "ours"}})
    assert "ServiceAccount" not in objects.kinds()
    assert objects.pod()["spec"]["serviceAccountName"] == "ours"
    assert objects.only("ClusterRoleBinding")["subjects"][0]["name"] == "ours"


def test_only_the_operators_pod_gets_the_token_of_its_account(default):
    assert default.only("ServiceAccount")["automountServiceAccountToken"] is False
    assert default.pod()["spec"]["automountServiceAccountToken"] is True


AGGREGATED = {
    "all by default": ({}, {"viewer": {"view"}, "editor": {"edit", "admin"}}),
    "not to view": ({"aggregateToView": False}, {"viewer": set(), "editor": {"edit", "admin"}}),
    "not to edit": ({"aggregateToEdit": False}, {"viewer": {"view"}, "editor": {"admin"}}),
    "not to admin": ({"aggregateToAdmin": False}, {"viewer": {"view"}, "editor": {"edit"}}),
    "no roles for users": ({"aggregate": False}, {}),
}


@pytest.mark.parametrize(("values", "want"), AGGREGATED.values(), ids=AGGREGATED)
def test_roles_for_users_join_those_of_the_cluster(rendered, values, want):
    roles = {role["metadata"]["name"]: role for role in rendered({"rbac": values}).all("ClusterRole")}
    joined = {
        name.removeprefix(f"{OPERATOR}-"): {
            label.rpartition("-")[2] for label in role["metadata"]["labels"] if "/aggregate-to-" in label
        }
        for name, role in roles.items()
        if name != OPERATOR
    }
    assert joined == want


def test_users_may_never_write_a_status(default):
    for name in ("viewer", "editor"):
        role = default.named("ClusterRole", f"{OPERATOR}-{name}")
        assert set(granted(role)) == {("finetune.dev", "finetunejobs")}


def test_the_group_of_the_rules_is_the_one_that_the_code_serves(default):
    (group,) = {
        group
        for rule in default.named("ClusterRole", OPERATOR)["rules"]
        for group in rule["apiGroups"]
        if re.search("finetune", group)
    }
    assert JOBS.prefix.split("/")[2] == group
