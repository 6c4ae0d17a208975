"""Client of the HTTP API for asyncio, with the methods of ``Client``."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
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


class AsyncClient:
    """Client of one API with one API key; ``async with`` closes it."""

    def __init__(self, *, url: str, api_key: str) -> None:
        self._url = url
        self._http = httpx.AsyncClient(**requests.connection_settings(url, api_key))

    async def submit(self, clip: Path, *, options: JobOptions | None = None, idempotency_key: str | None = None) -> Job:
        """Upload a clip and submit a job for it, as ``Client.submit``."""
        with open_clip(clip) as file:
            return await self._call(requests.submit_job(file, name_of(clip), options, idempotency_key))

    async def submit_source(self, request: JobRequest, *, idempotency_key: str | None = None) -> Job:
        """Submit a job for a named source, as ``Client.submit_source``."""
        return await self._call(requests.submit_source(request, idempotency_key))

    async def submit_batch(self, request: BatchRequest, *, idempotency_key: str | None = None) -> Batch:
        """Submit many jobs at once, as ``Client.submit_batch``."""
        return await self._call(requests.submit_batch(request, idempotency_key))

    async def get_batch(self, batch_id: str) -> Batch:
        """Return a batch, as ``Client.get_batch``."""
        return await self._call(requests.get_batch(batch_id))

    async def upload(self, clip: Path) -> ClipUpload:
        """Upload a clip in chunks, as ``Client.upload``."""
        begun = await self._call(requests.begin_upload(clip))
        with clip.open("rb") as file, suppress(StopIteration):
            steps = upload.send_chunks(file, begun)
            step = next(steps)
            while True:
                await asyncio.sleep(step.pause_seconds)
                try:
                    response = await self._send(step.method, step.path, **step.arguments)
                except (UnreachableError, ApiError) as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(response)
        return await self._call(requests.get_upload(begun.id))

    async def reanalyze(self, job_id: str, request: ReanalysisRequest) -> Job:
        """Reanalyze the clip of a job, as ``Client.reanalyze``."""
        return await self._call(requests.reanalyze_job(job_id, request))

    async def get(self, job_id: str, *, wait_seconds: float = 0) -> Job:
        """Return a job, as ``Client.get``."""
        return await self._call(requests.get_job(job_id, wait_seconds))

    async def wait(self, job_id: str, *, timeout_seconds: float | None = None) -> Job:
        """Wait for the end of a job and return it, as ``Client.wait``."""
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        while True:
            job = await self.get(job_id, wait_seconds=requests.remaining_wait_seconds(deadline))
            if requests.is_ended(job, deadline):
                return job

    async def jobs(self, **filters: str) -> AsyncIterator[Job]:
        """Yield all jobs, as ``Client.jobs``."""
        async for page in self._pages(lambda cursor: requests.list_jobs(cursor, filters)):
            for job in page.items:
                yield job

    async def frames(self, job_id: str) -> AsyncIterator[Frame]:
        """Yield all frames of a job, as ``Client.frames``."""
        async for page in self._pages(lambda cursor: requests.list_frames(job_id, cursor)):
            for frame in page.items:
                yield frame

    async def cancel(self, job_id: str) -> Job:
        """Cancel a job, as ``Client.cancel``."""
        return await self._call(requests.cancel_job(job_id))

    async def delete(self, job_id: str) -> None:
        """Delete a job, as ``Client.delete``."""
        await self._send("DELETE", f"/v1/jobs/{job_id}")

    async def add_feedback(self, job_id: str, feedback: FeedbackRequest) -> Feedback:
        """Add a person's label of a clip, as ``Client.add_feedback``."""
        return await self._call(requests.add_feedback(job_id, feedback))

    async def calibrations(self) -> CalibrationList:
        """Return your own calibrations and those of the models, as ``Client.calibrations``."""
        return await self._call(requests.list_calibrations())

    async def create_calibration(self, request: CalibrationRequest) -> StoredCalibration:
        """Calibrate a model on stored results, as ``Client.create_calibration``."""
        return await self._call(requests.create_calibration(request))

    async def activate_calibration(self, calibration_id: str) -> StoredCalibration:
        """Decide later verdicts by a calibration, as ``Client.activate_calibration``."""
        return await self._call(requests.activate_calibration(calibration_id))

    async def deactivate_calibration(self, calibration_id: str) -> StoredCalibration:
        """Decide later verdicts by that of the model, as ``Client.deactivate_calibration``."""
        return await self._call(requests.deactivate_calibration(calibration_id))

    async def add_model(self, archive: Path) -> ModelImport:
        """Send the zipped directory of a released model, as ``Client.add_model``."""
        with archive.open("rb") as file:
            return await self._call(requests.add_model(file))

    async def get_import(self, import_id: str) -> ModelImport:
        """Return the import of a model, as ``Client.get_import``."""
        return await self._call(requests.get_import(import_id))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def _pages(self, make_request: Callable[[str | None], ApiRequest[Page]]) -> AsyncIterator[Page]:
        cursor: str | None = None
        while True:
            page = await self._call(make_request(cursor))
            yield page
            if (cursor := page.next_cursor) is None:
                return

    async def _call(self, request: ApiRequest[Model]) -> Model:
        response = await self._send(request.method, request.path, **request.arguments)
        return requests.parse_response(request, response)

    async def _send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            return requests.require_success(await self._http.request(method, path, **arguments))
        except httpx.RequestError as error:
            raise requests.make_unreachable_error(self._url, error) from error
