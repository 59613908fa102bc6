"""Tells the dashboards: every metric is declared in `metrics`, measured through `Telemetry`."""
