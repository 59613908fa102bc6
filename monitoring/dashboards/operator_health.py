"""Operator health, for those who run the operator: does it serve, is it fast, what does it cost the API server."""

from __future__ import annotations

from monitoring.dashboards.panels import (
    BLUE,
    GREEN,
    ORANGE,
    RED,
    Dashboard,
    Mark,
    Panel,
    Query,
    Row,
    Variable,
    View,
)

OURS = 'job=~"$job", instance=~"$instance"'
RATE = "$__rate_interval"
RESULTS = (("success", GREEN), ("requeue", BLUE), ("retry", ORANGE), ("error", RED))


def _quantile(share: float, family: str, by: str = "") -> str:
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, sum by ({labels}) (rate({family}_bucket{{{OURS}}}[{RATE}]))) >= 0"


_SERVING = Row(
    "Does it serve?",
    (
        Panel(
            title="Replicas that answer",
            about="Operators that Prometheus reaches. None: FineTuneOperatorDown.",
            unit="none",
            queries=(Query(f"sum(up{{{OURS}}} * on (job, instance) finetune_operator_build_info{{{OURS}}})"),),
            view=View.STAT,
            width=4,
            height=4,
            steps=((1, GREEN),),
            first_colour=RED,
            decimals=0,
        ),
        Panel(
            title="Leaders",
            about="Replicas that act on jobs. It must be one.",
            unit="none",
            queries=(Query(f"sum(finetune_operator_leader{{{OURS}}})"),),
            view=View.STAT,
            width=4,
            height=4,
            steps=((1, GREEN), (2, RED)),
            first_colour=RED,
            decimals=0,
        ),
        Panel(
            title="Passes that fail",
            about="Part of the passes over jobs that end in an error of the operator's own. Objective: below 1 %.",
            unit="percentunit",
            queries=(
                Query(
                    f'sum(rate(finetune_operator_reconcile_total{{{OURS}, result="error"}}[{RATE}]))'
                    f" / (sum(rate(finetune_operator_reconcile_total{{{OURS}}}[{RATE}])) > 0)"
                ),
            ),
            view=View.STAT,
            width=4,
            height=4,
            steps=((0.01, ORANGE), (0.06, RED)),
            decimals=2,
        ),
        Panel(
            title="First status, p99",
            about="From a job's creation to its first status, over the time shown. Objective: 10 s.",
            unit="s",
            queries=(
                Query(
                    f"histogram_quantile(0.99, sum by (le) "
                    f"(increase(finetune_job_first_status_seconds_bucket{{{OURS}}}[$__range]))) >= 0"
                ),
            ),
            view=View.STAT,
            width=4,
            height=4,
            steps=((5, ORANGE), (10, RED)),
        ),
        Panel(
            title="Last word of the watch",
            about="Time since the watch on jobs told anything. High is normal only where no job runs.",
            unit="s",
            queries=(
                Query(
                    f'time() - max(finetune_operator_last_event_timestamp_seconds{{{OURS}, resource="finetunejobs"}})'
                ),
            ),
            view=View.STAT,
            width=4,
            height=4,
            steps=((300, ORANGE), (900, RED)),
        ),
        Panel(
            title="Version",
            about="What runs. Two versions at a time are an upgrade on its way.",
            unit="none",
            queries=(
                Query(
                    f"count by (version, commit) (finetune_operator_build_info{{{OURS}}})", "{{version}} ({{commit}})"
                ),
            ),
            view=View.WORDS,
            width=4,
            height=4,
        ),
    ),
)

