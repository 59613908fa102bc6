"""What a good dashboard is: the rules of Grafana's own linter and a few more, on the committed JSON."""

import itertools
import json
import re

import promql_parser
import pytest
from asked import DASHBOARDS, Asked, annotations, dashboards, filled, panels, targets
from grafana_foundation_sdk.models.dashboard import Dashboard
from selectors_of import calls, selectors

TIMES, PARTS, SIZES = {"s", "h"}, {"percent", "percentunit"}, {"bytes", "Bps"}
UNITS = TIMES | PARTS | SIZES | {"none", "ops", "reqps", "currencyUSD", "watt", "celsius", "sci"}
TITLE = 40
COUNTER = ("_total", "_bucket", "_sum", "_count")
OVER_TIME = {"rate", "increase", "irate", "max_over_time", "sum_over_time"}

ALL = dashboards()
each = pytest.mark.parametrize("uid", ALL)
each_query = pytest.mark.parametrize("asked", targets() + annotations(), ids=str)
each_panel = pytest.mark.parametrize(
    ("uid", "panel"),
    [(uid, panel) for uid, dashboard in ALL.items() for panel in panels(dashboard)],
    ids=lambda value: value if isinstance(value, str) else value["title"] or "note",
)


def test_there_are_three_with_many_panels():
    assert set(ALL) == {"finetune-operator-health", "finetune-fleet", "finetune-job"}
    assert len(targets()) > 90


@each
def test_it_is_what_the_code_gives(uid):
    from monitoring.dashboards.panels import render
    from monitoring.write import DASHBOARDS as CODE

    (code,) = [dashboard for dashboard in CODE if dashboard.uid == uid]
    assert render(code) == (DASHBOARDS / f"{uid}.json").read_text("utf-8"), "run `make generate`"


@each
def test_grafanas_model_reads_it(uid):
    loaded = Dashboard.from_json(ALL[uid])
    assert loaded.uid == uid
    assert len(loaded.panels) == len(ALL[uid]["panels"])


@each
def test_it_fits_into_a_config_map(uid):
    assert len(json.dumps(ALL[uid])) < 900_000


@each
def test_it_is_not_edited_in_place_and_named_for_what_it_is(uid):
    dashboard = ALL[uid]
    assert not dashboard["editable"]
    assert len(dashboard["title"]) <= TITLE
    assert dashboard["description"]
    assert "finetune" in dashboard["tags"]


@each
def test_panels_have_numbers_of_their_own_and_do_not_overlap(uid):
    rows = [panel for panel in ALL[uid]["panels"] if panel["type"] == "row"]
    everything = [*rows, *panels(ALL[uid])]
    numbers = [panel["id"] for panel in everything]
    assert len(set(numbers)) == len(numbers)
    for one, other in itertools.combinations(everything, 2):
        a, b = one["gridPos"], other["gridPos"]
        apart = (
            a["x"] + a["w"] <= b["x"]
            or b["x"] + b["w"] <= a["x"]
            or a["y"] + a["h"] <= b["y"]
            or b["y"] + b["h"] <= a["y"]
        )
        assert apart, (one["title"], other["title"])
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in everything)


@each_panel
def test_every_panel_says_what_it_shows_and_in_which_unit(uid, panel):
    if panel["type"] == "text":
        assert panel["options"]["content"]
        return
    assert 0 < len(panel["title"]) <= TITLE
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
    assert panel["targets"]


@each_panel
def test_every_panel_asks_the_chosen_data_source(uid, panel):
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


@each
def test_variables_are_templated_and_filled_anew_with_the_time(uid):
    variables = {variable["name"]: variable for variable in ALL[uid]["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    for name, variable in variables.items():
        if name == "datasource":
            continue
        assert variable["datasource"]["uid"] == "${datasource}"
        assert variable["refresh"] == 2
        found = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"])
        promql_parser.parse(filled(found[1], {}))


def names_of(query: str) -> set[str]:
    return {name for name in re.findall(r"\$\{?(\w+)\}?", query) if not name.startswith("__")} - {"datasource"}


@each
def test_every_variable_that_is_used_is_there_and_the_other_way_round(uid):
    there = {variable["name"] for variable in ALL[uid]["templating"]["list"]} - {"datasource"}
    used = set().union(*(names_of(asked.expr) for asked in targets() + annotations() if asked.dashboard == uid))
    queries = "".join(str(variable["query"]) for variable in ALL[uid]["templating"]["list"] if "query" in variable)
    assert used <= there
    assert there <= used | names_of(queries)


@each
def test_dashboards_lead_to_each_other(uid):
    linked = {link["url"].removeprefix("/d/") for link in ALL[uid]["links"]}
    assert linked == set(ALL) - {uid}
    assert all(link["keepTime"] and link["includeVars"] for link in ALL[uid]["links"])


@each_query
def test_a_query_is_promql(asked):
    promql_parser.parse(filled(asked.expr, {"namespace": "a", "finetunejob": "b", "attempt": "1"}))


@each_query
def test_rates_follow_the_resolution_of_the_panel(asked):
    if asked.kind == "annotation":
        return
    found = re.findall(r"\brate\([^\[\]]*\[([^\]]+)\]", asked.expr)
    assert set(found) <= {"$__rate_interval"}


@each_query
def test_counters_are_looked_at_over_time_only(asked):
    parsed = promql_parser.parse(filled(asked.expr, {"namespace": "a", "finetunejob": "b", "attempt": "1"}))
    inside = {selector.name for call in calls(parsed) if call.func.name in OVER_TIME for selector in selectors(call)}
    for selector in selectors(parsed):
        if selector.name.endswith(COUNTER) and not selector.name.startswith("kueue_pending"):
            assert selector.name in inside, selector.name


@each_query
def test_queries_about_the_operator_are_for_the_chosen_replicas(asked):
    if asked.dashboard != "finetune-operator-health" or asked.kind == "annotation":
        return
    parsed = promql_parser.parse(filled(asked.expr, {}))
    for selector in selectors(parsed):
        assert {"job", "instance"} <= {matcher.name for matcher in selector.matchers.matchers}, selector.name


@each_query
def test_queries_about_jobs_are_for_the_chosen_namespace(asked: Asked):
    if asked.dashboard == "finetune-operator-health":
        return
    parsed = promql_parser.parse(filled(asked.expr, {"namespace": "a", "finetunejob": "b", "attempt": "1"}))
    found = list(selectors(parsed))
    chosen = [one for one in found if "namespace" in {matcher.name for matcher in one.matchers.matchers}]
    of_all = (
        "finetune_job_startup",
        "finetune_job_duration",
        "kueue_",
        "process_start_time",
        "finetune_operator_build_info",
    )
    assert chosen or all(selector.name.startswith(of_all) for selector in found)


def test_tables_of_jobs_lead_to_each_job():
    tables = [panel for panel in panels(ALL["finetune-fleet"]) if panel["type"] == "table"]
    assert len(tables) >= 6
    for panel in tables:
        (link,) = panel["fieldConfig"]["defaults"]["links"]
        assert link["url"].startswith("/d/finetune-job?")
        fields = dict(re.findall(r"var-(\w+)=\$\{__data\.fields\.(\w+)\}", link["url"]))
        assert fields == {"namespace": "namespace", "finetunejob": "finetunejob"}
        assert set(fields) <= {variable["name"] for variable in ALL["finetune-job"]["templating"]["list"]}


@each
def test_what_happened_is_marked(uid):
    marks = ALL[uid]["annotations"]["list"]
    assert len(marks) >= 2
    assert all(mark["titleFormat"] and mark["datasource"]["uid"] == "${datasource}" for mark in marks)
