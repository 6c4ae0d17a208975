"""``unmask calibrate`` against the real service: clips of a folder, activation, undoing."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.schemas.submissions import JobOptions
from tests.conftest import API_KEY
from tests.e2e.conftest import Service

pytestmark = [pytest.mark.xdist_group("e2e"), pytest.mark.usefixtures("running_worker")]

CLIPS = ("speaker.mp4", "self_blended.mp4", "two_people.mp4", "rotated.mp4")
RATES = ("--suspicious", "0.999", "--manipulated", "0.999")
"""Rates that four clips can show."""


def run_unmask(service: Service, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "app.cli.main", *arguments, "--url", service.url, "--key", API_KEY]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_folder_of_clips_calibrates_the_model_until_that_is_undone(
    service: Service, clip: Callable[[str], Path], tmp_path: Path
) -> None:
    for name in CLIPS:
        shutil.copy(clip(name), tmp_path / name)
    (tmp_path / "notes.txt").write_text("no clip")
    few = run_unmask(service, "calibrate", str(tmp_path))
    assert few.returncode == 1
    assert "needs 60" in " ".join(few.stderr.split())
    made = run_unmask(service, "calibrate", str(tmp_path), *RATES, "--activate")
    assert made.returncode == 0, made.stderr
    assert "notes.txt" in made.stderr
    own = service.client.calibrations().items[0]
    assert (own.active, own.curve.real_clips) == (True, len(CLIPS))
    assert own.id is not None
    assert own.id in made.stdout
    job = service.wait_for_end(service.client.submit(clip("speaker.mp4"), options=JobOptions(external_id="own")))
    assert job.result is not None
    assert job.result.policy.calibration_sha256 == own.sha256
    listed = run_unmask(service, "calibrations", "list")
    assert "of the model" in listed.stdout
    undone = run_unmask(service, "calibrations", "deactivate", own.id)
    assert undone.returncode == 0, undone.stderr
    assert service.client.activate_calibration(own.id).active
    assert not service.client.deactivate_calibration(own.id).active
