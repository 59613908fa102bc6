"""Fleet and queue, for those who run the platform: what waits, what fails, what it costs, which jobs need somebody."""

from __future__ import annotations

from monitoring.dashboards.panels import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    OUTCOMES,
    RED,
    Dashboard,
    Mark,
    Panel,
    Query,
    Row,
    Variable,
    View,
)

NS = 'namespace=~"$namespace"'
RATE = "$__rate_interval"
JOB = "namespace, finetunejob"
PHASES = (
    ("Running", GREEN),
    ("Starting", "light-green"),
    ("Pending", "light-orange"),
    ("Queued", "yellow"),
    ("Restarting", ORANGE),
    ("Suspending", "light-purple"),
    ("Suspended", "purple"),
    ("Stopping", "super-light-purple"),
    ("Succeeded", BLUE),
    ("Failed", RED),
    ("Cancelled", GREY),
)


def _increase(family: str, over: str, more: str = "") -> str:
    return f"increase({family}{{{NS}{more}}}[{over}])"


DONE = ', result="succeeded"'
DECIDED = ', result=~"succeeded|failed"'
LOST = ', outcome="wasted"'


_NOW = Row(
    "Now",
    (
        Panel(
            title="Running",
            about="Jobs whose trainer is at work.",
            unit="none",
            queries=(Query(f'sum(finetune_jobs{{{NS}, phase="Running"}})'),),
            view=View.STAT,
            width=3,
            height=4,
            decimals=0,
        ),
        Panel(
            title="Waiting",
            about="Jobs that were taken on and have no running trainer: pending, queued, starting, between attempts.",
            unit="none",
            queries=(Query(f'sum(finetune_jobs{{{NS}, phase=~"Pending|Queued|Starting|Restarting"}})'),),
            view=View.STAT,
            width=3,
            height=4,
            decimals=0,
        ),
        Panel(
            title="Longest wait",
            about="Age of the oldest job that has not started. Above an hour: FineTuneJobPendingTooLong.",
            unit="s",
            queries=(Query(f"max(finetune:pending_seconds:job{{{NS}}}) or on () vector(0)"),),
            view=View.STAT,
            width=4,
            height=4,
            steps=((900, ORANGE), (3600, RED)),
        ),
        Panel(
            title="Succeeded, 7 days",
            about="Part of the jobs that ended in the last 7 days with a result. Cancelled ones do not count.",
            unit="percentunit",
            queries=(
                Query(
                    f"sum({_increase('finetune_jobs_finished_total', '7d', DONE)})"
                    f" / (sum({_increase('finetune_jobs_finished_total', '7d', DECIDED)}) > 0)"
                ),
            ),
            view=View.STAT,
            width=4,
            height=4,
            first_colour=RED,
            steps=((0.8, ORANGE), (0.95, GREEN)),
        ),
        Panel(
            title="Devices in use",
            about="Devices that jobs hold now. On a CPU each pod counts as one.",
            unit="none",
            queries=(Query(f"sum(finetune_job_gpus{{{NS}}})"),),
            view=View.STAT,
            width=3,
            height=4,
            decimals=0,
        ),
        Panel(
            title="Cost now",
            about="Price of the devices that jobs hold now. Devices without a known price count nothing.",
            unit="currencyUSD",
            queries=(Query(f"sum(finetune:dollars_per_hour:job{{{NS}}}) or on () vector(0)"),),
            view=View.STAT,
            width=4,
            height=4,
            decimals=2,
        ),
        Panel(
            title="Device time wasted",
            about="Part of the device time of attempts that ended which led to nothing, over the time shown.",
            unit="percentunit",
            queries=(
                Query(
                    f"sum({_increase('finetune_gpu_seconds_total', '$__range', LOST)})"
                    f" / (sum({_increase('finetune_gpu_seconds_total', '$__range')}) > 0)"
                ),
            ),
            view=View.STAT,
            width=3,
            height=4,
            steps=((0.1, ORANGE), (0.3, RED)),
        ),
    ),
)

