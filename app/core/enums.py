"""Enumerations of the service: job statuses and their transitions, verdicts, reason codes, scopes, event types."""

from enum import StrEnum


class JobStatus(StrEnum):
    """Processing status of a job; independent of its verdict."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    EXPIRED = "expired"
    """Job that did not start before its deadline."""

    @property
    def is_final(self) -> bool:
        """True if the status cannot change any more."""
        return not NEXT_STATUSES[self]


NEXT_STATUSES: dict[JobStatus, frozenset[JobStatus]] = {
    JobStatus.QUEUED: frozenset(
        # Succeeded at once: a reanalysis applies another policy to an existing result.
        {JobStatus.RUNNING, JobStatus.SUCCEEDED, JobStatus.CANCELED, JobStatus.EXPIRED}
    ),
    JobStatus.RUNNING: frozenset(
        # Back to queued: the worker was lost, or shut down before the attempt ended.
        {JobStatus.QUEUED, JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELED}
    ),
    JobStatus.SUCCEEDED: frozenset(),
    JobStatus.FAILED: frozenset(),
    JobStatus.CANCELED: frozenset(),
    JobStatus.EXPIRED: frozenset(),
}


class Scope(StrEnum):
    """Permission of an API key."""

    JOBS_READ = "jobs:read"
    JOBS_WRITE = "jobs:write"
    WEBHOOKS_WRITE = "webhooks:write"
    CALIBRATIONS_WRITE = "calibrations:write"
    MODELS_WRITE = "models:write"
    ADMIN = "admin"
    """All permissions."""


class EventType(StrEnum):
    """Type of a webhook event."""

    JOB_QUEUED = "job.queued"
    JOB_STARTED = "job.started"
    JOB_SUCCEEDED = "job.succeeded"
    JOB_FAILED = "job.failed"
    JOB_CANCELED = "job.canceled"
    JOB_EXPIRED = "job.expired"
    JOB_PROGRESS = "job.progress"
    """Progress of a running job, every five seconds; only for endpoints that subscribe to it by name."""
    JOB_VERDICT_CHANGED = "job.verdict_changed"
    """Reanalysis of a job with another verdict than before."""
    BATCH_COMPLETED = "batch.completed"
    """End of the last job of a batch."""
    JOB_FEEDBACK = "job.feedback"
    """New feedback on a clip."""
    MEDIA_DELETED = "media.deleted"
    """Deletion of a job's clip; of its result, too, if the whole job was deleted."""
    WEBHOOK_TEST = "webhook.test"
    ENDPOINT_DISABLED = "endpoint.disabled"
    """Deactivation of another webhook endpoint of the tenant."""


STATUS_EVENTS: dict[JobStatus, EventType] = {
    JobStatus.QUEUED: EventType.JOB_QUEUED,
    JobStatus.RUNNING: EventType.JOB_STARTED,
    JobStatus.SUCCEEDED: EventType.JOB_SUCCEEDED,
    JobStatus.FAILED: EventType.JOB_FAILED,
    JobStatus.CANCELED: EventType.JOB_CANCELED,
    JobStatus.EXPIRED: EventType.JOB_EXPIRED,
}
"""Type of the event that reports a transition to a status."""


class Priority(StrEnum):
    """Priority of a job in the queue."""

    LIVE = "live"
    BATCH = "batch"
    """Yields to newer live jobs, for a limited time."""


class ImportStatus(StrEnum):
    """Status of the import of a model."""

    QUEUED = "queued"
    CHECKING = "checking"
    READY = "ready"
    """The model is installed."""
    FAILED = "failed"


class CalibrationSource(StrEnum):
    """Origin of a calibration."""

    MODEL = "model"
    """Released with the model."""
    OWN = "own"
    """Made from clips of the tenant."""


class FeedbackLabel(StrEnum):
    """Label that a person gives a clip."""

    REAL = "real"
    FAKE = "fake"
    UNSURE = "unsure"


class WebhookJobs(StrEnum):
    """Jobs whose events a webhook endpoint receives."""

    ALL = "all"
    """All jobs of the tenant."""
    NAMED = "named"
    """Jobs whose `webhook_url` is the URL of the endpoint."""


class WebhookPayload(StrEnum):
    """Level of detail of a webhook event."""

    THIN = "thin"
    """Status, verdict and links of the job."""
    FULL = "full"
    """Also the result, without frames, if the event fits into 20 kB."""


