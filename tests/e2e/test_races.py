"""Concurrent requests: no object is lost, no file remains, no request fails with a 5xx status."""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from fastapi.testclient import TestClient

from app.infra.clip_storage import ClipStorage
from tests.support.api import (
    MP4,
    ChunkSender,
    Response,
    Sessions,
    begin_upload,
    finish,
    has_clip,
    post_clip,
    problem,
    submit,
    submit_source,
)

ROUNDS = 25


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def run_concurrently(*requests: Callable[[], Response]) -> list[Response]:
    """Send requests at the same time, and return their responses. None has a 5xx status."""
    with ThreadPoolExecutor(len(requests)) as pool:
        responses = [future.result() for future in [pool.submit(request) for request in requests]]
    assert [response.status_code for response in responses if response.status_code >= 500] == []
    return responses


def test_clip_named_while_its_job_is_deleted_is_kept_or_not_found(api: TestClient, storage: ClipStorage) -> None:
    for index in range(ROUNDS):
        content = MP4 + bytes([index])
        job, source = submit(api, content), {"sha256": sha256_of(content)}
        named, _ = run_concurrently(partial(submit_source, api, source), partial(api.delete, job["links"]["self"]))
        assert named.status_code in {202, 404}
        assert has_clip(storage, sha256_of(content)) == (named.status_code == 202)


def test_upload_deleted_during_its_last_chunk_leaves_no_file(api: TestClient, storage: ClipStorage) -> None:
    for index in range(ROUNDS):
        content = MP4 + bytes([index])
        begun = begin_upload(api, bytes=len(content))
        browser = ChunkSender(api, begun)
        browser.send_chunk(0, content[:50])
        run_concurrently(
            partial(browser.send_chunk, 50, content[50:]), partial(api.delete, f"/v1/uploads/{begun['id']}")
        )
        assert not has_clip(storage, sha256_of(content))
        problem(api.get(f"/v1/uploads/{begun['id']}"), 404, "not_found")


def test_upload_deleted_during_its_submission_has_a_clip_only_with_a_job(api: TestClient, storage: ClipStorage) -> None:
    for index in range(ROUNDS):
        content = MP4 + bytes([index])
        begun = begin_upload(api, bytes=len(content))
        ChunkSender(api, begun).send_chunk(0, content)
        source = {"upload_id": begun["id"]}
        named, _ = run_concurrently(
            partial(submit_source, api, source), partial(api.delete, f"/v1/uploads/{begun['id']}")
        )
        assert has_clip(storage, sha256_of(content)) == (named.status_code == 202)


def test_concurrent_chunks_are_written_once(api: TestClient, storage: ClipStorage) -> None:
    begun = begin_upload(api)
    with storage.partial.open_for_append(begun["id"]):
        body = problem(ChunkSender(api, begun).send_chunk(0, MP4), 409, "offset_mismatch")
    assert "Another chunk" in body["detail"]
    for response in run_concurrently(*[partial(ChunkSender(api, begun).send_chunk, 0, MP4)] * 4):
        assert response.status_code in {204, 409}
    assert ChunkSender(api, begun).read_offset() == len(MP4)


def test_submissions_with_the_same_webhooks_and_clips_do_not_deadlock(api: TestClient, sessions: Sessions) -> None:
    contents = [MP4 + bytes([index]) for index in range(6)]
    for content in contents:
        submit(api, content)
    sha256s = [sha256_of(content) for content in contents]

    def make_items(order: int, index: int) -> list[dict[str, Any]]:
        webhooks = [f"https://webhooks.example/{index}/{number}" for number in range(len(sha256s))]
        pairs = list(zip(sha256s, webhooks, strict=True))[::order]
        return [{"source": {"sha256": sha256}, "options": {"webhook_url": webhook}} for sha256, webhook in pairs]

    def end_job() -> Response:
        finish(sessions)
        return api.get("/livez")

    for index in range(ROUNDS):
        webhook = f"https://webhooks.example/{index}/0"
        responses = run_concurrently(
            partial(api.post, "/v1/batches", json={"items": make_items(1, index)}),
            partial(api.post, "/v1/batches", json={"items": make_items(-1, index)}),
            partial(post_clip, api, contents[0], webhook_url=webhook),
            partial(submit_source, api, {"sha256": sha256s[0]}, webhook_url=webhook),
            end_job,
        )
        assert [response.status_code for response in responses] == [202, 202, 202, 202, 200]


def test_batch_that_names_an_upload_during_its_last_chunk_is_accepted_or_incomplete(api: TestClient) -> None:
    for index in range(ROUNDS):
        content = MP4 + bytes([index])
        submit(api, content)
        begun = begin_upload(api, bytes=len(content))
        browser = ChunkSender(api, begun)
        browser.send_chunk(0, content[:50])
        sources = [{"sha256": sha256_of(content)}, {"upload_id": begun["id"]}]
        batch, sent = run_concurrently(
            partial(api.post, "/v1/batches", json={"items": [{"source": source} for source in sources]}),
            partial(browser.send_chunk, 50, content[50:]),
        )
        assert (batch.status_code in {202, 409}, sent.status_code) == (True, 204)


def test_job_deleted_during_its_reanalysis_is_complete_or_gone(api: TestClient, sessions: Sessions) -> None:
    for index in range(ROUNDS):
        job = submit(api, MP4 + bytes([index]), webhook_url=f"https://webhooks.example/{index}")
        finish(sessions, frames=3)
        (endpoint,) = [
            item
            for item in api.get("/v1/webhook-endpoints").json()["items"]
            if item["url"] == f"https://webhooks.example/{index}"
        ]
        again, _, _ = run_concurrently(
            partial(api.post, f"{job['links']['self']}:reanalyze", json={"policy": "default"}),
            partial(api.delete, job["links"]["self"]),
            partial(api.delete, f"/v1/webhook-endpoints/{endpoint['id']}"),
        )
        if again.status_code == 200:
            assert len(api.get(again.json()["links"]["frames"]).json()["items"]) == 3
        else:
            problem(again, 410, "gone_deleted")


def test_concurrent_versions_of_a_policy_are_numbered_without_a_gap(api: TestClient) -> None:
    created = run_concurrently(*[partial(api.post, "/v1/policies", json={"name": "default"})] * 12)
    assert sorted(response.json()["version"] for response in created) == list(range(1, 13))