_ATTENTION = Row(
    "Jobs that need somebody",
    (
        Panel(
            title="Failed within the hour",
            about="Jobs that will not get there, with the reason. Their runbook is on the reason's alert.",
            unit="none",
            queries=(
                Query(
                    f"max by ({JOB}, reason) "
                    f'(finetune_job_status_condition{{{NS}, condition="Stalled", status="True", reason!="Cancelled"}})',
                    name="failed",
                ),
            ),
            view=View.TABLE,
            height=5,
            hide=("failed",),
        ),
        Panel(
            title="Waiting, and why",
            about="Jobs that have not started, how long, and what their condition Running says.",
            unit="s",
            queries=(
                Query(
                    f'max by ({JOB}, reason) (finetune_job_status_condition{{{NS}, condition="Running"}}) '
                    f"* on ({JOB}) group_left () finetune:pending_seconds:job{{{NS}}}",
                    name="waits",
                ),
            ),
            view=View.TABLE,
            height=5,
        ),
        Panel(
            title="Running without a step",
            about="Jobs that run and have made no step for 5 minutes: stuck, or in a long evaluation or export.",
            unit="s",
            queries=(
                Query(
                    f"(min by ({JOB}) (time() - finetune_job_last_step_timestamp_seconds{{{NS}}}) "
                    f"and on ({JOB}) finetune:running:job) > 300",
                    name="since",
                ),
            ),
            view=View.TABLE,
            height=5,
        ),
        Panel(
            title="Running with idle GPUs",
            about="Jobs whose GPUs are less than 20 % busy. Needs dcgm-exporter.",
            unit="percent",
            queries=(Query(f"(finetune:gpu_util:job{{{NS}}} and on ({JOB}) finetune:running:job) < 20", name="busy"),),
            view=View.TABLE,
            width=12,
            height=5,
        ),
        Panel(
            title="More than one attempt",
            about="Jobs on their second or a later attempt: resumed, or retried with a smaller plan.",
            unit="none",
            queries=(Query(f"max by ({JOB}) (finetune_job_attempt{{{NS}}}) > 1", name="attempts"),),
            view=View.TABLE,
            width=12,
            height=5,
        ),
        Panel(
            title="All jobs shown",
            about="Progress of every job with series of its own.",
            unit="percentunit",
            queries=(
                Query(
                    f"max by ({JOB}, method, base_model, gpu_type) (finetune_job_info{{{NS}}}) "
                    f"* on ({JOB}) group_left () max by ({JOB}) (finetune_job_progress_ratio{{{NS}}})",
                    name="progress",
                ),
            ),
            view=View.TABLE,
            width=24,
            height=5,
        ),
    ),
)

_FLOW = Row(
    "Flow",
    (
        Panel(
            title="Jobs by phase",
            about="What all jobs do. Ended ones stay until they are deleted.",
            unit="none",
            queries=(Query(f"sum by (phase) (finetune_jobs{{{NS}}}) > 0", "{{phase}}"),),
            view=View.STACK,
            width=12,
            least=0,
            colours=PHASES,
        ),
        Panel(
            title="Jobs taken on and ended",
            about="Jobs an hour: taken on, and ended by result.",
            unit="none",
            queries=(
                Query(f"3600 * sum(rate(finetune_jobs_created_total{{{NS}}}[{RATE}]))", "taken on"),
                Query(f"3600 * sum by (result) (rate(finetune_jobs_finished_total{{{NS}}}[{RATE}]))", "{{result}}"),
            ),
            width=12,
            least=0,
            colours=(("taken on", BLUE), *OUTCOMES[:3]),
        ),
        Panel(
            title="Wait until a pod runs",
            about="From a job's creation to its first pod running: queue, scheduling, images.",
            unit="s",
            queries=tuple(
                Query(
                    f"histogram_quantile({share}, sum by (le) "
                    f"(increase(finetune_job_queue_wait_seconds_bucket{{{NS}}}[$__range]))) >= 0",
                    name,
                )
                for share, name in ((0.5, "p50"), (0.95, "p95"))
            ),
        ),
        Panel(
            title="From its place to the first step",
            about="Scheduling, image, download, loading the model, measuring it untouched. Of all namespaces.",
            unit="s",
            queries=tuple(
                Query(
                    f"histogram_quantile({share}, "
                    "sum by (le) (increase(finetune_job_startup_seconds_bucket[$__range]))) >= 0",
                    name,
                )
                for share, name in ((0.5, "p50"), (0.95, "p95"))
            ),
        ),
        Panel(
            title="Duration of jobs that succeed, p50",
            about="From creation to the end, by method. Of all namespaces.",
            unit="s",
            queries=(
                Query(
                    "histogram_quantile(0.5, sum by (le, method) "
                    '(increase(finetune_job_duration_seconds_bucket{result="succeeded"}[$__range]))) >= 0',
                    "{{method}}",
                ),
            ),
        ),
    ),
)

_FAILURES = Row(
    "Failures and retries",
    (
        Panel(
            title="Failures by reason",
            about="Jobs that failed for good, an hour. Reasons: docs/reference/metrics.md.",
            unit="none",
            queries=(
                Query(f"3600 * sum by (reason) (rate(finetune_job_failures_total{{{NS}}}[{RATE}])) > 0", "{{reason}}"),
            ),
            view=View.BARS,
            width=12,
            least=0,
        ),
        Panel(
            title="New attempts by reason",
            about="Attempts an hour that followed on another, by why that one ended. Suspended ones were asked to.",
            unit="none",
            queries=(
                Query(f"3600 * sum by (reason) (rate(finetune_job_restarts_total{{{NS}}}[{RATE}])) > 0", "{{reason}}"),
            ),
            view=View.BARS,
            width=12,
            least=0,
        ),
    ),
)

