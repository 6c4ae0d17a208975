"""Clients of the HTTP API, one that blocks and one for asyncio: for the command line, the web interface, and yours.

``with Client(url=..., api_key=...) as client: print(client.wait(client.submit(Path("clip.mp4")).id).verdict)``
"""

import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, cast

import httpx
from pydantic import ValidationError

from app import calls
from app.calls import Call, Model, Page
from app.schemas import Feedback, FeedbackRequest, Frame, Job, JobOptions, Problem

_TIMEOUT = httpx.Timeout(30.0, read=90.0)
_WAIT_SECONDS = 30.0
"""How long one request waits for a job; proxies commonly cut a silent connection after a minute."""


class ApiError(Exception):
    """The API refused a request; ``problem`` says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


class UnreachableError(Exception):
    """Nothing answers at the URL, or what answers is not this API."""


class StillRunningError(Exception):
    """The job has not ended in the time that it was given; ``job`` is how far it is."""

    def __init__(self, job: Job) -> None:
        super().__init__(f"{job.id} is still {job.status}.")
        self.job = job


def _settings(url: str, api_key: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {api_key}"}
    # trust_env: a proxy of the environment must not get the key of a service on this machine.
    return {"base_url": url, "headers": headers, "timeout": _TIMEOUT, "trust_env": False}


def _check(response: httpx.Response) -> httpx.Response:
    if response.is_success:
        return response
    try:
        problem = Problem.model_validate_json(response.content)
    except ValidationError as error:
        raise UnreachableError(f"{response.url} answered {response.status_code}; is it Unmask?") from error
    raise ApiError(problem)


def _parse(call: Call[Model], response: httpx.Response) -> Model:
    try:
        return call.answer.model_validate_json(response.content)
    except ValidationError as error:
        raise UnreachableError(f"{response.url} answers otherwise than this client expects: {error}") from error


def _unreachable(url: str, error: Exception) -> UnreachableError:
    return UnreachableError(f"No answer from {url} ({error}). Start the service with 'make serve', or set --url.")


def _next_wait(end: float | None) -> float:
    return _WAIT_SECONDS if end is None else max(min(_WAIT_SECONDS, end - time.monotonic()), 0)


def _is_over(job: Job, end: float | None) -> bool:
    """Whether the job has ended. Raises StillRunningError where its time is over."""
    if not job.status.is_final and end is not None and time.monotonic() >= end:
        raise StillRunningError(job)
    return job.status.is_final


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
        self._http = httpx.Client(**_settings(url, api_key))

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
            return self._call(calls.submit_job(reporting, clip.name, options, idempotency_key))

    def get(self, job_id: str, *, wait_seconds: float = 0) -> Job:
        """A job; with ``wait_seconds`` as soon as it has ended, at the latest after that time."""
        return self._call(calls.get_job(job_id, wait_seconds))

    def wait(self, job_id: str, *, timeout_seconds: float | None = None) -> Job:
        """The job once it has ended. Raises StillRunningError rather than to return one that has not."""
        end = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        while not _is_over(job := self.get(job_id, wait_seconds=_next_wait(end)), end):
            pass
        return job

    def jobs(self, **filters: str) -> Iterator[Job]:
        """All jobs, newest first; filters as ``status``, ``verdict``, ``external_id``."""
        for page in self._pages(lambda cursor: calls.list_jobs(cursor, filters)):
            yield from page.items

    def frames(self, job_id: str) -> Iterator[Frame]:
        """All frames of a job that succeeded."""
        for page in self._pages(lambda cursor: calls.list_frames(job_id, cursor)):
            yield from page.items

    def cancel(self, job_id: str) -> Job:
        """Ends a job that has not ended."""
        return self._call(calls.cancel_job(job_id))

    def delete(self, job_id: str) -> None:
        """Removes a job with its clip and its result."""
        self._send("DELETE", f"/v1/jobs/{job_id}")

    def add_feedback(self, job_id: str, feedback: FeedbackRequest) -> Feedback:
        """Keeps what a person said of a clip."""
        return self._call(calls.add_feedback(job_id, feedback))

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

    def _pages(self, call: Callable[[str | None], Call[Page]]) -> Iterator[Page]:
        cursor: str | None = None
        while True:
            page = self._call(call(cursor))
            yield page
            if (cursor := page.next_cursor) is None:
                return

    def _call(self, call: Call[Model]) -> Model:
        return _parse(call, self._send(call.method, call.path, **call.arguments))

    def _send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            return _check(self._http.request(method, path, **arguments))
        except httpx.TransportError as error:
            raise _unreachable(self._url, error) from error


class AsyncClient:
    """The same for asyncio; ``async with`` closes it."""

    def __init__(self, *, url: str, api_key: str) -> None:
        self._url = url
        self._http = httpx.AsyncClient(**_settings(url, api_key))

    async def submit(self, clip: Path, *, options: JobOptions | None = None, idempotency_key: str | None = None) -> Job:
        """As ``Client.submit``."""
        with clip.open("rb") as file:
            return await self._call(calls.submit_job(file, clip.name, options, idempotency_key))

    async def get(self, job_id: str, *, wait_seconds: float = 0) -> Job:
        """As ``Client.get``."""
        return await self._call(calls.get_job(job_id, wait_seconds))

    async def wait(self, job_id: str, *, timeout_seconds: float | None = None) -> Job:
        """As ``Client.wait``."""
        end = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        while not _is_over(job := await self.get(job_id, wait_seconds=_next_wait(end)), end):
            pass
        return job

    async def jobs(self, **filters: str) -> AsyncIterator[Job]:
        """As ``Client.jobs``."""
        async for page in self._pages(lambda cursor: calls.list_jobs(cursor, filters)):
            for job in page.items:
                yield job

    async def frames(self, job_id: str) -> AsyncIterator[Frame]:
        """As ``Client.frames``."""
        async for page in self._pages(lambda cursor: calls.list_frames(job_id, cursor)):
            for frame in page.items:
                yield frame

    async def cancel(self, job_id: str) -> Job:
        """As ``Client.cancel``."""
        return await self._call(calls.cancel_job(job_id))

    async def delete(self, job_id: str) -> None:
        """As ``Client.delete``."""
        await self._send("DELETE", f"/v1/jobs/{job_id}")

    async def add_feedback(self, job_id: str, feedback: FeedbackRequest) -> Feedback:
        """As ``Client.add_feedback``."""
        return await self._call(calls.add_feedback(job_id, feedback))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def _pages(self, call: Callable[[str | None], Call[Page]]) -> AsyncIterator[Page]:
        cursor: str | None = None
        while True:
            page = await self._call(call(cursor))
            yield page
            if (cursor := page.next_cursor) is None:
                return

    async def _call(self, call: Call[Model]) -> Model:
        return _parse(call, await self._send(call.method, call.path, **call.arguments))

    async def _send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            return _check(await self._http.request(method, path, **arguments))
        except httpx.TransportError as error:
            raise _unreachable(self._url, error) from error
