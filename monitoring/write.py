"""Writes the copies that the chart ships: dashboards as Grafana's JSON, and the rules as they are."""

from __future__ import annotations

import pathlib

from monitoring.dashboards import fleet, job_detail, operator_health
from monitoring.dashboards.panels import render

HERE = pathlib.Path(__file__).resolve().parent
DASHBOARDS = (operator_health.DASHBOARD, fleet.DASHBOARD, job_detail.DASHBOARD)
RULES = ("recording.yaml", "alerts.yaml")


def write(chart: pathlib.Path) -> None:
    """Write all files into a chart's folder."""
    for folder in ("dashboards", "rules"):
        (chart / folder).mkdir(exist_ok=True)
    for dashboard in DASHBOARDS:
        (chart / "dashboards" / f"{dashboard.uid}.json").write_text(render(dashboard), "utf-8")
    for name in RULES:
        (chart / "rules" / name).write_text((HERE / "rules" / name).read_text("utf-8"), "utf-8")
