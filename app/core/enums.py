"""The words of the service: a job's statuses and the moves between them, phases, verdicts, reasons, scopes."""

from enum import StrEnum


class JobStatus(StrEnum):
    """Whether the job was processed; says nothing about the clip."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    EXPIRED = "expired"
    """It did not start before its deadline."""

    @property
    def is_final(self) -> bool:
        """True once the status can never change again."""
        return not NEXT_STATUSES[self]


NEXT_STATUSES: dict[JobStatus, frozenset[JobStatus]] = {
    JobStatus.QUEUED: frozenset(
        # Succeeded at once: another policy judges a result that is there already.
        {JobStatus.RUNNING, JobStatus.SUCCEEDED, JobStatus.CANCELED, JobStatus.EXPIRED}
    ),
    JobStatus.RUNNING: frozenset(
        # Back to queued: the worker was lost or asked to stop before the attempt ended.
        {JobStatus.QUEUED, JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELED}
    ),
    JobStatus.SUCCEEDED: frozenset(),
    JobStatus.FAILED: frozenset(),
    JobStatus.CANCELED: frozenset(),
    JobStatus.EXPIRED: frozenset(),
}


class Scope(StrEnum):
    """What an API key may do."""

    JOBS_READ = "jobs:read"
    JOBS_WRITE = "jobs:write"
    WEBHOOKS_WRITE = "webhooks:write"
    ADMIN = "admin"
    """Everything that the others may."""


class EventType(StrEnum):
    """What webhooks tell."""

    JOB_QUEUED = "job.queued"
    JOB_STARTED = "job.started"
    JOB_SUCCEEDED = "job.succeeded"
    JOB_FAILED = "job.failed"
    JOB_CANCELED = "job.canceled"
    JOB_EXPIRED = "job.expired"
    JOB_PROGRESS = "job.progress"
    """How far a running job is, every five seconds; only for endpoints that name it."""
    JOB_VERDICT_CHANGED = "job.verdict_changed"
    """A job that was analysed again got another verdict than the one before."""
    BATCH_COMPLETED = "batch.completed"
    """All jobs of a batch have ended."""
    JOB_FEEDBACK = "job.feedback"
    """Somebody said what the clip is."""
    MEDIA_DELETED = "media.deleted"
    """The file of a job's clip was deleted, and its result, too, if the whole job was."""
    WEBHOOK_TEST = "webhook.test"
    ENDPOINT_DISABLED = "endpoint.disabled"
    """Another webhook endpoint of the tenant gets nothing any more."""


STATUS_EVENTS: dict[JobStatus, EventType] = {
    JobStatus.QUEUED: EventType.JOB_QUEUED,
    JobStatus.RUNNING: EventType.JOB_STARTED,
    JobStatus.SUCCEEDED: EventType.JOB_SUCCEEDED,
    JobStatus.FAILED: EventType.JOB_FAILED,
    JobStatus.CANCELED: EventType.JOB_CANCELED,
    JobStatus.EXPIRED: EventType.JOB_EXPIRED,
}
"""What is told when a job gets to a status."""


class Priority(StrEnum):
    """Which lane a job waits in."""

    LIVE = "live"
    BATCH = "batch"
    """Lets live jobs pass for a while, but not for ever."""


class FeedbackLabel(StrEnum):
    """What a person says a clip is."""

    REAL = "real"
    FAKE = "fake"
    UNSURE = "unsure"


class WebhookJobs(StrEnum):
    """Whose events a webhook endpoint gets."""

    ALL = "all"
    """Of all jobs of the tenant."""
    NAMED = "named"
    """Of jobs whose `webhook_url` is this endpoint's."""


class WebhookPayload(StrEnum):
    """How much a webhook says of a job."""

    THIN = "thin"
    """Enough to decide whether to read the job."""
    FULL = "full"
    """Also the result, without frames, where it fits into 20 kB."""


class Phase(StrEnum):
    """What a running attempt is busy with."""

    FETCHING = "fetching"
    EXTRACTING = "extracting"
    SCORING = "scoring"


class Verdict(StrEnum):
    """What the detector says about a clip or a track."""

    MANIPULATED = "MANIPULATED"
    SUSPICIOUS = "SUSPICIOUS"
    AUTHENTIC = "AUTHENTIC"
    """No evidence of manipulation was found; not a proof that there is none."""
    NOT_EVALUATED = "NOT_EVALUATED"
    """The evidence is too thin; the reasons say why."""

    @classmethod
    def of(cls, probability: float | None, *, suspicious_at: float, manipulated_at: float) -> "Verdict":
        """The verdict on a probability of fake; None: nothing was evaluated."""
        if probability is None:
            return cls.NOT_EVALUATED
        if probability >= manipulated_at:
            return cls.MANIPULATED
        return cls.SUSPICIOUS if probability >= suspicious_at else cls.AUTHENTIC


class RecommendedAction(StrEnum):
    """What a policy advises to do with a clip."""

    BLOCK = "block"
    REVIEW = "review"
    ALLOW = "allow"
    NONE = "none"
    """The policy has no advice."""


class ReasonCode(StrEnum):
    """Why a clip or a track was not evaluated."""

    NO_FACE = "no_face"
    TOO_FEW_FACE_FRAMES = "too_few_face_frames"
    FACE_TOO_SMALL = "face_too_small"
    LOW_QUALITY_DARK = "low_quality_dark"
    LOW_QUALITY_BLUR = "low_quality_blur"
    MODEL_UNTRAINED = "model_untrained"


class WarningCode(StrEnum):
    """What a reader of a result should know; it did not stop the evaluation."""

    DECODE_PARTIAL = "decode_partial"
    TOO_MANY_FACES = "too_many_faces"
    HIGH_DYNAMIC_RANGE = "high_dynamic_range"


class FailureCode(StrEnum):
    """Why a job ended ``failed``."""

    NOT_A_VIDEO = "not_a_video"
    NO_VIDEO_STREAM = "no_video_stream"
    UNSUPPORTED_CODEC = "unsupported_codec"
    ENCRYPTED_MEDIA = "encrypted_media"
    MEDIA_TOO_LONG = "media_too_long"
    TOO_MANY_PIXELS = "too_many_pixels"
    DECODE_ERROR = "decode_error"
    DECODE_TIMEOUT = "decode_timeout"
    DECODER_CRASHED = "decoder_crashed"
    RESOURCE_LIMIT = "resource_limit"
    FETCH_BLOCKED = "fetch_blocked"
    """The URL leads to where the service does not connect."""
    FETCH_FAILED = "fetch_failed"
    """The server did not answer, or with something else than the clip."""
    FETCH_TIMEOUT = "fetch_timeout"
    FETCH_TOO_LARGE = "fetch_too_large"
    STORAGE_FULL = "storage_full"
    INPUT_MISSING = "input_missing"
    CHECKSUM_MISMATCH = "checksum_mismatch"
    MODEL_UNAVAILABLE = "model_unavailable"
    WORKER_LOST = "worker_lost"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    INTERNAL = "internal"
