"""Requests that meet: nothing is lost, nothing is left, nobody is told that the database is away."""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from fastapi.testclient import TestClient

from app.infra.clip_storage import ClipStorage
from tests.support.api import MP4, ChunkSender, Sessions, begin_upload, finish, problem, submit, submit_source

ROUNDS = 25


def exists(clips: ClipStorage, content: bytes) -> bool:
    try:
        clips.open_clip(hashlib.sha256(content).hexdigest()).close()
    except FileNotFoundError:
        return False
    return True


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """The answers of calls that run at the same time, none of which broke."""
    with ThreadPoolExecutor(len(calls)) as pool:
        answers = [future.result() for future in [pool.submit(call) for call in calls]]
    assert [answer.status_code for answer in answers if answer.status_code >= 500] == []
    return answers


def test_a_clip_that_is_named_is_not_deleted_under_its_new_job(api: TestClient, clips: ClipStorage) -> None:
    for index in range(ROUNDS):
        content = MP4 + bytes([index])
        job, source = submit(api, content), {"sha256": hashlib.sha256(content).hexdigest()}
        named, _ = at_once(partial(submit_source, api, source), partial(api.delete, job["links"]["self"]))
        assert named.status_code in {202, 404}
        assert exists(clips, content) == (named.status_code == 202)


def test_an_upload_that_is_deleted_while_it_ends_leaves_nothing(api: TestClient, clips: ClipStorage) -> None:
    for index in range(ROUNDS):
        content = MP4 + bytes([index])
        begun = begin_upload(api, bytes=len(content))
        browser = ChunkSender(api, begun)
        browser.send(0, content[:50])
        at_once(partial(browser.send, 50, content[50:]), partial(api.delete, f"/v1/uploads/{begun['id']}"))
        assert not exists(clips, content)
        problem(api.get(f"/v1/uploads/{begun['id']}"), 404, "not_found")


def test_an_upload_that_is_deleted_while_it_is_submitted_has_a_job_or_not(api: TestClient, clips: ClipStorage) -> None:
    for index in range(ROUNDS):
        content = MP4 + bytes([index])
        begun = begin_upload(api, bytes=len(content))
        ChunkSender(api, begun).send(0, content)
        source = {"upload_id": begun["id"]}
        named, _ = at_once(partial(submit_source, api, source), partial(api.delete, f"/v1/uploads/{begun['id']}"))
        assert exists(clips, content) == (named.status_code == 202)


def test_one_piece_is_written_at_a_time(api: TestClient, clips: ClipStorage) -> None:
    begun = begin_upload(api)
    with clips.partial.open_for_append(begun["id"]):
        body = problem(ChunkSender(api, begun).send(0, MP4), 409, "offset_mismatch")
    assert "Another piece" in body["detail"]
    for answer in at_once(*[partial(ChunkSender(api, begun).send, 0, MP4)] * 4):
        assert answer.status_code in {204, 409}
    assert ChunkSender(api, begun).offset() == len(MP4)


def test_submissions_that_share_hooks_and_bytes_do_not_block_each_other(api: TestClient, sessions: Sessions) -> None:
    contents = [MP4 + bytes([index]) for index in range(6)]
    for content in contents:
        submit(api, content)
    sha256s = [hashlib.sha256(content).hexdigest() for content in contents]

    def items(order: int, index: int) -> list[dict[str, Any]]:
        webhooks = [f"https://webhooks.example/{index}/{number}" for number in range(len(sha256s))]
        pairs = list(zip(sha256s, webhooks, strict=True))[::order]
        return [{"source": {"sha256": sha256}, "options": {"webhook_url": webhook}} for sha256, webhook in pairs]

    def end_a_job() -> Any:
        finish(sessions)
        return api.get("/livez")

    for index in range(ROUNDS):
        webhook = f"https://webhooks.example/{index}/0"
        files: Any = {"file": ("a.mp4", contents[0]), "options": (None, f'{{"webhook_url": "{webhook}"}}')}
        answers = at_once(
            partial(api.post, "/v1/batches", json={"items": items(1, index)}),
            partial(api.post, "/v1/batches", json={"items": items(-1, index)}),
            partial(api.post, "/v1/jobs", files=files),
            partial(submit_source, api, {"sha256": sha256s[0]}, webhook_url=webhook),
            end_a_job,
        )
        assert [answer.status_code for answer in answers] == [202, 202, 202, 202, 200]


def test_a_batch_may_name_bytes_whose_upload_ends_at_that_moment(api: TestClient) -> None:
    for index in range(ROUNDS):
        content = MP4 + bytes([index])
        submit(api, content)
        begun = begin_upload(api, bytes=len(content))
        browser = ChunkSender(api, begun)
        browser.send(0, content[:50])
        sources = [{"sha256": hashlib.sha256(content).hexdigest()}, {"upload_id": begun["id"]}]
        batch, sent = at_once(
            partial(api.post, "/v1/batches", json={"items": [{"source": source} for source in sources]}),
            partial(browser.send, 50, content[50:]),
        )
        assert (batch.status_code in {202, 409}, sent.status_code) == (True, 204)


def test_an_old_job_that_is_deleted_while_it_is_judged_anew_is_whole_or_gone(
    api: TestClient, sessions: Sessions
) -> None:
    for index in range(ROUNDS):
        job = submit(api, MP4 + bytes([index]), webhook_url=f"https://webhooks.example/{index}")
        finish(sessions, frames=3)
        (endpoint,) = [
            item
            for item in api.get("/v1/webhook-endpoints").json()["items"]
            if item["url"] == f"https://webhooks.example/{index}"
        ]
        again, _, _ = at_once(
            partial(api.post, f"{job['links']['self']}:reanalyze", json={"policy": "default"}),
            partial(api.delete, job["links"]["self"]),
            partial(api.delete, f"/v1/webhook-endpoints/{endpoint['id']}"),
        )
        if again.status_code == 200:
            assert len(api.get(again.json()["links"]["frames"]).json()["items"]) == 3
        else:
            problem(again, 410, "gone_deleted")


def test_versions_of_a_policy_are_counted_without_a_gap(api: TestClient) -> None:
    created = at_once(*[partial(api.post, "/v1/policies", json={"name": "default"})] * 12)
    assert sorted(answer.json()["version"] for answer in created) == list(range(1, 13))
