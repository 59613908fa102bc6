"""Every panel and every alert is asked of a real Prometheus that saw jobs run: the rehearsal, and what was recorded.

The rehearsal has GPUs; the recording is of a real cluster without. Panels that no CPU can fill are named.
"""

import json
import math
import pathlib
import re

import pytest
from asked import RULES, annotations, filled, rules, targets
from rehearsal import SECONDS, START, STEP, TEAM
from replay import Replay
from samples import read

HERE = pathlib.Path(__file__).resolve().parent
RECORDED, FACTS = HERE / "recording.om.gz", HERE / "recording.json"

JOBS = ("good", "hungry", "paused", "moved", "frozen", "diverged", "broken")
each_target = pytest.mark.parametrize("asked", targets(), ids=[f"{a} {n}" for n, a in enumerate(targets())])
each_mark = pytest.mark.parametrize("asked", annotations(), ids=str)


def answers(prometheus, asked):
    """What a query gives for each job it may be asked for."""
    jobs = JOBS if asked.dashboard == "finetune-job" else ("any",)
    for job in jobs:
        values = {"namespace": TEAM, "finetunejob": job}
        for series in prometheus.over(filled(asked.expr, values), START, START + SECONDS, STEP):
            yield job, series


@each_target
def test_every_panel_has_an_answer(rehearsal, asked):
    found = list(answers(rehearsal, asked))
    assert found, asked.expr
    numbers = [float(value) for _job, series in found for _when, value in series["values"]]
    assert all(math.isfinite(number) for number in numbers), asked.expr


@each_target
def test_every_answer_has_the_labels_that_its_legend_names(rehearsal, asked):
    wanted = set(re.findall(r"\{\{(\w+)\}\}", asked.legend))
    for _job, series in answers(rehearsal, asked):
        assert wanted <= set(series["metric"]), series["metric"]


@each_target
def test_two_answers_of_a_job_do_not_go_by_the_same_name(rehearsal, asked):
    if not asked.legend or asked.kind in {"table", "heatmap"}:
        return
    seen = {}
    for job, series in answers(rehearsal, asked):
        labels = series["metric"]
        name = job, *(labels.get(label, "") for label in re.findall(r"\{\{(\w+)\}\}", asked.legend))
        assert seen.setdefault(name, labels) == labels, name


@each_mark
def test_what_happened_is_marked(rehearsal, asked):
    assert bool(list(answers(rehearsal, asked)))


def test_a_start_is_seen_once_and_not_for_long(rehearsal):
    (asked,) = [asked for asked in targets() if asked.panel == "Starts of the process"]
    (series,) = rehearsal.over(filled(asked.expr, {}), START, START + SECONDS, 15)
    starts = [float(value) for _when, value in series["values"]]
    assert starts[0] == 1
    assert 1 <= sum(starts) <= 3


def lit(prometheus, title, job="any", uid="finetune-job"):
    """The largest number that a panel shows for a job."""
    found = [asked for asked in targets() if (asked.dashboard, asked.panel) == (uid, title)]
    values = {"namespace": TEAM, "finetunejob": job}
    return max(
        (
            float(value)
            for asked in found
            for series in prometheus.over(filled(asked.expr, values), START, START + SECONDS, STEP)
            for _when, value in series["values"]
            if math.isfinite(float(value))
        ),
        default=0.0,
    )


FAULTS = {
    "a GPU that fails": ("XID errors", "hungry", 1, "good"),
    "a second attempt": ("Attempts", "hungry", 1, None),
    "a loss that is no number": ("Steps without a finite loss", "diverged", 0, "good"),
    "a job that makes no step": ("Time since the last step", "frozen", 300, None),
}


@pytest.mark.parametrize(("panel", "struck", "least", "well"), FAULTS.values(), ids=FAULTS)
def test_a_fault_lights_its_panel(rehearsal, panel, struck, least, well):  # noqa: PLR0917
    assert lit(rehearsal, panel, struck) > least
    if well:
        assert lit(rehearsal, panel, well) == 0


def test_the_cost_of_a_job_is_that_of_all_its_attempts_whatever_time_is_looked_at(rehearsal):
    (asked,) = [asked for asked in targets() if asked.panel == "Cost so far"]
    (series,) = rehearsal.at(filled(asked.expr, {"namespace": TEAM, "finetunejob": "hungry"}), START + SECONDS)
    held = (140 - 45) + (700 - 160)
    assert float(series["value"][1]) == pytest.approx(held / 3600 * 0.8048)


@pytest.mark.parametrize("panel", ["Utilization", "Memory"])
def test_the_devices_of_all_pods_of_a_job_are_shown(rehearsal, panel):
    for asked in [asked for asked in targets() if (asked.dashboard, asked.panel) == ("finetune-job", panel)]:
        expr = filled(asked.expr, {"namespace": TEAM, "finetunejob": "good"})
        pods = {series["metric"]["pod"] for series in rehearsal.over(expr, START, START + SECONDS, STEP)}
        assert pods == {"good-1-x", "good-1-y"}


FLEET_FAULTS = {
    "finetune-fleet": ("Failures by reason", "New attempts by reason", "Device time wasted", "Running with idle GPUs"),
    "finetune-operator-health": ("Passes that fail", "Answers that are no success", "Errors nobody expected"),
}


@pytest.mark.parametrize(("uid", "title"), [(uid, title) for uid, titles in FLEET_FAULTS.items() for title in titles])
def test_a_fault_of_the_fleet_lights_its_panel(rehearsal, uid, title):
    assert lit(rehearsal, title, uid=uid) > 0


