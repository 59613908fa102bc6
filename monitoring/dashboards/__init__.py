"""The dashboards as code, one module each; `panels.render` makes Grafana's JSON of one."""
