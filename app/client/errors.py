"""Errors of the clients."""

from app.schemas.jobs import Job
from app.schemas.problems import Problem


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
