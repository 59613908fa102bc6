"""What the dashboards and the alerts ask: every expression with its place, and its variables filled."""

from __future__ import annotations

import json
import pathlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
DASHBOARDS = ROOT / "charts/finetune-operator/dashboards"
RULES = ROOT / "charts/finetune-operator/rules"


@dataclass(frozen=True, slots=True)
class Asked:
    """One expression: of which panel of which dashboard (by uid), its legend, whether it is for one moment."""

    dashboard: str
    panel: str
    kind: str
    expr: str
    legend: str
    instant: bool

    def __str__(self) -> str:
        """Name it for people."""
        return f"{self.dashboard}: {self.panel}"


def dashboards() -> dict[str, dict]:
    """Return the committed dashboards by uid."""
    return {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(DASHBOARDS.glob("*.json"))}


def panels(dashboard: Mapping) -> Iterator[dict]:
    """Yield all panels, those in closed rows too."""
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            yield from panel.get("panels") or ()
        else:
            yield panel


def targets() -> list[Asked]:
    """Return every query of every panel."""
    return [
        Asked(
            uid,
            panel["title"],
            panel["type"],
            target["expr"],
            target.get("legendFormat", ""),
            target.get("instant", False),
        )
        for uid, dashboard in dashboards().items()
        for panel in panels(dashboard)
        for target in panel.get("targets") or ()
    ]


def annotations() -> list[Asked]:
    """Return every query of the marks."""
    return [
        Asked(uid, mark["name"], "annotation", mark["expr"], mark["titleFormat"], False)
        for uid, dashboard in dashboards().items()
        for mark in dashboard["annotations"]["list"]
    ]


def rules(name: str) -> list[dict]:
    """Return the rules of a file of the chart."""
    groups = yaml.safe_load((RULES / f"{name}.yaml").read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def filled(expr: str, values: Mapping[str, str]) -> str:
    """Return an expression with its variables replaced; those that nobody names match everything."""
    known = {"__rate_interval": "1m", "__range": "30m", "__interval": "15s", "__interval_ms": "15000"} | dict(values)
    return re.sub(r"\$\{?(\w+)\}?", lambda found: known.get(found[1], ".*"), expr)
