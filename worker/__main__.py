"""``python -m worker``: runs a worker until SIGTERM."""

from worker.celery import run_worker

if __name__ == "__main__":
    run_worker()