class Phase(StrEnum):
    """Phase of a running attempt."""

    FETCHING = "fetching"
    EXTRACTING = "extracting"
    SCORING = "scoring"


class Verdict(StrEnum):
    """Verdict on a clip or a track."""

    MANIPULATED = "MANIPULATED"
    SUSPICIOUS = "SUSPICIOUS"
    INCONCLUSIVE = "INCONCLUSIVE"
    """Between the threshold of AUTHENTIC and that of SUSPICIOUS."""
    AUTHENTIC = "AUTHENTIC"
    """Little evidence of manipulation; not a proof of authenticity."""
    NOT_EVALUATED = "NOT_EVALUATED"
    """Too little evidence for a verdict; the result lists the reasons."""

    @property
    def evidence(self) -> str:
        """Sentence for the person who decides."""
        return _EVIDENCE[self]


_EVIDENCE = {
    Verdict.MANIPULATED: "substantial evidence of manipulation",
    Verdict.SUSPICIOUS: "some evidence of manipulation",
    Verdict.INCONCLUSIVE: "not enough evidence either way",
    Verdict.AUTHENTIC: "little evidence of manipulation",
    Verdict.NOT_EVALUATED: "could not be evaluated",
}


class RecommendedAction(StrEnum):
    """Action that a policy recommends for a clip."""

    BLOCK = "block"
    REVIEW = "review"
    ALLOW = "allow"
    NONE = "none"
    """No recommendation."""


class ReasonCode(StrEnum):
    """Reason for which a clip or a track was not evaluated."""

    NO_FACE = "no_face"
    TOO_FEW_FACE_FRAMES = "too_few_face_frames"
    FACE_TOO_SMALL = "face_too_small"
    LOW_QUALITY_DARK = "low_quality_dark"
    LOW_QUALITY_BLUR = "low_quality_blur"
    MODEL_UNTRAINED = "model_untrained"


class WarningCode(StrEnum):
    """Limitation of a result that did not prevent the evaluation, or of a policy."""

    DECODE_PARTIAL = "decode_partial"
    LENGTH_LIMITED = "length_limited"
    """Clip with more packets than are listed, so that its end was not reached."""
    PACKET_LIMIT = "packet_limit"
    """Clip with more packets to decode than allowed, so that some windows were not reached."""
    OTHER_FILM = "other_film"
    """Clip with a second film that was not analyzed."""
    FACES_TURNED = "faces_turned"
    """Clip whose faces were found only after turning its picture."""
    TOO_MANY_FACES = "too_many_faces"
    HIGH_DYNAMIC_RANGE = "high_dynamic_range"
    SPARSE_COVERAGE = "sparse_coverage"
    """Clip that is longer than its windows can cover."""
    RATE_NOT_SHOWN = "rate_not_shown"
    """Rate of a policy that is too low for the number of real clips of the calibration."""
    OWN_CALIBRATION_UNUSED = "own_calibration_unused"
    """Result of another version of the model than the one that was calibrated on own clips."""


class FailureCode(StrEnum):
    """Reason for which a job failed."""

    NOT_A_VIDEO = "not_a_video"
    NO_VIDEO_STREAM = "no_video_stream"
    UNSUPPORTED_CODEC = "unsupported_codec"
    ANIMATED_WEBP = "animated_webp"
    ENCRYPTED_MEDIA = "encrypted_media"
    MEDIA_TOO_LONG = "media_too_long"
    TOO_MANY_PIXELS = "too_many_pixels"
    PART_OUTSIDE = "part_outside"
    """Part of a clip that begins behind its end."""
    DECODE_ERROR = "decode_error"
    DECODE_TIMEOUT = "decode_timeout"
    DECODER_CRASHED = "decoder_crashed"
    RESOURCE_LIMIT = "resource_limit"
    FETCH_BLOCKED = "fetch_blocked"
    """URL with an address that the egress policy refuses."""
    FETCH_FAILED = "fetch_failed"
    """Server that did not answer, or answered with an error."""
    FETCH_TIMEOUT = "fetch_timeout"
    FETCH_TOO_LARGE = "fetch_too_large"
    STORAGE_FULL = "storage_full"
    INPUT_MISSING = "input_missing"
    CHECKSUM_MISMATCH = "checksum_mismatch"
    MODEL_UNAVAILABLE = "model_unavailable"
    WORKER_LOST = "worker_lost"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    INTERNAL = "internal"