_PASSES = Row(
    "Passes over jobs",
    (
        Panel(
            title="Passes by result",
            about="retry: the API server did not answer or refused for now. error: a fault of the operator.",
            unit="ops",
            queries=(
                Query(
                    f"sum by (result) (rate(finetune_operator_reconcile_total{{{OURS}}}[{RATE}]))",
                    "{{result}}",
                ),
            ),
            view=View.STACK,
            colours=RESULTS,
        ),
        Panel(
            title="Duration of passes",
            about="How many passes take how long. A second band above the usual one is a slow API server.",
            unit="s",
            queries=(
                Query(
                    f"sum by (le) (rate(finetune_operator_reconcile_duration_seconds_bucket{{{OURS}}}[{RATE}]))",
                    "{{le}}",
                ),
            ),
            view=View.HEAT,
        ),
        Panel(
            title="Duration of passes, p50 and p99",
            about="A pass observes, decides, writes; without writes it takes a millisecond.",
            unit="s",
            queries=(
                Query(_quantile(0.5, "finetune_operator_reconcile_duration_seconds"), "p50"),
                Query(_quantile(0.99, "finetune_operator_reconcile_duration_seconds"), "p99"),
            ),
        ),
        Panel(
            title="Queue",
            about="Jobs that wait for a pass, and passes that run. Waiting ones should fall back to 0 after a burst.",
            unit="none",
            queries=(
                Query(f"sum(finetune_operator_queue_depth{{{OURS}}})", "waiting"),
                Query(f"sum(finetune_operator_handlers_in_flight{{{OURS}}})", "running"),
            ),
            least=0,
        ),
        Panel(
            title="Wait in the queue",
            about="From the moment a pass is due to its begin. It grows when workers are too few.",
            unit="s",
            queries=(
                Query(_quantile(0.5, "finetune_operator_queue_duration_seconds"), "p50"),
                Query(_quantile(0.99, "finetune_operator_queue_duration_seconds"), "p99"),
            ),
        ),
        Panel(
            title="First status",
            about="From a job's creation to its first status. Objective: p99 below 10 s.",
            unit="s",
            queries=(
                Query(_quantile(0.5, "finetune_job_first_status_seconds"), "p50"),
                Query(_quantile(0.99, "finetune_job_first_status_seconds"), "p99"),
            ),
            steps=((10, RED),),
        ),
    ),
)

_API = Row(
    "API server",
    (
        Panel(
            title="Requests by verb",
            about="What the operator asks of the API server. Watches are not among them.",
            unit="reqps",
            queries=(
                Query(
                    f"sum by (verb, resource) (rate(finetune_operator_api_requests_total{{{OURS}}}[{RATE}]))",
                    "{{verb}} {{resource}}",
                ),
            ),
            view=View.STACK,
        ),
        Panel(
            title="Answers that are no success",
            about="409 and 404 happen when objects go. 429: throttled. none: no answer at all.",
            unit="reqps",
            queries=(
                Query(
                    f'sum by (code) (rate(finetune_operator_api_requests_total{{{OURS}, code!="2xx"}}[{RATE}]))',
                    "{{code}}",
                ),
            ),
            view=View.STACK,
        ),
        Panel(
            title="Time of requests, p99",
            about="By verb; the proxy verb asks trainers and is not the API server's own time.",
            unit="s",
            queries=(Query(_quantile(0.99, "finetune_operator_api_request_duration_seconds", "verb"), "{{verb}}"),),
        ),
        Panel(
            title="Writes for each active job",
            about="Writes in a minute and active job; 12 while it reports progress. Above 20: FineTuneOperatorHotLoop.",
            unit="none",
            queries=(
                Query(
                    "60 * sum(rate(finetune_operator_api_requests_total"
                    f'{{{OURS}, verb=~"create|apply|patch|delete", resource!~"events|leases"}}[{RATE}]))'
                    f' / clamp_min(sum(finetune_jobs{{{OURS}, phase!~"Succeeded|Failed|Cancelled"}}), 1)',
                    "writes/min",
                ),
            ),
            steps=((20, RED),),
            least=0,
        ),
        Panel(
            title="Age of events, p95",
            about="From a change of an object to the moment the operator hears of it. Objects name whole seconds.",
            unit="s",
            queries=(Query(_quantile(0.95, "finetune_operator_event_lag_seconds", "resource"), "{{resource}}"),),
        ),
        Panel(
            title="Watches that began again",
            about="gone: the server no longer had the version. timeout: nothing came for too long.",
            unit="none",
            queries=(
                Query(
                    f"sum by (resource, reason) (increase(finetune_operator_watch_restarts_total{{{OURS}}}[{RATE}]))",
                    "{{resource}} {{reason}}",
                ),
            ),
            view=View.BARS,
            least=0,
        ),
    ),
)

