"""Chunks of resumable uploads: appended at the offset, checked against the announced clip."""

from fastapi.testclient import TestClient

from tests.support.api import MP4, ChunkSender, begin_upload, problem


def test_chunk_is_accepted_only_at_the_offset(api: TestClient) -> None:
    browser = ChunkSender(api, begin_upload(api))
    problem(browser.send_chunk(10, MP4[10:]), 409, "offset_mismatch")
    browser.send_chunk(0, MP4[:50])
    problem(browser.send_chunk(0, MP4[:50]), 409, "offset_mismatch")
    problem(browser.send_chunk(50, MP4), 413, "clip_too_large")
    problem(browser.send_chunk(50, b"", **{"Content-Type": "text/plain"}), 415, "unsupported_media")
    problem(browser.send_chunk(50, b"", **{"Upload-Offset": "x"}), 400, "invalid_request")
    browser.send_chunk(50, MP4[50:])
    problem(browser.send_chunk(112, b"more"), 413, "clip_too_large")
    assert browser.send_chunk(112, b"").status_code == 409


def test_upload_with_other_checksum_starts_again(api: TestClient) -> None:
    browser = ChunkSender(api, begin_upload(api, sha256="0" * 64))
    problem(browser.send_chunk(0, MP4), 422, "checksum_mismatch")
    assert browser.read_offset() == 0


def test_upload_that_is_no_video_starts_again(api: TestClient) -> None:
    browser = ChunkSender(api, begin_upload(api, bytes=8))
    problem(browser.send_chunk(0, b"%PDF-1.7"), 415, "unsupported_media")
    assert browser.read_offset() == 0
