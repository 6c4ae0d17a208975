"""Errors that clients can see: one tree, each leaf with a stable code and an HTTP status.

UnmaskError
├── InvalidRequestError        400 invalid_request
├── RateNotSupportedError      400 rate_not_supported
├── TooFewClipsError           400 too_few_clips
├── UnauthorizedError          401 unauthorized
├── ForbiddenScopeError        403 forbidden_scope
├── NotFoundError              404 not_found
├── MethodNotAllowedError      405 method_not_allowed
├── ConflictError
│   ├── EndpointDisabledError  409 endpoint_disabled
│   ├── EndpointExistsError    409 endpoint_exists
│   ├── IdempotencyInProgressError  409 idempotency_in_progress
│   ├── NotCancelableError     409 not_cancelable
│   ├── NoResultError          409 no_result
│   ├── OffsetMismatchError    409 offset_mismatch
│   └── UploadIncompleteError  409 upload_incomplete
├── RequestTimeoutError        408 request_timeout
├── GoneError                  410 gone_deleted
├── TusVersionError            412 tus_version_unsupported
├── RequestTooLargeError       413 request_too_large
├── ModelTooLargeError         413 model_too_large
├── ClipRejectedError
│   ├── ClipTooLargeError      413 clip_too_large
│   ├── AnimatedWebpError      415 animated_webp
│   └── UnsupportedMediaError  415 unsupported_media
├── ChecksumMismatchError      422 checksum_mismatch
├── InvalidArchiveError        422 invalid_archive
├── IdempotencyMismatchError   422 idempotency_mismatch
├── QuotaExceededError         429 quota_exceeded
├── RateLimitedError           429 rate_limited
├── InternalError              500 internal
├── OverloadedError            503 overloaded
└── StorageFullError           507 storage_full
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self


@dataclass(frozen=True, slots=True)
class FieldError:
    """Invalid field: its RFC 6901 JSON pointer and a description of the error."""

    pointer: str
    detail: str


class UnmaskError(Exception):
    """Root of the tree. ``detail`` names the client's next step."""

    code: ClassVar[str]
    status: ClassVar[int]
    title: ClassVar[str]
    retryable: ClassVar[bool] = False

    def __init__(
        self, detail: str, *, errors: Sequence[FieldError] = (), retry_after_seconds: int | None = None
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = tuple(errors)
        self.retry_after_seconds = retry_after_seconds

    def with_pointer_prefix(self, prefix: str) -> "UnmaskError":
        """Return the same error with a prefix before the JSON pointer of each field."""
        errors = self.errors or (FieldError("", self.detail),)
        moved = [FieldError(prefix + error.pointer, error.detail) for error in errors]
        return type(self)(self.detail, errors=moved, retry_after_seconds=self.retry_after_seconds)


class InvalidRequestError(UnmaskError):
    """Malformed request; ``errors`` lists the invalid fields."""

    code, status, title = "invalid_request", 400, "Invalid request"


class RateNotSupportedError(UnmaskError):
    """Policy with a false-positive rate that the calibration of the default model cannot show."""

    code, status, title = "rate_not_supported", 400, "Rate not supported"


class TooFewClipsError(UnmaskError):
    """Calibration on too few real clips to show its rates."""

    code, status, title = "too_few_clips", 400, "Too few clips"


class ModelTooLargeError(UnmaskError):
    """Archive of a model that exceeds the limit, packed or unpacked."""

    code, status, title = "model_too_large", 413, "Model too large"

    @classmethod
    def of_limit(cls, max_bytes: int) -> Self:
        """Make the error for a limit."""
        return cls(f"A model may have at most {max_bytes} bytes (UNMASK_MODEL_MAX_BYTES). Export it in half precision.")


class InvalidArchiveError(UnmaskError):
    """Archive that is not that of a released model."""

    code, status, title = "invalid_archive", 422, "Invalid archive"


class UnauthorizedError(UnmaskError):
    """Missing or unknown API key."""

    code, status, title = "unauthorized", 401, "Unauthorized"


class ForbiddenScopeError(UnmaskError):
    """Valid API key without the scope that the operation requires."""

    code, status, title = "forbidden_scope", 403, "Forbidden scope"


class NotFoundError(UnmaskError):
    """Unknown object, or object of another tenant."""

    code, status, title = "not_found", 404, "Not found"


class MethodNotAllowedError(UnmaskError):
    """Method that the path does not support; the header ``Allow`` lists the supported ones."""

    code, status, title = "method_not_allowed", 405, "Method not allowed"


class RequestTimeoutError(UnmaskError):
    """Upload whose client stopped sending."""

    code, status, title, retryable = "request_timeout", 408, "Request timeout", True


class ConflictError(UnmaskError):
    """Request that conflicts with the current state of an object."""

    status = 409


class EndpointDisabledError(ConflictError):
    """Disabled webhook endpoint; it receives no events until a client enables it again."""

    code, title = "endpoint_disabled", "Endpoint disabled"


class EndpointExistsError(ConflictError):
    """Second webhook endpoint of a tenant with the same URL."""

    code, title = "endpoint_exists", "Endpoint exists"


class IdempotencyInProgressError(ConflictError):
    """Idempotency-Key of a request that is still being processed."""

    code, title, retryable = "idempotency_in_progress", "Idempotency in progress", True


class NotCancelableError(ConflictError):
    """Job that has already ended."""

    code, title = "not_cancelable", "Not cancelable"


class NoResultError(ConflictError):
    """Job without a result: it has not ended yet, failed or was canceled."""

    code, title = "no_result", "No result"


class OffsetMismatchError(ConflictError):
    """Chunk that does not begin at the end of the upload, or that arrives while another one is written."""

    code, title, retryable = "offset_mismatch", "Offset mismatch", True


class UploadIncompleteError(ConflictError):
    """Upload with missing bytes."""

    code, title, retryable = "upload_incomplete", "Upload incomplete", True


class GoneError(UnmaskError):
    """Deleted job, or deleted part of a job; only a tombstone remains."""

    code, status, title = "gone_deleted", 410, "Gone"


class TusVersionError(UnmaskError):
    """Request of a resumable upload in another version of the protocol."""

    code, status, title = "tus_version_unsupported", 412, "Version of tus is not supported"


class RequestTooLargeError(UnmaskError):
    """Request body, other than a clip, that exceeds its size limit."""

    code, status, title = "request_too_large", 413, "Request too large"


class ClipRejectedError(UnmaskError):
    """Clip that the service rejects at upload."""


class ClipTooLargeError(ClipRejectedError):
    """Clip that exceeds the size limit."""

    code, status, title = "clip_too_large", 413, "Clip too large"

    @classmethod
    def of_limit(cls, max_bytes: int) -> Self:
        """Return the error of a clip that has more bytes than the limit."""
        size = f"{max_bytes} bytes ({max_bytes / 2**20:.0f} MiB)"
        return cls(f"A clip may have at most {size}. Send a shorter or smaller clip.")


class AnimatedWebpError(ClipRejectedError):
    """Animated WebP, which the decoder cannot read."""

    code, status, title = "animated_webp", 415, "Animated WebP"


class UnsupportedMediaError(ClipRejectedError):
    """File whose first bytes are not those of a supported video container."""

    code, status, title = "unsupported_media", 415, "Unsupported media"


class ChecksumMismatchError(UnmaskError):
    """Upload whose SHA-256 differs from the declared one."""

    code, status, title = "checksum_mismatch", 422, "Checksum mismatch"


class IdempotencyMismatchError(UnmaskError):
    """Idempotency-Key that was used for another submission."""

    code, status, title = "idempotency_mismatch", 422, "Idempotency mismatch"


class QuotaExceededError(UnmaskError):
    """API key that has used up its daily quota."""

    code, status, title, retryable = "quota_exceeded", 429, "Quota exceeded", True


class RateLimitedError(UnmaskError):
    """API key that exceeds its request rate."""

    code, status, title, retryable = "rate_limited", 429, "Rate limited", True


class InternalError(UnmaskError):
    """Defect of the service; the request id identifies it in the log."""

    code, status, title, retryable = "internal", 500, "Internal error", True


class OverloadedError(UnmaskError):
    """Temporary failure of a component that the request needs."""

    code, status, title, retryable = "overloaded", 503, "Overloaded", True


class StorageFullError(UnmaskError):
    """Disk without space for the clip."""

    code, status, title, retryable = "storage_full", 507, "Storage full", True


def describe_os_error(error: OSError) -> str:
    """Return a sentence with the path, the reason and the next step."""
    if error.filename is None:
        return f"{error.strerror or error}."
    return f"{error.filename}: {error.strerror or error}. Check the path and its permissions."
