"""Clients against the running service: ``wait`` returns final jobs or raises."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from app.client.async_client import AsyncClient
from app.client.errors import ApiError, StillRunningError
from app.core.enums import FeedbackLabel, JobStatus
from app.schemas.feedback import FeedbackRequest
from app.schemas.submissions import JobOptions
from tests.conftest import API_KEY
from tests.e2e.conftest import Process, Service

pytestmark = [pytest.mark.xdist_group("e2e"), pytest.mark.usefixtures("running_worker")]
FAKE = FeedbackRequest(label=FeedbackLabel.FAKE)


def test_client_wait_returns_finished_job(service: Service, clip: Callable[[str], Path]) -> None:
    client = service.client
    options = JobOptions(external_id="client")
    first = client.submit(clip("speaker.mp4"), options=options, idempotency_key="client-1")
    assert client.submit(clip("speaker.mp4"), options=options, idempotency_key="client-1").id == first.id
    ended = client.wait(first.id, timeout_seconds=60)
    assert ended.status is JobStatus.SUCCEEDED
    assert [job.id for job in client.jobs(external_id="client")] == [first.id]
    assert client.add_feedback(first.id, FAKE).label is FeedbackLabel.FAKE
    client.delete(first.id)
    with pytest.raises(ApiError) as error:
        client.get(first.id)
    assert error.value.problem.code == "gone_deleted"


def test_async_client_wait_returns_finished_job(service: Service, clip: Callable[[str], Path]) -> None:
    async def use() -> None:
        async with AsyncClient(url=service.url, api_key=API_KEY) as client:
            options = JobOptions(external_id="async")
            path = clip("speaker.mp4")
            submitted = await asyncio.gather(*(client.submit(path, options=options) for _ in range(2)))
            ended = await asyncio.gather(*(client.wait(job.id, timeout_seconds=60) for job in submitted))
            assert {job.status for job in ended} == {JobStatus.SUCCEEDED}
            assert {job.id async for job in client.jobs(external_id="async")} == {job.id for job in submitted}
            frames = [frame async for frame in client.frames(ended[0].id)]
            assert len(frames) == ended[0].result.coverage.frames_with_face if ended[0].result else False
            assert (await client.add_feedback(ended[0].id, FAKE)).label is FeedbackLabel.FAKE
            await client.delete(ended[0].id)
            with pytest.raises(ApiError):
                await client.cancel(ended[1].id)

    asyncio.run(use())


def test_wait_past_timeout_raises_still_running(
    service: Service, running_worker: Process, clip: Callable[[str], Path]
) -> None:
    async def use(job_id: str) -> None:
        async with AsyncClient(url=service.url, api_key=API_KEY) as client:
            with pytest.raises(StillRunningError):
                await client.wait(job_id, timeout_seconds=0.1)
            await client.cancel(job_id)
            assert (await client.wait(job_id)).status is JobStatus.CANCELED

    job = service.submit_hung(running_worker, clip("speaker.mp4"))
    with pytest.raises(StillRunningError) as error:
        service.client.wait(job.id, timeout_seconds=0)
    assert error.value.job.id == job.id
    asyncio.run(use(job.id))
