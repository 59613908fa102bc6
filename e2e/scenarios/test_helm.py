"""The chart on a real cluster: upgrades do not conflict, and a release for some namespaces needs no cluster role."""

from __future__ import annotations

import json
import subprocess

from cluster_user import OPERATOR_NAMESPACE, eventually, kubectl
from release import CHART, RELEASE, helm, upgrade

READY_SECONDS = 90


def test_the_release_can_be_upgraded_again_and_again(user):
    for _ in range(2):
        upgrade()
    history = json.loads(helm("history", RELEASE, "-o", "json"))
    assert history[-1]["status"] == "deployed"


def test_the_operator_is_refused_nothing_that_it_asks_for():
    log = kubectl("-n", OPERATOR_NAMESPACE, "logs", "deployment/finetune-operator")
    assert '"message": "started"' in log
    assert "forbidden" not in log.lower()


def may(verb: str, what: str) -> str:
    """Ask the API server what the operator's account may do: yes or no."""
    account = f"--as=system:serviceaccount:{OPERATOR_NAMESPACE}:finetune-operator"
    command = ["kubectl", "auth", "can-i", verb, what, "--all-namespaces", account]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    return done.stdout.strip().split(" ")[0]


def test_the_operator_has_no_right_to_secrets_or_to_make_pods():
    assert may("list", "finetunejobs") == "yes"
    for verb, what in (("get", "secrets"), ("create", "pods"), ("create", "pods/exec"), ("patch", "nodes")):
        assert may(verb, what) == "no", (verb, what)


def test_a_release_for_one_namespace_works_without_any_cluster_role(user):
    release = "narrow"
    flags = ["--set", "image.tag=dev,crds.install=false,rbac.aggregate=false", "--set", "metrics.service.enabled=false"]
    flags += ["--set", f"config.watch.namespaces={{{user.namespace}}}"]
    flags += ["--wait", f"--timeout={READY_SECONDS}s"]
    helm("install", release, str(CHART), *flags, namespace=user.namespace)
    try:
        deployment = f"deployment/{release}-finetune-operator"

        def log() -> str:
            text = user.kubectl("logs", deployment)
            return text if '"message": "started"' in text else ""

        text = eventually(log, within=READY_SECONDS, waiting_for="the narrow operator to start")
        assert "forbidden" not in text.lower()
        roles = json.loads(kubectl("get", "clusterroles", "-l", f"app.kubernetes.io/instance={release}", "-o", "json"))
        assert roles["items"] == []
    finally:
        helm("uninstall", release, namespace=user.namespace)
