"""The table of what the operator measures of itself, as it happens. All of it carries the replica's role."""

from __future__ import annotations

from finetune_trainer.contract import Kind, Label, Metric, Stability

from finetune_operator.telemetry import words

FAST = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
REQUESTS = (0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 10.0)
LOOP = (0.001, 0.01, 0.1, 0.5, 1.0, 5.0)
EVENTS = (0.01, 0.05, 0.1, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0)

ROLE = Label("replica_role", words.ROLES)
HANDLER = Label("handler", words.HANDLERS)
RESULT = Label("result", words.RESULTS)
WATCHED = Label("resource", words.WATCHED)
VERB = Label("verb", words.VERBS)
RESOURCE = Label("resource", words.RESOURCES)

BUILD_INFO = Metric(
    "finetune_operator_build_info",
    Kind.GAUGE,
    "1, labelled with what runs.",
    (
        ROLE,
        Label("version", bound="one"),
        Label("commit", bound="one"),
        Label("python", bound="one"),
        Label("kopf", bound="one"),
    ),
    stability=Stability.STABLE,
)
LEADER = Metric(
    "finetune_operator_leader",
    Kind.GAUGE,
    "1 where this replica acts on jobs: it holds the lease, or there is no election.",
    (ROLE,),
    stability=Stability.STABLE,
)
RECONCILES = Metric(
    "finetune_operator_reconcile_total",
    Kind.COUNTER,
    "Passes over a job by result: success, requeue (looks again by itself), retry (the API server did not answer or "
    "refused for now), error (a fault of the operator; it is tried again too).",
    (ROLE, HANDLER, RESULT),
    stability=Stability.STABLE,
)
RECONCILE_SECONDS = Metric(
    "finetune_operator_reconcile_duration_seconds",
    Kind.HISTOGRAM,
    "Time of one pass over a job.",
    (ROLE, HANDLER),
    FAST,
)
IN_FLIGHT = Metric("finetune_operator_handlers_in_flight", Kind.GAUGE, "Passes running now.", (ROLE, HANDLER))
QUEUE_DEPTH = Metric("finetune_operator_queue_depth", Kind.GAUGE, "Jobs that wait for a pass.", (ROLE,))
QUEUE_SECONDS = Metric(
    "finetune_operator_queue_duration_seconds",
    Kind.HISTOGRAM,
    "Time that a job waits for a pass from the moment it is due.",
    (ROLE,),
    FAST,
)
EVENT_LAG = Metric(
    "finetune_operator_event_lag_seconds",
    Kind.HISTOGRAM,
    "From the last change that an object names to the moment its event is handled. Objects name whole seconds.",
    (ROLE, WATCHED),
    EVENTS,
)
LAST_EVENT = Metric(
    "finetune_operator_last_event_timestamp_seconds",
    Kind.GAUGE,
    "When a watch last told anything, since the epoch.",
    (ROLE, WATCHED),
)
WATCH_RESTARTS = Metric(
    "finetune_operator_watch_restarts_total",
    Kind.COUNTER,
    "Watches that began again: gone (the server no longer had the version), timeout (nothing came for too long), error "
    "(no answer, or a bad one). Their ordinary end, every 5 minutes, is no news and not counted.",
    (ROLE, WATCHED, Label("reason", words.WATCH_ENDS)),
    stability=Stability.ALPHA,
)
API_REQUESTS = Metric(
    "finetune_operator_api_requests_total",
    Kind.COUNTER,
    "Requests to the API server. The code is a class, or one of 409, 410, 422, 429, or none without an answer.",
    (ROLE, VERB, RESOURCE, Label("code", words.CODES)),
    stability=Stability.STABLE,
)
API_SECONDS = Metric(
    "finetune_operator_api_request_duration_seconds",
    Kind.HISTOGRAM,
    "Time of requests to the API server.",
    (ROLE, VERB, RESOURCE),
    REQUESTS,
)
STATUS_WRITES = Metric(
    "finetune_operator_status_writes_total",
    Kind.COUNTER,
    "Written statuses by the first thing that they changed; nothing: times alone, or what was written shortly before.",
    (ROLE, Label("changed", words.CHANGES)),
)
LOOP_LAG = Metric(
    "finetune_operator_event_loop_lag_seconds", Kind.HISTOGRAM, "How late the event loop wakes up.", (ROLE,), LOOP
)
UNHANDLED = Metric(
    "finetune_operator_unhandled_errors_total",
    Kind.COUNTER,
    "Errors that no code expected, by class.",
    (ROLE, Label("cause", words.CAUSES)),
)

PROCESS = (
    BUILD_INFO,
    LEADER,
    RECONCILES,
    RECONCILE_SECONDS,
    IN_FLIGHT,
    QUEUE_DEPTH,
    QUEUE_SECONDS,
    EVENT_LAG,
    LAST_EVENT,
    WATCH_RESTARTS,
    API_REQUESTS,
    API_SECONDS,
    STATUS_WRITES,
    LOOP_LAG,
    UNHANDLED,
)
