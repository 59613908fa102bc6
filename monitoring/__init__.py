"""Dashboards as code, alert and recording rules; `write.write` makes the copies that the chart ships."""
