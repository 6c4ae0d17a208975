"""Every error that a client can see: one tree, each leaf with a stable code and an HTTP status.

UnmaskError
├── InvalidRequestError        400 invalid_request
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
├── RequestTooLargeError       413 request_too_large
├── ClipRejectedError
│   ├── ClipTooLargeError      413 clip_too_large
│   └── UnsupportedMediaError  415 unsupported_media
├── ChecksumMismatchError      422 checksum_mismatch
├── IdempotencyMismatchError   422 idempotency_mismatch
├── QuotaExceededError         429 quota_exceeded
├── RateLimitedError           429 rate_limited
├── InternalError              500 internal
├── OverloadedError            503 overloaded
└── StorageFullError           507 storage_full
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """One wrong field: where it is (RFC 6901 JSON pointer) and what is wrong with it."""

    pointer: str
    detail: str


class UnmaskError(Exception):
    """Root of the tree. ``detail`` tells the client what to do next."""

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

    def within(self, pointer: str) -> "UnmaskError":
        """The same error of something that lies deeper in the request."""
        errors = self.errors or (FieldError("", self.detail),)
        moved = [FieldError(pointer + error.pointer, error.detail) for error in errors]
        return type(self)(self.detail, errors=moved, retry_after_seconds=self.retry_after_seconds)


class InvalidRequestError(UnmaskError):
    """The request is malformed; ``errors`` point at the fields."""

    code, status, title = "invalid_request", 400, "Invalid request"


class UnauthorizedError(UnmaskError):
    """The API key is missing or unknown."""

    code, status, title = "unauthorized", 401, "Unauthorized"


class ForbiddenScopeError(UnmaskError):
    """The API key is known, but lacks the scope that this needs."""

    code, status, title = "forbidden_scope", 403, "Forbidden scope"


class NotFoundError(UnmaskError):
    """There is no such thing, or it belongs to somebody else."""

    code, status, title = "not_found", 404, "Not found"


class MethodNotAllowedError(UnmaskError):
    """The path exists, but not with this method; ``Allow`` names those that it has."""

    code, status, title = "method_not_allowed", 405, "Method not allowed"


class RequestTimeoutError(UnmaskError):
    """The client stopped sending in the middle of an upload."""

    code, status, title, retryable = "request_timeout", 408, "Request timeout", True


class ConflictError(UnmaskError):
    """The request does not fit what there is at present."""

    status = 409


class EndpointDisabledError(ConflictError):
    """The webhook endpoint gets nothing until it is enabled again."""

    code, title = "endpoint_disabled", "Endpoint disabled"


class EndpointExistsError(ConflictError):
    """The tenant has a webhook endpoint with this URL."""

    code, title = "endpoint_exists", "Endpoint exists"


class IdempotencyInProgressError(ConflictError):
    """A request with this Idempotency-Key has not been answered yet."""

    code, title, retryable = "idempotency_in_progress", "Idempotency in progress", True


class NotCancelableError(ConflictError):
    """The job has already ended."""

    code, title = "not_cancelable", "Not cancelable"


class NoResultError(ConflictError):
    """The job has no result: not yet, or it failed or was canceled."""

    code, title = "no_result", "No result"


class OffsetMismatchError(ConflictError):
    """The piece does not begin where the upload ends, or another one is being written."""

    code, title, retryable = "offset_mismatch", "Offset mismatch", True


class UploadIncompleteError(ConflictError):
    """The upload lacks bytes."""

    code, title, retryable = "upload_incomplete", "Upload incomplete", True


class GoneError(UnmaskError):
    """The job, or what is asked of it, was deleted; only a tombstone is left."""

    code, status, title = "gone_deleted", 410, "Gone"


class RequestTooLargeError(UnmaskError):
    """The body, which is no clip, has more bytes than the service parses."""

    code, status, title = "request_too_large", 413, "Request too large"


class ClipRejectedError(UnmaskError):
    """The clip was refused at upload."""


class ClipTooLargeError(ClipRejectedError):
    """The clip has more bytes than the service takes."""

    code, status, title = "clip_too_large", 413, "Clip too large"


class UnsupportedMediaError(ClipRejectedError):
    """The first bytes are not those of a video container that the service reads."""

    code, status, title = "unsupported_media", 415, "Unsupported media"


class ChecksumMismatchError(UnmaskError):
    """What was uploaded is not what was announced."""

    code, status, title = "checksum_mismatch", 422, "Checksum mismatch"


class IdempotencyMismatchError(UnmaskError):
    """The Idempotency-Key was used for something else."""

    code, status, title = "idempotency_mismatch", 422, "Idempotency mismatch"


class QuotaExceededError(UnmaskError):
    """The key has used up what it may submit in a day."""

    code, status, title, retryable = "quota_exceeded", 429, "Quota exceeded", True


class RateLimitedError(UnmaskError):
    """The key sends more requests than it may."""

    code, status, title, retryable = "rate_limited", 429, "Rate limited", True


class InternalError(UnmaskError):
    """A defect of ours; the request id finds it in the log."""

    code, status, title, retryable = "internal", 500, "Internal error", True


class OverloadedError(UnmaskError):
    """A part that the request needs does not answer at the moment."""

    code, status, title, retryable = "overloaded", 503, "Overloaded", True


class StorageFullError(UnmaskError):
    """There is no room for the clip."""

    code, status, title, retryable = "storage_full", 507, "Storage full", True
