"""Watch over pool processes: the job of a process that has ended returns to the queue at once."""

from datetime import timedelta

import pytest
from fastapi.testclient import TestClient

from app.core.settings import Settings, require_settings
from app.infra.job_queue import JobNotifier
from app.services import attempts
from tests.support.api import Sessions, submit
from worker.lost_processes import ProcessWatcher, mark_worker, worker_name


def test_job_of_an_ended_process_is_requeued_and_others_are_not(
    api: TestClient, sessions: Sessions, settings: Settings
) -> None:
    jobs = {}
    for pid in (11, 12):
        submitted = submit(api)
        with sessions() as session:
            attempts.claim_job(session, worker=worker_name(pid), lease=timedelta(hours=1))
        jobs[pid] = submitted["links"]["self"]
    (redis_url,) = require_settings(settings, "redis_url")
    running = [11, 12]
    watcher = ProcessWatcher(sessions, JobNotifier(redis_url), lambda: running, max_attempts=3, model="m 1")
    watcher.check()
    running.remove(11)
    watcher.check()
    statuses = {pid: api.get(job).json()["status"] for pid, job in jobs.items()}
    assert statuses == {11: "queued", 12: "running"}


def test_name_of_a_process_contains_its_id_and_the_mark_of_its_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNMASK_WORKER_MARK", "")
    names = []
    for _ in range(2):
        mark_worker()
        names.append(worker_name(7))
    assert all(":7:" in name for name in names)
    assert names[0] != names[1]
