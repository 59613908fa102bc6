"""What a dashboard is made of, in few words, and how it becomes Grafana's JSON; `render` is the entry.

Not here: the dashboards themselves.
"""

from __future__ import annotations

import enum
import typing
from collections.abc import Iterator
from dataclasses import dataclass

from grafana_foundation_sdk.builders import bargauge, common, heatmap, prometheus, stat, table, text, timeseries
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as kinds
from grafana_foundation_sdk.models import dashboard as model

COLUMNS = 24
DATASOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
REFS = "ABCDEFGH"
RED, ORANGE, GREEN, BLUE, GREY = "red", "orange", "green", "blue", "text"
OUTCOMES = (("succeeded", GREEN), ("failed", RED), ("cancelled", GREY), ("useful", GREEN), ("wasted", RED))


class View(enum.Enum):
    """How a panel shows its queries."""

    LINES = "timeseries"
    STACK = "stack"
    BARS = "bars"
    STAT = "stat"
    WORDS = "words"
    TABLE = "table"
    RANKING = "bargauge"
    HEAT = "heatmap"


@dataclass(frozen=True, slots=True)
class Query:
    """One expression and what its series are called; `name` heads its column in a table."""

    expr: str
    legend: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel. From each of `steps` on a value has another colour; `hide` are labels that a table leaves out."""

    title: str
    about: str
    unit: str
    queries: tuple[Query, ...]
    view: View = View.LINES
    width: int = 8
    height: int = 7
    steps: tuple[tuple[float, str], ...] = ()
    first_colour: str = GREEN
    logarithmic: bool = False
    least: float | None = None
    most: float | None = None
    decimals: int | None = None
    hide: tuple[str, ...] = ()
    colours: tuple[tuple[str, str], ...] = ()
    """Series that have a colour of their own, by their legend."""


@dataclass(frozen=True, slots=True)
class Row:
    """A heading and the panels below it; `closed` where it is for those who look for it."""

    title: str
    panels: tuple[Panel, ...]
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Variable:
    """A choice of the reader's, filled from the values of a label."""

    name: str
    label: str
    query: str
    many: bool = True


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment that is marked in every panel."""

    name: str
    expr: str
    title: str
    colour: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """One dashboard; `links` are titles and uids of the others."""

    uid: str
    title: str
    about: str
    variables: tuple[Variable, ...]
    marks: tuple[Mark, ...]
    rows: tuple[Row, ...]
    links: tuple[tuple[str, str], ...]
    since: str = "now-6h"
    note: str = ""


def render(dashboard: Dashboard) -> str:
    """Return the JSON of a dashboard, the same each time."""
    built = (
        build.Dashboard(dashboard.title)
        .uid(dashboard.uid)
        .description(dashboard.about)
        .tags(["finetune"])
        .readonly()
        .refresh("30s")
        .time(dashboard.since, "now")
        .timezone("browser")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .with_variable(build.DatasourceVariable("datasource").label("Data source").type("prometheus"))
    )
    for variable in dashboard.variables:
        built.with_variable(_variable(variable))
    for mark in dashboard.marks:
        built.annotation(_annotation(mark))
    for title, uid in dashboard.links:
        built.link(_link(title, uid))
    for placed in _placed(dashboard):
        built.with_row(placed) if isinstance(placed, build.Row) else built.with_panel(placed)
    encoded = JSONEncoder(sort_keys=True, indent=2).encode(built.build())
    return _with_titles_of_marks(encoded, dashboard.marks) + "\n"


def _with_titles_of_marks(encoded: str, marks: tuple[Mark, ...]) -> str:
    """Add the titles of annotations, which are the data source's own field and so not in the SDK's model."""
    import json

    whole = json.loads(encoded)
    for mark, annotation in zip(marks, whole["annotations"]["list"], strict=True):
        annotation |= {"titleFormat": mark.title, "step": "30s"}
    return json.dumps(whole, sort_keys=True, indent=2)


def _variable(variable: Variable) -> build.QueryVariable:
    built = (
        build.QueryVariable(variable.name)
        .label(variable.label)
        .query(variable.query)
        .datasource(DATASOURCE)
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
    )
    return built.multi(True).include_all(True).all_value(".*") if variable.many else built


def _annotation(mark: Mark) -> build.AnnotationQuery:
    return (
        build.AnnotationQuery()
        .name(mark.name)
        .expr(mark.expr)
        .icon_color(mark.colour)
        .enable(True)
        .datasource(DATASOURCE)
    )


def _link(title: str, uid: str) -> build.DashboardLink:
    return (
        build.DashboardLink(title)
        .type(model.DashboardLinkType.LINK)
        .url(f"/d/{uid}")
        .keep_time(True)
        .include_vars(True)
        .tooltip(title)
    )


def _link_to_job() -> build.DashboardLink:
    """Return the way from a line of a table to its job, at the same time and from the same data source."""
    chosen = "var-datasource=${datasource}&var-namespace=${__data.fields.namespace}"
    job = "var-finetunejob=${__data.fields.finetunejob}&${__url_time_range}"
    return build.DashboardLink("Job detail").url(f"/d/finetune-job?{chosen}&{job}")


def _placed(dashboard: Dashboard) -> Iterator[typing.Any]:
    """Yield rows and panels with their places, left to right and top to bottom."""
    number, top = 1, 0
    if dashboard.note:
        note = text.Panel().title("").content(dashboard.note).mode("markdown").transparent(True).id(number)
        yield note.grid_pos(model.GridPos(h=2, w=COLUMNS, x=0, y=0)).description(dashboard.about).datasource(DATASOURCE)
        number, top = number + 1, 2
    for row in dashboard.rows:
        heading = build.Row(row.title).id(number).collapsed(row.closed)
        heading.grid_pos(model.GridPos(h=1, w=COLUMNS, x=0, y=top))
        number, top = number + 1, top + 1
        left, line, inside = 0, 0, []
        for panel in row.panels:
            if left + panel.width > COLUMNS:
                left, top, line = 0, top + line, 0
            place = model.GridPos(h=panel.height, w=panel.width, x=left, y=top)
            inside.append(_panel(panel).id(number).grid_pos(place))
            number, left, line = number + 1, left + panel.width, max(line, panel.height)
        top += line
        if row.closed:
            for one in inside:
                heading.with_panel(one)
        yield heading
        if not row.closed:
            yield from inside


def _panel(panel: Panel) -> typing.Any:
    built = _MAKERS[panel.view](panel).title(panel.title).description(panel.about).unit(panel.unit)
    built.datasource(DATASOURCE)
    for ref, query in zip(REFS, panel.queries, strict=False):
        built.with_target(_target(panel, query, ref))
    if panel.steps:
        steps = [model.Threshold(value=None, color=panel.first_colour)]
        steps += [model.Threshold(value=value, color=colour) for value, colour in panel.steps]
        built.thresholds(build.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps))
    for name, colour in panel.colours:
        fixed = {"mode": "fixed", "fixedColor": colour}
        built.override_by_name(name, [model.DynamicConfigValue(id_val="color", value=fixed)])
    for setting, value in (("min", panel.least), ("max", panel.most), ("decimals", panel.decimals)):
        if value is not None:
            getattr(built, setting)(value)
    return built


def _target(panel: Panel, query: Query, ref: str) -> prometheus.Dataquery:
    built = prometheus.Dataquery().expr(query.expr).legend_format(query.legend or "__auto").ref_id(ref)
    if panel.view is View.TABLE:
        return built.format(prometheus_format("table")).instant()
    if panel.view in {View.RANKING, View.WORDS}:
        return built.instant()
    return built.format(prometheus_format("heatmap")).range() if panel.view is View.HEAT else built.range()


def prometheus_format(name: str) -> typing.Any:
    """Return the SDK's word for a format."""
    from grafana_foundation_sdk.models.prometheus import PromQueryFormat

    return PromQueryFormat(name)


