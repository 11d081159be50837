"""Every Prometheus metric: name, labels, help. Servers emit them; rules and dashboards take the names."""

from prometheus_client import REGISTRY, Counter, Gauge, Histogram, exposition
from prometheus_client.metrics import MetricWrapperBase

MODEL = ("model", "version")
STAGES = ("decode", "queue", "infer", "total")
PROTOCOLS = ("rest", "grpc", "api")
OUTCOMES = ("ok", "refused", "overloaded", "cancelled", "failed")

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10)
# From 5 to 500 ms by less than a fifth each: answers that take half as long again pass two bounds.
_FINE = tuple(float(f"{0.005 * 100 ** (step / 26):.4g}") for step in range(27))
_SHARES = tuple(round(0.05 * step, 2) for step in range(1, 21))

REQUESTS = Counter(
    "bonafide_requests",
    "Inference requests by outcome: ok, refused (the client's fault), overloaded, cancelled, failed",
    (*MODEL, "protocol", "outcome"),
)
ERRORS = Counter(
    "bonafide_errors", "Inference requests that got no answer, by reason", (*MODEL, "protocol", "reason")
)
STAGE_SECONDS = Histogram(
    "bonafide_stage_seconds",
    "Time a request spends in each stage: decode, queue, infer, total",
    (*MODEL, "stage"),
    buckets=(0.001, 0.0025, *_FINE, 0.75, 1, 2.5, 5, 10),
)
QUEUE_IMAGES = Gauge("bonafide_queue_images", "Inputs accepted and not yet answered")
QUEUE_LIMIT_IMAGES = Gauge("bonafide_queue_limit_images", "Inputs accepted at most at once")
IN_FLIGHT = Gauge("bonafide_in_flight_requests", "Inference requests begun and not yet answered")
CONFIDENCE = Histogram(
    "bonafide_confidence", "Probability of the label that was answered", MODEL, buckets=_SHARES
)
PREDICTIONS = Counter("bonafide_predictions", "Inputs answered, by label", (*MODEL, "label"))
UNCERTAIN = Counter("bonafide_uncertain", "Inputs answered with uncertainty, by label", (*MODEL, "label"))
MODEL_INFO = Gauge(
    "bonafide_model_info", "1 for each model version that is loaded", (*MODEL, "digest", "architecture")
)
MODEL_LOADS = Counter(
    "bonafide_model_loads", "Attempts to load a model version: loaded or refused", ("model", "outcome")
)
API_REQUESTS = Counter("bonafide_api_requests", "Requests to the service API", ("route", "method", "status"))
API_SECONDS = Histogram(
    "bonafide_api_request_seconds",
    "Time to answer a service API request",
    ("route",),
    buckets=_SECONDS,
)
API_LIMITED = Counter(
    "bonafide_api_rate_limited", "Requests refused because of a rate limit, by what was counted", ("by",)
)
RUNS = Gauge("bonafide_runs", "Runs that were asked for and are queued or running", ("task", "state"))
RUN_FAILED = Gauge(
    "bonafide_run_failed", "1 if the newest run that was asked for and has ended failed, else 0", ("task",)
)
HOOK_ALERTS = Counter(
    "bonafide_hook_alerts",
    "Alerts that the hook got, by what became of them: started, busy, resting, refused, ignored",
    ("outcome",),
)
PREDICTIONS_STORED = Counter(
    "bonafide_predictions_stored",
    "Predictions to be kept: spooled (safe on disk, and accepted), stored (in the database), "
    "duplicate (their id was there), dropped (for want of room, or refused)",
    ("outcome",),
)
SPOOL_BYTES = Gauge("bonafide_store_spool_bytes", "Predictions on disk that the database has not taken yet")
STORE_IMAGES = Counter(
    "bonafide_store_images", "Files to be kept: stored, skipped (no room or time), failed", ("outcome",)
)
COLLECTED_EVENTS = Counter(
    "bonafide_collected_events",
    "Requests and answers that a logger sent: joined, repeated, unanswered (a request alone), unasked (an "
    "answer alone), ignored (no inference), malformed",
    ("outcome",),
)
FEEDBACK = Counter(
    "bonafide_feedback",
    "What people said of predictions to this process, by what became of it: new, confirmed, rejected",
    ("task", "state"),
)
FEEDBACK_WAITING = Gauge(
    "bonafide_feedback_waiting", "What people said of predictions and nobody has decided about yet", ("task",)
)
DRIFT_SCORE = Gauge(
    "bonafide_drift_score",
    "Evidence of the last drift check, -log10 of the corrected p-value: above the threshold it found drift",
    ("task", "detector"),
)
DRIFT_THRESHOLD = Gauge(
    "bonafide_drift_threshold", "What the score of a detector is held against", ("task", "detector")
)
DRIFT_DETECTED = Gauge(
    "bonafide_drift_detected", "1 if the last check found that kind of drift: looks or mix", ("task", "kind")
)
DRIFT_COMPARED = Gauge(
    "bonafide_drift_compared_predictions", "Predictions of distinct inputs in the last check", ("task",)
)
DRIFT_CHECKED = Gauge("bonafide_drift_checked_timestamp_seconds", "When the last check was made", ("task",))
QUALITY = Gauge(
    "bonafide_quality",
    "By confirmed feedback reviewed, accuracy, accuracy_low and accuracy_high; by the gate accuracy_floor",
    ("task", "metric"),
)


def name(metric: MetricWrapperBase) -> str:
    """Its family's name, without the endings of its samples: ``_total``, ``_bucket``."""
    [family] = metric.describe()
    return family.name


def exposed(accept: str) -> tuple[bytes, str]:
    """All metrics of this process and their content type, in a format that an ``Accept`` header takes."""
    encode, kind = exposition.choose_encoder(accept)
    return encode(REGISTRY), kind
