"""Blocking client of the HTTP API.

``with Client(url=..., api_key=...) as client: print(client.wait(client.submit(Path("clip.mp4")).id).verdict)``
"""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from app.client import requests, upload
from app.client.clip_file import name_of, open_clip
from app.client.errors import ApiError, UnreachableError
from app.client.requests import ApiRequest, Model, Page
from app.schemas.batches import Batch, BatchRequest
from app.schemas.calibrations import CalibrationList, CalibrationRequest, StoredCalibration
from app.schemas.feedback import Feedback, FeedbackRequest
from app.schemas.jobs import Job, ReanalysisRequest
from app.schemas.models import ModelImport
from app.schemas.results import Frame
from app.schemas.submissions import JobOptions, JobRequest
from app.schemas.uploads import ClipUpload


class Client:
    """Client of one API with one API key. Close it, or use it as a context manager.

    Every method raises ApiError if the API returns an error, UnreachableError if it does not answer.
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
        """Upload a clip and submit a job for it. Raises OSError, too, ClipChangedError if the clip changes.

        Args:
            clip: Path of the video file.
            options: Options of the job.
            idempotency_key: Key of the submission; a repetition with the same key returns the same job.
            on_bytes: Callback that receives the number of bytes of each chunk read for sending.
        """
        with open_clip(clip, on_bytes) as file:
            return self._call(requests.submit_job(file, name_of(clip), options, idempotency_key))

    def submit_source(self, request: JobRequest, *, idempotency_key: str | None = None) -> Job:
        """Submit a job for a URL, a resumable upload or the clip of another job."""
        return self._call(requests.submit_source(request, idempotency_key))

    def submit_batch(self, request: BatchRequest, *, idempotency_key: str | None = None) -> Batch:
        """Submit many jobs at once."""
        return self._call(requests.submit_batch(request, idempotency_key))

    def get_batch(self, batch_id: str) -> Batch:
        """Return a batch with the number of jobs per status."""
        return self._call(requests.get_batch(batch_id))

    def upload(self, clip: Path) -> ClipUpload:
        """Upload a clip in chunks, resuming after interruptions; its id is a source of jobs. Raises OSError, too."""
        begun = self._call(requests.begin_upload(clip))
        with clip.open("rb") as file, suppress(StopIteration):
            steps = upload.send_chunks(file, begun)
            step = next(steps)
            while True:
                time.sleep(step.pause_seconds)
                try:
                    response = self._send(step.method, step.path, **step.arguments)
                except (UnreachableError, ApiError) as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(response)
        return self._call(requests.get_upload(begun.id))

    def reanalyze(self, job_id: str, request: ReanalysisRequest) -> Job:
        """Reanalyze the clip of a job with another policy or model."""
        return self._call(requests.reanalyze_job(job_id, request))

    def get(self, job_id: str, *, wait_seconds: float = 0) -> Job:
        """Return a job. Waits up to ``wait_seconds`` for its end."""
        return self._call(requests.get_job(job_id, wait_seconds))

    def wait(self, job_id: str, *, timeout_seconds: float | None = None) -> Job:
        """Wait for the end of a job and return it. Raises StillRunningError after ``timeout_seconds``."""
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        while True:
            job = self.get(job_id, wait_seconds=requests.remaining_wait_seconds(deadline))
            if requests.is_ended(job, deadline):
                return job

    def jobs(self, **filters: str) -> Iterator[Job]:
        """Yield all jobs, newest first; filters are ``status``, ``verdict``, ``external_id`` and so on."""
        for page in self._pages(lambda cursor: requests.list_jobs(cursor, filters)):
            yield from page.items

    def frames(self, job_id: str) -> Iterator[Frame]:
        """Yield all frames of a job that succeeded."""
        for page in self._pages(lambda cursor: requests.list_frames(job_id, cursor)):
            yield from page.items

    def cancel(self, job_id: str) -> Job:
        """Cancel a job that has not ended."""
        return self._call(requests.cancel_job(job_id))

    def delete(self, job_id: str) -> None:
        """Delete a job with its clip and its result."""
        self._send("DELETE", f"/v1/jobs/{job_id}")

    def add_feedback(self, job_id: str, feedback: FeedbackRequest) -> Feedback:
        """Add a person's label of a clip."""
        return self._call(requests.add_feedback(job_id, feedback))

    def calibrations(self) -> CalibrationList:
        """Return your own calibrations and those of the models."""
        return self._call(requests.list_calibrations())

    def create_calibration(self, request: CalibrationRequest) -> StoredCalibration:
        """Calibrate a model on stored results of real clips."""
        return self._call(requests.create_calibration(request))

    def activate_calibration(self, calibration_id: str) -> StoredCalibration:
        """Decide later verdicts by a calibration of yours."""
        return self._call(requests.activate_calibration(calibration_id))

    def deactivate_calibration(self, calibration_id: str) -> StoredCalibration:
        """Decide later verdicts by the calibration of the model again."""
        return self._call(requests.deactivate_calibration(calibration_id))

    def add_model(self, archive: Path) -> ModelImport:
        """Send the zipped directory of a released model; a worker checks and installs it. Raises OSError, too."""
        with archive.open("rb") as file:
            return self._call(requests.add_model(file))

    def get_import(self, import_id: str) -> ModelImport:
        """Return the import of a model."""
        return self._call(requests.get_import(import_id))

    def is_ready(self) -> bool:
        """Return whether the API serves requests."""
        try:
            return self._http.get("/readyz").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _pages(self, make_request: Callable[[str | None], ApiRequest[Page]]) -> Iterator[Page]:
        cursor: str | None = None
        while True:
            page = self._call(make_request(cursor))
            yield page
            if (cursor := page.next_cursor) is None:
                return

    def _call(self, request: ApiRequest[Model]) -> Model:
        return requests.parse_response(request, self._send(request.method, request.path, **request.arguments))

    def _send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            return requests.require_success(self._http.request(method, path, **arguments))
        except httpx.RequestError as error:
            raise requests.make_unreachable_error(self._url, error) from error
