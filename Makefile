# Everything a person types. Each target does its own set-up; long steps say how long they take and where their log is.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help

CLUSTER := python3 e2e/cluster
IN_CLUSTER := environment=$$($(CLUSTER) env); eval "$$environment";
PYTEST := .venv/bin/pytest
# The decisions and the planner are covered branch by branch, or the tests fail.
COVERED := --cov finetune_operator.reconcile --cov finetune_operator.planning --cov-branch --cov-fail-under 100 --cov-report term:skip-covered

.PHONY: help demo up images install down test test-unit test-model test-monitoring test-api test-trainer test-chart test-e2e test-long scenarios bench-operator check generate venv venv-trainer status

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | expand -t 16

demo: install venv ## from nothing to a fine-tuned model on a real cluster
	@$(IN_CLUSTER) python3 e2e/demo.py

up: ## a kind cluster (first time 8 minutes where Kubernetes has to be built, else 1)
	@$(CLUSTER) up

images: up venv-trainer ## build the three images and load them into the cluster
	@$(CLUSTER) images

install: images ## install the operator with Helm
	@$(IN_CLUSTER) python3 e2e/install.py

down: ## remove the cluster and stop everything that was started
	@$(CLUSTER) down

status: ## what is up
	@$(CLUSTER) status

test: test-unit test-model test-monitoring test-api test-trainer test-chart test-e2e ## all tests but the long stories, with set-up where it is needed

test-unit: venv ## tests without cluster, Docker, Go or torch: one to three minutes
	@$(PYTEST) -q -n 2 --dist worksteal tests --ignore tests/trainer/torch --ignore tests/trainer/sources --ignore tests/chart --ignore tests/integration --ignore tests/model --ignore tests/monitoring $(COVERED)

test-model: venv ## the operator in 2,000 random histories of a modelled cluster, and bugs that they have to find (about 3 minutes)
	@$(PYTEST) -q tests/model/test_histories.py
	@$(PYTEST) -q -n 2 --dist worksteal tests/model --ignore tests/model/test_histories.py

test-monitoring: venv ## every alert and every dashboard query on a recording, in a real Prometheus (30 s)
	@$(CLUSTER) prometheus
	@$(PYTEST) -q tests/monitoring

test-api: venv ## tests on a real API server: rules, writes for each job, takeover (3 minutes; first time 6 to 10 more to build it)
	@$(CLUSTER) control-plane-bin > /dev/null
	@$(PYTEST) -q -n 3 --dist loadfile tests/integration

test-trainer: venv-trainer ## tests of the trainer that train, one of every scenario and technique, and memory counted on fake tensors (10 to 14 minutes)
	@.ci/venv s3-server
	@$(CLUSTER) registry-bin > /dev/null
	@OMP_NUM_THREADS=1 .venv-trainer/bin/pytest -q -n 3 --dist worksteal --durations 25 tests/trainer tests/fake

test-chart: up venv ## tests of the rendered Helm chart
	@$(IN_CLUSTER) $(PYTEST) -q tests/chart

test-e2e: install venv ## user stories on the cluster, but the long ones
	@$(CLUSTER) prometheus
	@$(IN_CLUSTER) $(PYTEST) -q -rA --durations 20 -m "not long" e2e/scenarios

test-long: install venv ## the long stories, also with the real Kueue and JobSet (together with test-e2e 33 minutes on two slow cores; first time 11 more to build those)
	@$(IN_CLUSTER) $(PYTEST) -q -rA --durations 20 -m long e2e/scenarios

scenarios: venv-trainer ## train every cell of the table of scenarios, and write docs/scenarios.md (an hour; ONLY=chatbot/lora runs one)
	@PYTHONPATH=operator:trainer .venv-trainer/bin/python bench/scenarios $(ONLY)

bench-operator: venv ## how fast the operator is, on an API server alone (about 10 minutes, on a machine with nothing else to do)
	@.venv/bin/python e2e/performance

check: venv ## linters, types, import rules, generated files
	@.ci/check

generate: venv ## write all generated files
	@.ci/generate

venv:
	@.ci/venv dev

venv-trainer:
	@.ci/venv trainer
