"""A client of the HTTP API, for the command line and whoever wants to call it from Python."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, cast

import httpx
from pydantic import ValidationError

from app.schemas import Frame, FramePage, Job, JobOptions, Problem

_TIMEOUT = httpx.Timeout(30.0, read=90.0)


class ApiError(Exception):
    """The API refused a request; ``problem`` says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


class UnreachableError(Exception):
    """Nothing answers at the URL, or what answers is not this API."""


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
    """Talks to one API with one key; close it, or use it as a context manager."""

    def __init__(self, *, url: str, api_key: str) -> None:
        self._url = url
        headers = {"Authorization": f"Bearer {api_key}"}
        # trust_env: a proxy of the environment must not get the key of a service on this machine.
        self._http = httpx.Client(base_url=url, headers=headers, timeout=_TIMEOUT, trust_env=False)

    def submit(
        self,
        clip: Path,
        *,
        options: JobOptions | None = None,
        on_bytes: Callable[[int], None] = lambda _: None,
    ) -> Job:
        """Uploads a clip.

        Args:
            clip: The video file.
            options: What to say about it.
            on_bytes: Told of each piece that was read for sending.

        Raises:
            ApiError: The API refused it.
            UnreachableError: The API does not answer.
            OSError: The file cannot be read.
        """
        with clip.open("rb") as file:
            parts: dict[str, Any] = {"file": (clip.name, cast("BinaryIO", _Reporting(file, on_bytes)))}
            if options is not None:
                parts["options"] = (None, options.model_dump_json(), "application/json")
            return Job.model_validate_json(self._send("POST", "/v1/jobs", files=parts).content)

    def get(self, job_id: str, *, wait_seconds: float = 0) -> Job:
        """A job; with ``wait_seconds`` as soon as it has ended, at the latest after that time."""
        response = self._send("GET", f"/v1/jobs/{job_id}", params={"wait": wait_seconds})
        return Job.model_validate_json(response.content)

    def frames(self, job_id: str) -> Iterator[Frame]:
        """All frames of a job that succeeded."""
        params: dict[str, str | int] = {"limit": 1000}
        while True:
            response = self._send("GET", f"/v1/jobs/{job_id}/frames", params=params)
            page = FramePage.model_validate_json(response.content)
            yield from page.items
            if page.next_cursor is None:
                return
            params["cursor"] = page.next_cursor

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

    def _send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, **arguments)
        except httpx.TransportError as error:
            raise UnreachableError(
                f"No answer from {self._url} ({error}). Start the service with 'make serve', or set --url."
            ) from error
        if response.is_success:
            return response
        try:
            problem = Problem.model_validate_json(response.content)
        except ValidationError as error:
            raise UnreachableError(f"{self._url} answered {response.status_code}; is it Unmask?") from error
        raise ApiError(problem)
