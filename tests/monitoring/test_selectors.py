"""What dashboards and rules ask for is what is measured: names, labels and the values of closed labels."""

import re

import promql_parser
import pytest
from asked import annotations, dashboards, filled, rules, targets
from finetune_operator.telemetry.metrics import ALL
from finetune_trainer.contract import Kind
from selectors_of import selectors, walk

OURS = {metric.name: metric for metric in ALL}
RECORDED = {rule["record"]: rule["expr"] for rule in rules("recording")}
OTHERS = re.compile(r"DCGM_FI_\w+|container_\w+|kube_\w+|kueue_\w+|up|process_\w+")
TARGET = {"job", "instance", "namespace", "pod", "container", "endpoint", "service"}
"""Labels that Prometheus adds to everything it scrapes."""

OF_NEIGHBOURS = {"gpu", "exported_pod", "exported_namespace", "cluster_queue", "status", "interface"}
FILL = {"namespace": "a", "finetunejob": "b", "attempt": "1"}
QUERIES = {f"{asked} {number}": asked.expr for number, asked in enumerate(targets() + annotations())}
QUERIES |= {f"alert {rule['alert']} {rule['labels']['severity']}": rule["expr"] for rule in rules("alerts")}
QUERIES |= {f"record {name}": expr for name, expr in RECORDED.items()}
VARIABLES = {
    f"{uid}: variable {variable['name']}": re.sub(
        r"label_values\((.*), (\w+)\)", r"count by (\2) (\1)", variable["query"]
    )
    for uid, dashboard in dashboards().items()
    for variable in dashboard["templating"]["list"]
    if variable["type"] == "query"
}
QUERIES |= VARIABLES
each = pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)


def family(name: str):
    """The metric that a series belongs to, and whether it is the bucket of a histogram."""
    for ending in ("", "_bucket", "_sum", "_count"):
        base = name.removesuffix(ending) if ending else name
        metric = OURS.get(base)
        if metric is not None and name.endswith(ending) and (not ending or metric.kind is Kind.HISTOGRAM):
            return metric, ending == "_bucket"
    return None, False


def labels_of(name: str) -> set[str] | None:
    """Labels that a series has; None where it is not ours to say."""
    metric, bucket = family(name)
    if metric is not None:
        return set(metric.label_names) | ({"le"} if bucket else set())
    if name in RECORDED:
        return (
            set(re.findall(r"by \(([^)]*)\)", RECORDED[name])[0].replace(" ", "").split(","))
            if "by (" in RECORDED[name]
            else set()
        )
    return None


def parsed(query):
    return promql_parser.parse(filled(query, FILL))


@each
def test_every_series_that_is_asked_for_exists(query):
    for selector in selectors(parsed(query)):
        known = family(selector.name)[0] is not None or selector.name in RECORDED or OTHERS.fullmatch(selector.name)
        assert known, selector.name


@each
def test_every_label_that_is_chosen_by_exists(query):
    for selector in selectors(parsed(query)):
        labels = labels_of(selector.name)
        for matcher in selector.matchers.matchers:
            if labels is not None:
                assert matcher.name in labels | TARGET, f"{selector.name}: {matcher.name}"


@each
def test_every_value_that_is_chosen_can_occur(query):
    for selector in selectors(parsed(query)):
        metric, _bucket = family(selector.name)
        if metric is None:
            continue
        closed = {label.name: label.values for label in metric.labels if label.values}
        for matcher in selector.matchers.matchers:
            if matcher.name not in closed:
                continue
            exact = str(matcher.op).endswith(("Equal", "NotEqual"))
            for wanted in [matcher.value] if exact else matcher.value.split("|"):
                assert any(re.fullmatch(wanted, value) for value in closed[matcher.name]), f"{selector.name}: {wanted}"


@each
def test_what_is_summed_by_is_a_label_of_what_is_summed(query):
    for node in walk(parsed(query)):
        grouping = isinstance(node, promql_parser.AggregateExpr) and node.modifier
        if not grouping or not str(node.modifier.type).endswith("By"):
            continue
        available = set()
        for selector in selectors(node.expr):
            labels = labels_of(selector.name)
            available |= TARGET | (labels if labels is not None else OF_NEIGHBOURS)
        assert set(node.modifier.labels) <= available | {"le"}, node.modifier.labels


@pytest.mark.parametrize("asked", targets(), ids=str)
def test_a_legend_names_labels_that_the_answer_has(asked):
    named = set(re.findall(r"\{\{(\w+)\}\}", asked.legend))
    kept = set()
    for node in walk(parsed(asked.expr)):
        if isinstance(node, promql_parser.AggregateExpr) and node.modifier:
            kept |= set(node.modifier.labels)
        if isinstance(node, promql_parser.VectorSelector):
            kept |= TARGET
    assert named <= kept, f"{asked}: {named - kept}"


def test_every_metric_that_is_measured_is_looked_at_or_explained():
    text = " ".join(QUERIES.values())
    unseen = {name for name in OURS if name not in text}
    not_shown = {
        "finetune_job_admitted_timestamp_seconds",  # for those who join it with Kueue
    }
    assert unseen <= not_shown
