"""A client of the HTTP API that blocks: for the command line, the web interface, and yours.

``with Client(url=..., api_key=...) as client: print(client.wait(client.submit(Path("clip.mp4")).id).verdict)``
"""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, cast

import httpx

from app.client import requests, upload
from app.client.errors import ApiError, UnreachableError
from app.client.requests import ApiRequest, Model, Page
from app.schemas.batches import Batch, BatchRequest
from app.schemas.feedback import Feedback, FeedbackRequest
from app.schemas.jobs import Job, ReanalysisRequest
from app.schemas.results import Frame
from app.schemas.submissions import JobOptions, JobRequest
from app.schemas.uploads import ClipUpload


class _Reporting:
    """A file that tells how much of it was read."""

    def __init__(self, file: BinaryIO, on_bytes: Callable[[int], None]) -> None:
        self._file = file
        self._on_bytes = on_bytes

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._on_bytes(len(data))
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class Client:
    """Talks to one API with one key; close it, or use it as a context manager.

    Every method raises ApiError where the API refuses, UnreachableError where it does not answer.
    """

    def __init__(self, *, url: str, api_key: str) -> None:
        self._url = url
        self._http = httpx.Client(**requests.connection_settings(url, api_key))

    def submit(
        self,
        clip: Path,
        *,
        options: JobOptions | None = None,
        idempotency_key: str | None = None,
        on_bytes: Callable[[int], None] = lambda _: None,
    ) -> Job:
        """Uploads a clip, piece by piece. Also raises OSError.

        Args:
            clip: The video file.
            options: What to say about it.
            idempotency_key: With the same key, a submission that is repeated makes one job.
            on_bytes: Told of each piece that was read for sending.
        """
        with clip.open("rb") as file:
            reporting = cast("BinaryIO", _Reporting(file, on_bytes))
            return self._call(requests.submit_job(reporting, clip.name, options, idempotency_key))

    def submit_source(self, request: JobRequest, *, idempotency_key: str | None = None) -> Job:
        """Submits a clip that the service has, or gets from a URL."""
        return self._call(requests.submit_source(request, idempotency_key))

    def submit_batch(self, request: BatchRequest, *, idempotency_key: str | None = None) -> Batch:
        """Submits many of these at once."""
        return self._call(requests.submit_batch(request, idempotency_key))

    def get_batch(self, batch_id: str) -> Batch:
        """How far a batch is."""
        return self._call(requests.get_batch(batch_id))

    def upload(self, clip: Path) -> ClipUpload:
        """Sends a clip in pieces, over a line that may break; name its id as a source. Also raises OSError."""
        begun = self._call(requests.begin_upload(clip))
        with clip.open("rb") as file, suppress(StopIteration):
            steps = upload.send_chunks(file, begun)
            step = next(steps)
            while True:
                time.sleep(step.pause_seconds)
                try:
                    answer = self._send(step.method, step.path, **step.arguments)
                except (UnreachableError, ApiError) as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(answer)
        return self._call(requests.get_upload(begun.id))

    def reanalyze(self, job_id: str, request: ReanalysisRequest) -> Job:
        """Looks at a clip again, with another policy or model."""
        return self._call(requests.reanalyze_job(job_id, request))

    def get(self, job_id: str, *, wait_seconds: float = 0) -> Job:
        """A job; with ``wait_seconds`` as soon as it has ended, at the latest after that time."""
        return self._call(requests.get_job(job_id, wait_seconds))

    def wait(self, job_id: str, *, timeout_seconds: float | None = None) -> Job:
        """The job once it has ended. Raises StillRunningError rather than to return one that has not."""
        end = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        while not requests.is_over(job := self.get(job_id, wait_seconds=requests.next_wait(end)), end):
            pass
        return job

    def jobs(self, **filters: str) -> Iterator[Job]:
        """All jobs, newest first; filters as ``status``, ``verdict``, ``external_id``."""
        for page in self._pages(lambda cursor: requests.list_jobs(cursor, filters)):
            yield from page.items

    def frames(self, job_id: str) -> Iterator[Frame]:
        """All frames of a job that succeeded."""
        for page in self._pages(lambda cursor: requests.list_frames(job_id, cursor)):
            yield from page.items

    def cancel(self, job_id: str) -> Job:
        """Ends a job that has not ended."""
        return self._call(requests.cancel_job(job_id))

    def delete(self, job_id: str) -> None:
        """Removes a job with its clip and its result."""
        self._send("DELETE", f"/v1/jobs/{job_id}")

    def add_feedback(self, job_id: str, feedback: FeedbackRequest) -> Feedback:
        """Keeps what a person said of a clip."""
        return self._call(requests.add_feedback(job_id, feedback))

    def is_ready(self) -> bool:
        """Whether the API serves requests."""
        try:
            return self._http.get("/readyz").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _pages(self, call: Callable[[str | None], ApiRequest[Page]]) -> Iterator[Page]:
        cursor: str | None = None
        while True:
            page = self._call(call(cursor))
            yield page
            if (cursor := page.next_cursor) is None:
                return

    def _call(self, call: ApiRequest[Model]) -> Model:
        return requests.parse(call, self._send(call.method, call.path, **call.arguments))

    def _send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            return requests.check(self._http.request(method, path, **arguments))
        except httpx.TransportError as error:
            raise requests.unreachable(self._url, error) from error