LIT = {"ReconcileErrorBudgetBurn", "APIThrottled", "JobStuck", "JobLossNaN", "JobGPUIdle", "CheckpointStale", "JobXID"}
"""Alerts whose expression the rehearsal meets; that they wait long enough is `test_alerts`' matter."""


@pytest.mark.parametrize("rule", rules("alerts"), ids=lambda rule: f"{rule['alert']}-{rule['labels']['severity']}")
def test_alerts_are_met_by_the_faults_and_by_nothing_else(rehearsal, rule):
    met = rehearsal.over(rule["expr"], START, START + SECONDS, STEP)
    assert bool(met) == (rule["alert"].removeprefix("FineTune") in LIT)


def test_a_threshold_can_be_lowered_as_the_chart_does(rehearsal):
    (rule,) = [rule for rule in rules("alerts") if rule["alert"] == "FineTuneJobPendingTooLong"]
    lowered = re.sub(r"[0-9.]+$", "300", rule["expr"].strip())
    waiting = {series["metric"]["finetunejob"] for series in rehearsal.at(lowered, START + SECONDS)}
    assert waiting == {"early"}


@pytest.mark.parametrize("rule", rules("recording"), ids=lambda rule: rule["record"])
def test_every_recording_rule_gives_something(rehearsal, rule):
    assert rehearsal.over(rule["record"], START, START + SECONDS, STEP)


# What a real cluster gave, with the same questions.

NO_GPU = {"Model FLOPs utilization"}
"""The catalog knows no peak of a CPU."""

NOTHING_WRONG = {
    "Running without a step",
    "Running with idle GPUs",
    "Errors nobody expected",
}


@pytest.fixture(scope="module")
def recorded(promtool):
    """What was recorded on a cluster, beside what neighbours measured; see e2e/recording."""
    from neighbours import add_to_text

    facts = json.loads(FACTS.read_text("utf-8"))
    text = add_to_text(read(RECORDED), broken=f"{facts['jobs']['hungry']}-", idle=f"{facts['jobs']['chat']}-")
    with Replay(text, (RULES / "recording.yaml",), (facts["start"], facts["end"])) as prometheus:
        yield prometheus, facts


def told(recorded, asked, job=None):
    prometheus, facts = recorded
    jobs = [job] if job else list(facts["jobs"].values()) if asked.dashboard == "finetune-job" else [".*"]
    for name in jobs:
        values = {"namespace": facts["namespace"], "finetunejob": name, "__range": "15m"}
        yield from prometheus.over(filled(asked.expr, values), facts["start"], facts["end"])


@each_target
def test_every_panel_has_an_answer_on_a_real_cluster(recorded, asked):
    found = list(told(recorded, asked))
    if asked.panel not in NO_GPU | NOTHING_WRONG and "gpu_memory_allocated" not in asked.expr:
        assert found, asked.expr
    assert all(math.isfinite(float(value)) for series in found for _when, value in series["values"]), asked.expr


UNMARKED = {
    "finetune-fleet: Preempted and lost": "no node was lost",
    "finetune-job: Preempted and lost": "no node was lost",
}
"""Marks that nothing in the recording gives a reason for."""


@each_mark
def test_what_happened_on_a_real_cluster_is_marked(recorded, asked):
    assert bool(list(told(recorded, asked))) == (str(asked) not in UNMARKED)


def test_real_jobs_did_what_their_story_says(recorded):
    prometheus, facts = recorded
    end, space, jobs = facts["end"], f'namespace="{facts["namespace"]}"', facts["jobs"]

    def value(expr):
        found = prometheus.over(expr, facts["start"], end)
        return max((float(v) for series in found for _w, v in series["values"]), default=None)

    assert value(f'finetune_job_attempt{{{space}, finetunejob="{jobs["hungry"]}"}}') == 2
    assert value(f'finetune_job_attempt{{{space}, finetunejob="{jobs["paused"]}"}}') == 2
    assert value(f'finetune_job_attempt{{{space}, finetunejob="{jobs["good"]}"}}') == 1
    assert value(f'finetune_job_failures_total{{{space}, reason="DataInvalid"}}') == 1
    assert value(f'finetune_job_restarts_total{{{space}, reason="HostOutOfMemory"}}') == 1
    assert value(f'finetune_job_restarts_total{{{space}, reason="Suspended"}}') == 1
    assert value(f'finetune:pending_seconds:job{{{space}, finetunejob="{jobs["waiting"]}"}}') > 60
    assert value(f'sum(finetune_gpu_seconds_total{{{space}, outcome="wasted"}})') > 0


def seconds(text):
    return int(text[:-1]) * {"s": 1, "m": 60, "h": 3600}[text[-1]]


def longest(values):
    """Seconds for which a series was there without a gap."""
    began = before = best = 0
    for when, _value in values:
        began = when if when - before > 6 else began
        before, best = when, max(best, when - began)
    return best


def test_real_jobs_met_no_alert_but_those_of_their_faults(recorded):
    prometheus, facts = recorded
    space = facts["namespace"]
    for rule in rules("alerts"):
        met = prometheus.over(rule["expr"], facts["start"] + 60, facts["end"])
        ours = [series for series in met if series["metric"].get("namespace", space) == space]
        firing = [series for series in ours if longest(series["values"]) >= seconds(rule["for"])]
        assert not firing or rule["alert"] == "FineTuneJobXID", (rule["alert"], firing[0]["metric"])
