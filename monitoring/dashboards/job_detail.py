"""Job detail, for the one whose job it is: how far, how good, how fast, on what, and what happened to it."""

from __future__ import annotations

from monitoring.dashboards.panels import (
    BLUE,
    GREEN,
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

JOB = 'namespace="$namespace", finetunejob="$finetunejob"'
RUN = f'{JOB}, attempt=~"$attempt"'
RATE = "$__rate_interval"
PODS = f"* on (namespace, pod) group_left () max by (namespace, pod) (finetune_job_pod_info{{{JOB}}})"
DAY = 86_400


def _stat(title: str, about: str, unit: str, expr: str, **more: object) -> Panel:
    shape = {"view": View.STAT, "width": 3, "height": 4} | more
    return Panel(title=title, about=about, unit=unit, queries=(Query(expr),), **shape)


def _ended_of(reasons: str) -> str:
    """Return what holds for the minute after an attempt has ended for one of these reasons, tried again or not."""
    ended = f'finetune_job_attempt_ended_timestamp_seconds{{{JOB}, reason=~"{reasons}"}}'
    return f"max by (reason) (time() - {ended}) < 60"


def _of_pods(recorded: str) -> str:
    return f"max by (pod, gpu) ({recorded} {PODS})"


_HEADER = Row(
    "Where it stands",
    (
        Panel(
            title="State",
            about="The conditions that hold, with their reasons. `kubectl describe ftj` has the message to each.",
            unit="none",
            queries=(
                Query(
                    "max by (condition, reason) (finetune_job_status_condition"
                    f'{{{JOB}, condition=~"Running|Suspended|Finished|Succeeded|Stalled|Reconciling", status="True"}})',
                    "{{condition}}: {{reason}}",
                ),
            ),
            view=View.WORDS,
            width=6,
            height=4,
        ),
        _stat(
            "Progress",
            "Part of the steps done.",
            "percentunit",
            f"max(finetune_job_progress_ratio{{{JOB}}})",
            least=0,
            most=1,
        ),
        _stat(
            "Time left",
            "Until the last step, at the speed of this attempt. Evaluation and export follow. 0 once training is over.",
            "s",
            f"clamp_min(max(finetune_job_eta_timestamp_seconds{{{JOB}}}) - time(), 0) "
            f"or on () max(finetune_job_finished_timestamp_seconds{{{JOB}}}) * 0",
        ),
        _stat("Step", "Optimizer steps done.", "none", f"max(finetune_job_step{{{JOB}}})"),
        _stat("Epoch", "Passes over the training rows.", "none", f"max(finetune_job_epoch_ratio{{{JOB}}})", decimals=2),
        _stat(
            "Elapsed",
            "Since the job was created, until it ended.",
            "s",
            f"max((finetune_job_finished_timestamp_seconds{{{JOB}}} or "
            f"time() * (finetune_job_created_timestamp_seconds{{{JOB}}} > bool 0)) "
            f"- on (namespace, finetunejob) finetune_job_created_timestamp_seconds{{{JOB}}})",
        ),
        _stat(
            "Attempt",
            "1, unless it was resumed or tried again.",
            "none",
            f"max(finetune_job_attempt{{{JOB}}})",
            steps=((2, ORANGE), (4, RED)),
        ),
        _stat(
            "Devices",
            "Devices that it holds now. On a CPU its pods.",
            "none",
            f"max(finetune_job_gpus{{{JOB}}})",
        ),
        _stat(
            "Cost so far",
            "Device time of all attempts so far, at the device's price. Empty where no price is known.",
            "currencyUSD",
            f"sum(max by (namespace, finetunejob, gpu_type) (finetune_job_info{{{JOB}}}) "
            "* on (namespace, finetunejob) group_left () "
            f"max by (namespace, finetunejob) (finetune_job_device_seconds{{{JOB}}}) "
            "* on (gpu_type) group_left () max by (gpu_type) (finetune_gpu_price_dollars_per_hour)) / 3600",
            decimals=2,
        ),
        _stat(
            "Age of the checkpoint",
            "Work that would be lost if the pod ended now.",
            "s",
            f"time() - max(finetune_job_last_checkpoint_timestamp_seconds{{{JOB}}})",
            steps=((1800, ORANGE),),
        ),
        _stat(
            "Checkpoint bytes",
            "Written by this attempt, all checkpoints together.",
            "bytes",
            f"sum(max_over_time(finetune_training_checkpoint_bytes_total{{{RUN}}}[$__range]))",
        ),
        Panel(
            title="What it is",
            about="Model, task, method and devices of the job.",
            unit="none",
            queries=(
                Query(
                    f"max by (base_model, task, method, gpu_type, dataset_kind, queue) (finetune_job_info{{{JOB}}})",
                    "{{base_model}}, {{task}}, {{method}} on {{gpu_type}}",
                ),
            ),
            view=View.WORDS,
            width=9,
            height=4,
        ),
        Panel(
            title="Trainer",
            about="What the trainer does now. Only Training makes steps; see FineTuneJobStuck.",
            unit="none",
            queries=(Query(f"max by (phase) (finetune_job_trainer_phase_timestamp_seconds{{{RUN}}})", "{{phase}}"),),
            view=View.WORDS,
            width=3,
            height=4,
        ),
    ),
)

_LEARNING = Row(
    "Does it learn?",
    (
        Panel(
            title="Loss",
            about="Training loss of each step, and the loss on held-out rows. Held-out rising alone: overfitting.",
            unit="none",
            queries=(
                Query(f"max by (attempt) (finetune_job_loss{{{RUN}}})", "training, attempt {{attempt}}"),
                Query(f"max by (attempt) (finetune_job_eval_loss{{{RUN}}})", "held out, attempt {{attempt}}"),
            ),
            width=12,
            height=9,
        ),
        Panel(
            title="Loss, logarithmic",
            about="The same on a logarithmic scale, on which late gains show.",
            unit="none",
            queries=(
                Query(f"max by (attempt) (finetune_job_loss{{{RUN}}})", "training, attempt {{attempt}}"),
                Query(f"max by (attempt) (finetune_job_eval_loss{{{RUN}}})", "held out, attempt {{attempt}}"),
            ),
            width=12,
            height=9,
            logarithmic=True,
        ),
        Panel(
            title="Learning rate",
            about="As the scheduler sets it.",
            unit="sci",
            queries=(Query(f"max by (attempt) (finetune_job_learning_rate{{{RUN}}})", "attempt {{attempt}}"),),
        ),
        Panel(
            title="Norm of the gradients",
            about="Before clipping. Spikes precede a loss that is no number.",
            unit="none",
            queries=(Query(f"max by (attempt) (finetune_job_grad_norm{{{RUN}}})", "attempt {{attempt}}"),),
        ),
        Panel(
            title="Tokens that it predicts",
            about="Part of the tokens predicted right; only tasks that generate text tell.",
            unit="percentunit",
            queries=(Query(f"max by (attempt) (finetune_job_mean_token_accuracy{{{RUN}}})", "attempt {{attempt}}"),),
        ),
    ),
)

_SPEED = Row(
    "How fast?",
    (
        Panel(
            title="Tokens",
            about="Tokens without padding that are trained on: of the job, and for each device it holds.",
            unit="none",
            queries=(
                Query(f"sum(rate(finetune_training_tokens_total{{{RUN}}}[{RATE}]))", "tokens/s"),
                Query(
                    f"sum(rate(finetune_training_tokens_total{{{RUN}}}[{RATE}])) "
                    f"/ (max(finetune_job_gpus{{{JOB}}}) > 0)",
                    "tokens/s and device",
                ),
            ),
            least=0,
        ),
        Panel(
            title="Model FLOPs utilization",
            about="Useful operations as part of the devices' dense peak, where that is known. 30 to 50 % is good.",
            unit="percentunit",
            queries=(Query(f"finetune:mfu:job{{{JOB}}}", "MFU"),),
            least=0,
        ),
        Panel(
            title="Rows",
            about="Rows that are trained on.",
            unit="none",
            queries=(Query(f"sum(rate(finetune_training_samples_total{{{RUN}}}[{RATE}]))", "rows/s"),),
            least=0,
        ),
        Panel(
            title="Time of a step",
            about="Of an optimizer step, without fetching rows and writing checkpoints.",
            unit="s",
            queries=tuple(
                Query(
                    f"histogram_quantile({share}, sum by (le) "
                    f"(rate(finetune_training_step_seconds_bucket{{{RUN}}}[{RATE}]))) >= 0",
                    name,
                )
                for share, name in ((0.5, "p50"), (0.95, "p95"))
            ),
            least=0,
        ),
        Panel(
            title="What the time goes into",
            about="Seconds of each second by phase. Data above compute: more loaders or faster storage.",
            unit="percentunit",
            queries=(
                Query(
                    f"sum by (phase) (rate(finetune_training_phase_seconds_total{{{RUN}}}[{RATE}]))",
                    "{{phase}}",
                ),
            ),
            view=View.STACK,
            least=0,
        ),
        Panel(
            title="Time since the last step",
            about="It grows while nothing is trained: evaluation, a checkpoint, or stuck.",
            unit="s",
            queries=(Query(f"min(time() - finetune_job_last_step_timestamp_seconds{{{RUN}}})", "since"),),
            least=0,
        ),
        Panel(
            title="Checkpoints",
            about="Checkpoints written and failed.",
            unit="none",
            queries=(
                Query(
                    f"sum by (result) (increase(finetune_training_checkpoints_total{{{RUN}}}[{RATE}]))", "{{result}}"
                ),
            ),
            view=View.BARS,
            colours=OUTCOMES,
            least=0,
        ),
        Panel(
            title="Steps without a finite loss",
            about="Any ends the attempt. See FineTuneJobLossNaN.",
            unit="none",
            queries=(Query(f"sum(increase(finetune_training_nonfinite_steps_total{{{RUN}}}[{RATE}]))", "steps"),),
            view=View.BARS,
            least=0,
        ),
        Panel(
            title="Attempts",
            about="The attempt that runs; each rise is a resume or a retry.",
            unit="none",
            queries=(Query(f"max(finetune_job_attempt{{{JOB}}})", "attempt"),),
            least=0,
            decimals=0,
        ),
    ),
)

_GPUS = Row(
    "GPUs, by dcgm-exporter",
    (
        Panel(
            title="Utilization",
            about="Part of the time in which any kernel runs.",
            unit="percent",
            queries=(Query(_of_pods("finetune:gpu_util:pod"), "{{pod}} GPU {{gpu}}"),),
            least=0,
            most=100,
        ),
        Panel(
            title="Tensor cores active",
            about="Part of the time in which tensor cores work; near 0 in fp32.",
            unit="percentunit",
            queries=(Query(_of_pods("finetune:gpu_tensor_active:pod"), "{{pod}} GPU {{gpu}}"),),
            least=0,
        ),
        Panel(
            title="Memory",
            about="Memory in use on the device, and what the trainers hold of it.",
            unit="bytes",
            queries=(
                Query(_of_pods("finetune:gpu_memory_used_bytes:pod"), "{{pod}} GPU {{gpu}}"),
                Query(
                    f"max by (pod, gpu) (finetune_gpu_memory_allocated_bytes{{{RUN}}})", "held by {{pod}}, GPU {{gpu}}"
                ),
            ),
            least=0,
        ),
        Panel(
            title="Power",
            about="Draw of the device. Far below its limit: it waits for data or for others.",
            unit="watt",
            queries=(Query(_of_pods("finetune:gpu_power_watts:pod"), "{{pod}} GPU {{gpu}}"),),
            least=0,
        ),
        Panel(
            title="Temperature",
            about="Of the device. From about 85 °C it slows down.",
            unit="celsius",
            queries=(Query(_of_pods("finetune:gpu_temperature_celsius:pod"), "{{pod}} GPU {{gpu}}"),),
            steps=((85, ORANGE),),
        ),
        Panel(
            title="XID errors",
            about="Code of the device's last error, from before the job too; 0 is none. A rise: see FineTuneJobXID.",
            unit="none",
            queries=(Query(f"max by (pod, gpu) (finetune:gpu_xid:job{{{JOB}}})", "{{pod}} GPU {{gpu}}"),),
            steps=((1, RED),),
            least=0,
        ),
    ),
)

_PODS = Row(
    "Pods",
    (
        Panel(
            title="Memory of the pods",
            about="Working set, which the limit is held against. Needs the kubelet's cAdvisor metrics.",
            unit="bytes",
            queries=(
                Query(f'max by (pod) (container_memory_working_set_bytes{{container="trainer"}} {PODS})', "{{pod}}"),
            ),
            least=0,
        ),
        Panel(
            title="CPU of the pods",
            about="Processors that all processes use. Needs the kubelet's cAdvisor metrics.",
            unit="none",
            queries=(
                Query(
                    f'sum by (pod) (rate(container_cpu_usage_seconds_total{{container="trainer"}}[{RATE}]) {PODS})',
                    "{{pod}}",
                ),
            ),
            least=0,
        ),
        Panel(
            title="Network of the pods",
            about="Received and sent. Needs the kubelet's cAdvisor metrics.",
            unit="Bps",
            queries=(
                Query(
                    f"sum by (pod) (rate(container_network_receive_bytes_total[{RATE}]) {PODS})", "received by {{pod}}"
                ),
                Query(f"sum by (pod) (rate(container_network_transmit_bytes_total[{RATE}]) {PODS})", "sent by {{pod}}"),
            ),
            least=0,
        ),
        Panel(
            title="Disk of the pods",
            about="Read and written. Needs the kubelet's cAdvisor metrics.",
            unit="Bps",
            queries=(
                Query(f"sum by (pod) (rate(container_fs_reads_bytes_total[{RATE}]) {PODS})", "read by {{pod}}"),
                Query(f"sum by (pod) (rate(container_fs_writes_bytes_total[{RATE}]) {PODS})", "written by {{pod}}"),
            ),
            least=0,
        ),
        Panel(
            title="Pods of the newest attempt",
            about="Where they run. Their log: kubectl logs POD.",
            unit="none",
            queries=(Query(f"max by (pod, node, role, rank) (finetune_job_pod_info{{{JOB}}})", name="pod is there"),),
            view=View.TABLE,
            width=16,
        ),
    ),
)

DASHBOARD = Dashboard(
    uid="finetune-job",
    title="Fine-tuning: job detail",
    about="One job: how far, how good, how fast, on what, and what happened to it.",
    variables=(
        Variable("namespace", "Namespace", "label_values(finetune_job_info, namespace)", many=False),
        Variable(
            "finetunejob",
            "Job",
            'label_values(finetune_job_info{namespace="$namespace"}, finetunejob)',
            many=False,
        ),
        Variable(
            "attempt",
            "Attempt",
            'label_values(finetune_training_steps_total{namespace="$namespace", finetunejob="$finetunejob"}, attempt)',
        ),
    ),
    marks=(
        Mark("Attempts", f"changes(finetune_job_attempt{{{JOB}}}[1m]) > 0", "a new attempt begins", ORANGE),
        Mark(
            "Out of memory",
            _ended_of(".*OutOfMemory"),
            "{{reason}}",
            RED,
        ),
        Mark(
            "Preempted and lost",
            _ended_of("Preempted|Evicted|NodeLost"),
            "{{reason}}",
            ORANGE,
        ),
        Mark(
            "Suspended",
            f'max(finetune_job_status_condition{{{JOB}, condition="Suspended", status="True"}}) '
            f'unless max(finetune_job_status_condition{{{JOB}, condition="Suspended", status="True"}} offset 1m)',
            "suspended",
            BLUE,
        ),
        Mark(
            "Resumed",
            f'max(max_over_time(finetune_job_status_condition{{{JOB}, condition="Suspended", status="True"}}[1m])) '
            f'unless max(finetune_job_status_condition{{{JOB}, condition="Suspended", status="True"}})',
            "resumed",
            GREEN,
        ),
    ),
    rows=(_HEADER, _LEARNING, _SPEED, _GPUS, _PODS),
    links=(("Fleet and queue", "finetune-fleet"), ("Operator health", "finetune-operator-health")),
    note="The training pod's log: `kubectl -n $namespace logs -l finetune.dev/job-name=$finetunejob --tail=-1 -f`. "
    "What the operator says: `kubectl -n $namespace describe ftj $finetunejob`. "
    "Without Grafana: `python -m finetune_operator top`.",
)