def _lines(panel: Panel) -> timeseries.Panel:
    legend = common.VizLegendOptions().show_legend(len(panel.queries) > 1 or bool(panel.queries[0].legend))
    legend.display_mode(kinds.LegendDisplayMode.LIST).placement(kinds.LegendPlacement.BOTTOM)
    built = timeseries.Panel().line_width(1).fill_opacity(8).legend(legend)
    built.tooltip(common.VizTooltipOptions().mode(kinds.TooltipDisplayMode.MULTI))
    if panel.logarithmic:
        built.scale_distribution(common.ScaleDistributionConfig().type(kinds.ScaleDistribution.LOG).log(10))
    return built


def _stack(panel: Panel) -> timeseries.Panel:
    stacked = common.StackingConfig().mode(kinds.StackingMode.NORMAL)
    return _lines(panel).stacking(stacked).fill_opacity(40)


def _bars(panel: Panel) -> timeseries.Panel:
    return _stack(panel).draw_style(kinds.GraphDrawStyle.BARS).fill_opacity(70)


def _stat(_panel: Panel) -> stat.Panel:
    last = common.ReduceDataOptions().calcs(["lastNotNull"])
    return (
        stat.Panel()
        .reduce_options(last)
        .graph_mode(kinds.BigValueGraphMode.AREA)
        .color_mode(kinds.BigValueColorMode.VALUE)
    )


def _words(panel: Panel) -> stat.Panel:
    built = _stat(panel).text_mode(kinds.BigValueTextMode.NAME)
    return built.graph_mode(kinds.BigValueGraphMode.NONE).color_mode(kinds.BigValueColorMode.NONE)


def _ranking(_panel: Panel) -> bargauge.Panel:
    last = common.ReduceDataOptions().calcs(["lastNotNull"])
    built = bargauge.Panel().reduce_options(last).orientation(kinds.VizOrientation.HORIZONTAL)
    return built.display_mode(kinds.BarGaugeDisplayMode.BASIC)


def _heat(_panel: Panel) -> heatmap.Panel:
    return heatmap.Panel().calculate(False).cell_gap(1)


def _table(panel: Panel) -> table.Panel:
    named = {f"Value #{ref}": query.name for ref, query in zip(REFS, panel.queries, strict=False)}
    named |= {"Value": panel.queries[0].name}
    hidden = dict.fromkeys(
        ("Time", "__name__", "job", "instance", "endpoint", "service", "container", *panel.hide), True
    )
    built = (
        table.Panel().show_header(True).data_links([_link_to_job()] if "finetunejob" in panel.queries[0].expr else [])
    )
    built.with_transformation(model.DataTransformerConfig(id_val="merge", options={}))
    organized = {"excludeByName": hidden, "renameByName": named, "indexByName": {"namespace": 0, "finetunejob": 1}}
    return built.with_transformation(model.DataTransformerConfig(id_val="organize", options=organized))


_MAKERS: dict[View, typing.Callable[[Panel], typing.Any]] = {
    View.LINES: _lines,
    View.STACK: _stack,
    View.BARS: _bars,
    View.STAT: _stat,
    View.WORDS: _words,
    View.TABLE: _table,
    View.RANKING: _ranking,
    View.HEAT: _heat,
}
