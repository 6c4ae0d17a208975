"""Errors of the SDK."""

from app.schemas.jobs import Job
from app.schemas.problems import Problem


class ApiError(Exception):
    """Error response of the API; ``problem`` has its code and detail."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


class InvalidApiKeyError(Exception):
    """API key that no HTTP header can hold."""

    def __init__(self) -> None:
        super().__init__("The API key has characters that no key has. Copy it again: letters, digits, '-' and '_'.")


class UnreachableError(Exception):
    """URL without a server, or with a server that is not this API."""


class StillRunningError(Exception):
    """Job that has not ended within the timeout; ``job`` is its latest state."""

    def __init__(self, job: Job) -> None:
        super().__init__(f"{job.id} is still {job.status}.")
        self.job = job
