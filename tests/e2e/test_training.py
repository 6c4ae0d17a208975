"""The whole training chain with a tiny model: extract, interrupted training, calibrate, evaluate, release, use."""

import os
import shlex
import shutil
import sys
from collections.abc import Callable
from contextlib import chdir
from functools import partial
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import numpy.typing as npt
import pytest
from typer.testing import CliRunner

from app.client.client import Client
from app.client.errors import ApiError
from app.core.enums import FailureCode, ImportStatus, JobStatus
from app.schemas.submissions import JobOptions
from tests.e2e.conftest import Service, start
from tests.support.clips import Image, encode, film, speaker
from tests.support.documents import ROOT, find_blocks, get_block
from tests.support.scripts import make_checkout, run_script
from tests.support.waiting import wait_until
from training.__main__ import commands

TRAIN, ADD = (ROOT / "docs/how-to" / name for name in ("train-a-model.md", "add-a-model.md"))
PEOPLE = ("person-0", "person-1", "person-3", "person-4", "person-5", "person-11", "person-22", "person-28")
"""The layout divides people by the hash of their names: the first two are in 'train', the others in 'val'."""
GREEN = np.array([0.55, 1.0, 0.55])
pytestmark = [pytest.mark.xdist_group("documents"), pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, clip: Callable[[str], Path]) -> Path:
    """A checkout with what the documents start from: videos of eight people, each real and fake, and a clip.

    All people are one face in eight colours. The fakes are tinted green, so that 30 steps suffice to learn them.
    """
    folder = make_checkout(tmp_path_factory.mktemp("training"))
    for number, person in enumerate(PEOPLE):
        colours = np.random.default_rng(number).uniform(0.6, 1.1, 3)
        for label, tint in (("real", colours), ("fake", colours * GREEN)):
            video = folder / "videos" / label / f"{person}.mp4"
            video.parent.mkdir(parents=True, exist_ok=True)
            encode(video, film(partial(tinted_speaker, tint), seconds=0.8))
    (folder / "street.csv").write_text("path,label\nvideos/real/person-0.mp4,real\nvideos/real/person-1.mp4,real\n")
    shutil.copy(clip("speaker.mp4"), folder / "clip.mp4")
    return folder


def tinted_speaker(tint: npt.NDArray[np.float64], seconds: float) -> Image:
    return np.clip(speaker(seconds) * tint, 0, 255).astype(np.uint8)


def read_training_steps() -> dict[str, list[str]]:
    """Return the arguments of each command of the how-to by the command's name, for the smallest configuration."""
    script = get_block(TRAIN, "sh").replace("${CONFIG:-unmask-b3}", "smoke").replace("\\\n", "")
    first, *lines = script.splitlines()
    assert first == 'PY=".venv/bin/python -m training"'
    assert all(line.startswith("$PY ") for line in lines)
    steps = [shlex.split(line)[1:] for line in lines]
    return {step[0]: step for step in steps}


def run_training(arguments: list[str]) -> str:
    """Run a command in this process: each process of its own would spend seconds on importing torch."""
    done = CliRunner().invoke(commands, arguments)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(scope="module")
def released(folder: Path) -> Path:
    """The model at the end of the how-to. Its training was interrupted once."""
    steps = read_training_steps()
    with chdir(folder):
        assert "crops; 0 clips" in run_training(steps.pop("extract"))
        endless = [sys.executable, "-m", "training", *steps["train"], "frames.steps=10000"]
        interrupted = start(endless, dict(os.environ), folder / "log")
        wait_until(Path("run/frames.pt").exists, 150)
        interrupted.kill_group()
        assert not Path("run/model").exists()
        for step in steps.values():
            run_training(step)
    validated = [line.split(",")[1] for line in (folder / "run/history.csv").read_text().splitlines()]
    assert validated.count("15") == 1  # the validation before the kill was not repeated
    return folder / "released"


@pytest.fixture(scope="module")
def installed(released: Path, folder: Path, service: Service) -> Path:
    """The model, installed by the commands of the how-to."""
    (_, add), _ = find_blocks(ADD, "sh")
    assert "mine\t1.0.0\ttrained" in run_script(add, folder, service.environment)
    return released


def test_submit_with_unknown_model_is_refused_with_known_models(
    installed: Path, service: Service, clip: Callable[[str], Path]
) -> None:
    assert installed.exists()
    with pytest.raises(ApiError) as caught:
        service.client.submit(clip("speaker.mp4"), options=JobOptions(model="absent"))
    assert caught.value.problem.errors[0].pointer == "/options/model"
    assert "mine" in caught.value.problem.detail


def test_broken_model_fails_job_with_reason(installed: Path, service: Service, clip: Callable[[str], Path]) -> None:
    assert installed.exists()
    graph = service.folder / "models" / "mine" / "model.onnx"
    whole = graph.read_bytes()
    graph.write_bytes(whole[:-1])
    try:
        with service.worker():
            job = service.wait_for_end(service.client.submit(clip("speaker.mp4"), options=JobOptions(model="mine")))
    finally:
        graph.write_bytes(whole)
    assert job.status is JobStatus.FAILED
    assert job.failure is not None
    assert (job.failure.code, job.failure.retryable) == (FailureCode.MODEL_UNAVAILABLE, True)
    assert "does not match the manifest" in job.failure.message
    assert str(service.folder) not in job.failure.message


def test_trained_model_added_over_the_api_is_used(
    released: Path, service: Service, clip: Callable[[str], Path], tmp_path: Path
) -> None:
    archive = tmp_path / "model.zip"
    with ZipFile(archive, "w") as files:
        for path in released.iterdir():
            files.write(path, f"released/{path.name}")
    with service.worker():
        added = service.client.add_model(archive)
        wait_until(lambda: service.client.get_import(added.id).finished_at is not None, 60)
        ended = service.client.get_import(added.id)
        assert (ended.status, ended.name, ended.version) == (ImportStatus.READY, "mine", "1.0.0"), ended.reason
        job = service.wait_for_end(service.client.submit(clip("speaker.mp4"), options=JobOptions(model="mine")))
    assert job.result is not None
    assert job.result.model.name == "mine"


def test_trained_model_decides_verdict_in_service(
    installed: Path, folder: Path, service: Service, clip: Callable[[str], Path]
) -> None:
    card = (installed / "MODEL_CARD.md").read_text()
    assert "## Metrics" in card
    assert "## Limitations" in card
    client: Client = service.client
    with service.worker():
        default = service.wait_for_end(client.submit(clip("speaker.mp4")))
        named = service.wait_for_end(client.submit(clip("speaker.mp4"), options=JobOptions(model="mine")))
        _, (_, scan_and_remove) = find_blocks(ADD, "sh")
        run_script(scan_and_remove, folder, service.environment | {"URL": service.url})
    assert (default.model, named.model) == (None, "mine")
    assert default.result is not None
    assert named.result is not None
    assert default.result.model.name == "unmask-b3"
    assert (named.result.model.name, named.result.model.version) == ("mine", "1.0.0")
    assert named.result.model.calibrated
    assert named.result.probability != default.result.probability
