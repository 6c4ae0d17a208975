"""``python -m worker``: runs a worker until SIGTERM."""

import sys

from pydantic import ValidationError

from app.settings import MissingSettingError, describe_invalid
from worker.celery import run_worker
from worker.detector.manifest import CheckpointError
from worker.detector.sandbox import SandboxError

if __name__ == "__main__":
    try:
        run_worker()
    except ValidationError as error:
        sys.exit(describe_invalid(error))
    except (CheckpointError, MissingSettingError, SandboxError) as error:
        sys.exit(str(error))