_COST = Row(
    "Devices and cost",
    (
        Panel(
            title="Device hours by namespace",
            about="Device time of attempts that ended in the time shown, by namespace and kind of device.",
            unit="h",
            queries=(
                Query(
                    f"sum by (namespace, gpu_type) ({_increase('finetune_gpu_seconds_total', '$__range')}) / 3600 > 0",
                    "{{namespace}} {{gpu_type}}",
                ),
            ),
            view=View.RANKING,
        ),
        Panel(
            title="Cost by namespace",
            about="The same device time at the price of its kind. Kinds without a known price are left out.",
            unit="currencyUSD",
            queries=(
                Query(
                    f"sum by (namespace, gpu_type) ({_increase('finetune_gpu_seconds_total', '$__range')}) / 3600 "
                    "* on (gpu_type) group_left () max by (gpu_type) (finetune_gpu_price_dollars_per_hour) > 0",
                    "{{namespace}} {{gpu_type}}",
                ),
            ),
            view=View.RANKING,
            decimals=2,
        ),
        Panel(
            title="Useful and wasted device hours",
            about="Wasted: what an attempt did after its last checkpoint, and all that a failed job did.",
            unit="h",
            queries=(
                Query(
                    f"sum by (outcome) ({_increase('finetune_gpu_seconds_total', '$__range')}) / 3600", "{{outcome}}"
                ),
            ),
            view=View.RANKING,
            colours=OUTCOMES[3:],
        ),
        Panel(
            title="Devices requested, held and busy",
            about="Devices that jobs ask for, that they hold, and how many of these work (dcgm-exporter).",
            unit="none",
            queries=(
                Query(f"sum(finetune_gpus_requested{{{NS}}})", "requested"),
                Query(f"sum(finetune_job_gpus{{{NS}}})", "held"),
                Query(f"sum(finetune:gpu_util:pod{{{NS}}}) / 100", "busy"),
            ),
            width=12,
            least=0,
        ),
        Panel(
            title="Cost of running jobs",
            about="Price of the devices that jobs hold, by namespace.",
            unit="currencyUSD",
            queries=(Query(f"sum by (namespace) (finetune:dollars_per_hour:job{{{NS}}})", "{{namespace}} an hour"),),
            view=View.STACK,
            width=12,
            least=0,
        ),
        Panel(
            title="Top namespaces",
            about="The ten namespaces whose attempts have used most device hours in the time shown.",
            unit="h",
            queries=(
                Query(
                    f"topk(10, sum by (namespace) ({_increase('finetune_gpu_seconds_total', '$__range')}) / 3600 > 0)",
                    "{{namespace}}",
                ),
            ),
            view=View.RANKING,
            width=24,
            height=6,
        ),
    ),
)

_KUEUE = Row(
    "Kueue, where it is installed",
    (
        Panel(
            title="Workloads that wait",
            about="Workloads of Kueue that are not admitted, by cluster queue.",
            unit="none",
            queries=(
                Query("sum by (cluster_queue, status) (kueue_pending_workloads)", "{{cluster_queue}} {{status}}"),
            ),
            view=View.STACK,
            width=12,
        ),
        Panel(
            title="Wait for admission, p95",
            about="From a workload's creation until Kueue admits it, over the time shown.",
            unit="s",
            queries=(
                Query(
                    "histogram_quantile(0.95, sum by (le, cluster_queue) "
                    "(increase(kueue_admission_wait_time_seconds_bucket[$__range]))) >= 0",
                    "{{cluster_queue}}",
                ),
            ),
            width=12,
        ),
    ),
    closed=True,
)

DASHBOARD = Dashboard(
    uid="finetune-fleet",
    title="Fine-tuning: fleet and queue",
    about="What all jobs do, wait for, fail of and cost.",
    variables=(Variable("namespace", "Namespace", "label_values(finetune_jobs, namespace)"),),
    marks=(
        Mark(
            "Out of memory",
            f'sum by (namespace) (increase(finetune_job_restarts_total{{{NS}, reason=~".*OutOfMemory"}}[1m])) > 0',
            "out of memory in {{namespace}}, tried again with a smaller plan",
            RED,
        ),
        Mark(
            "Preempted and lost",
            "sum by (namespace, reason) "
            f'(increase(finetune_job_restarts_total{{{NS}, reason=~"Preempted|Evicted|NodeLost"}}[1m])) > 0',
            "{{reason}} in {{namespace}}",
            ORANGE,
        ),
        Mark(
            "Operator starts",
            "time() - process_start_time_seconds < 60 and on (job, instance) finetune_operator_build_info",
            "operator started",
            BLUE,
        ),
    ),
    rows=(_NOW, _ATTENTION, _FLOW, _FAILURES, _COST, _KUEUE),
    links=(("Operator health", "finetune-operator-health"), ("Job detail", "finetune-job")),
    since="now-24h",
)