_PROCESS = Row(
    "Process",
    (
        Panel(
            title="Lag of the event loop",
            about="How late the loop wakes up. Above a tenth of a second something blocks it.",
            unit="s",
            queries=(
                Query(_quantile(0.5, "finetune_operator_event_loop_lag_seconds"), "p50"),
                Query(_quantile(0.99, "finetune_operator_event_loop_lag_seconds"), "p99"),
            ),
            steps=((0.5, ORANGE),),
        ),
        Panel(
            title="Memory",
            about="Resident memory of the operator: 70 MiB and about 80 KiB for each job.",
            unit="bytes",
            queries=(
                Query(
                    f"process_resident_memory_bytes{{{OURS}}} * on (job, instance) group_left () "
                    f"max by (job, instance) (finetune_operator_build_info{{{OURS}}})",
                    "{{instance}}",
                ),
            ),
            least=0,
        ),
        Panel(
            title="CPU",
            about="Processors that the operator uses.",
            unit="none",
            queries=(
                Query(
                    f"rate(process_cpu_seconds_total{{{OURS}}}[{RATE}]) * on (job, instance) group_left () "
                    f"max by (job, instance) (finetune_operator_build_info{{{OURS}}})",
                    "{{instance}}",
                ),
            ),
            least=0,
        ),
        Panel(
            title="Errors nobody expected",
            about="Each is a bug with a line in the log, and its pass is tried again.",
            unit="none",
            queries=(
                Query(
                    f"sum by (cause) (increase(finetune_operator_unhandled_errors_total{{{OURS}}}[{RATE}]))",
                    "{{cause}}",
                ),
            ),
            view=View.BARS,
            least=0,
        ),
        Panel(
            title="Starts of the process",
            about="Replicas that have just started, in a new pod or in the one that was there.",
            unit="none",
            queries=(
                Query(
                    f"sum((time() - process_start_time_seconds{{{OURS}}} < bool ($__interval_ms / 1000 + 30)) "
                    f"* on (job, instance) finetune_operator_build_info{{{OURS}}})",
                    "starts",
                ),
            ),
            view=View.BARS,
            least=0,
        ),
        Panel(
            title="Left out of the metrics",
            about="Jobs and namespaces without series of their own because of the caps.",
            unit="none",
            queries=(
                Query(f"max(finetune_metrics_jobs_dropped{{{OURS}}})", "jobs"),
                Query(f"max(finetune_metrics_namespaces_dropped{{{OURS}}})", "namespaces"),
            ),
            least=0,
        ),
    ),
)

DASHBOARD = Dashboard(
    uid="finetune-operator-health",
    title="Fine-tuning: operator health",
    about="Whether the operator serves its users, how fast, and what it costs the API server.",
    variables=(
        Variable("job", "Scrape job", "label_values(finetune_operator_build_info, job)"),
        Variable("instance", "Replica", 'label_values(finetune_operator_build_info{job=~"$job"}, instance)'),
    ),
    marks=(
        Mark(
            "Starts",
            f"time() - process_start_time_seconds{{{OURS}}} < 60 "
            f"and on (job, instance) finetune_operator_build_info{{{OURS}}}",
            "operator started: {{instance}}",
            ORANGE,
        ),
        Mark(
            "Versions",
            "count by (version) (finetune_operator_build_info) "
            "unless count by (version) (finetune_operator_build_info offset 2m)",
            "version {{version}}",
            "blue",
        ),
    ),
    rows=(_SERVING, _PASSES, _API, _PROCESS),
    links=(("Fleet and queue", "finetune-fleet"), ("Job detail", "finetune-job")),
)
