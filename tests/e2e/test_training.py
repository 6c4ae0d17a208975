"""The whole chain in small: videos, crops, a training that is interrupted, a model, a service that judges with it."""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from typer.testing import CliRunner

from app.client.client import Client
from app.client.errors import ApiError
from app.core.enums import FailureCode, JobStatus
from app.schemas.submissions import JobOptions
from tests.e2e.conftest import Service, start
from tests.support.clips import Image, encode, film, self_blended, speaker
from tests.support.waiting import wait_until
from training.__main__ import _commands

ROOT = Path(__file__).parents[2]
PEOPLE = {"train": 2, "val": 6}
pytestmark = [pytest.mark.xdist_group("e2e"), pytest.mark.timeout(400)]


def run(*arguments: object) -> str:
    done = CliRunner().invoke(_commands, list(map(str, arguments)))
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight people, which are one face in eight colours, each real and blended."""
    folder = tmp_path_factory.mktemp("videos")
    lines = ["path,label,split,group"]
    for split, count in PEOPLE.items():
        for person in range(count):
            colours = np.random.default_rng(person + len(lines)).uniform(0.6, 1.1, 3)
            for label, scene in (("real", speaker), ("fake", self_blended)):
                name = f"{split}-{person}-{label}.mp4"
                encode(folder / name, film(partial(coloured, scene, colours), seconds=0.8))
                lines.append(f"{name},{label},{split},{split}-{person}")
    (folder / "videos.csv").write_text("\n".join(lines))
    (folder / "street.csv").write_text("path,label\ntrain-0-real.mp4,real\ntrain-1-real.mp4,real")
    return folder


def coloured(scene: Callable[[float], Image], colours: npt.NDArray[np.float64], seconds: float) -> Image:
    return np.clip(scene(seconds) * colours, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def released(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What comes out at the end of the chain."""
    folder = tmp_path_factory.mktemp("training")
    manifest, model, report = folder / "crops/manifest.csv", folder / "run/model", folder / "report"
    assert "crops; 0 clips" in run("extract", videos / "videos.csv", folder / "crops", "--layout", "csv")
    train = (
        "train",
        "--config",
        ROOT / "training/configs/smoke.yaml",
        "--out",
        folder / "run",
        f"data.manifest={manifest}",
    )
    interrupted = start(
        [sys.executable, "-m", "training", *map(str, train), "frames.steps=10000"], dict(os.environ), folder / "log"
    )
    wait_until((folder / "run/frames.pt").exists, 150)
    interrupted.kill_group()
    assert not model.exists()
    run(*train)
    steps = [line.split(",")[1] for line in (folder / "run/history.csv").read_text().splitlines()]
    assert steps.count("15") == 1  # the look before the kill was not done again
    run("calibrate", "--manifest", manifest, "--model", model, "--clips", videos / "street.csv")
    run("evaluate", "--manifest", manifest, "--model", model, "--out", report)
    release = ("release", "--model", model, "--out", folder / "released", "--name", "smoke", "--version", "1.0.0")
    run(*release, "--report", report / "report.json")
    return folder / "released"


@pytest.fixture(scope="module")
def installed(released: Path, service: Service) -> Path:
    """The model, where jobs can name it."""
    unmask = [sys.executable, "-m", "app.cli.main", "models"]
    added = subprocess.run(
        [*unmask, "add", str(released)], env=service.environment, capture_output=True, text=True, check=False
    )
    assert added.returncode == 0, added.stderr
    return released


def test_a_model_goes_from_videos_to_a_verdict_of_the_service(
    installed: Path, service: Service, clip: Callable[[str], Path]
) -> None:
    card = (installed / "MODEL_CARD.md").read_text()
    assert "## Figures" in card
    assert "What it cannot see" in card
    client: Client = service.client
    with service.worker():
        default = service.wait_for_end(client.submit(clip("speaker.mp4")))
        named = service.wait_for_end(client.submit(clip("speaker.mp4"), options=JobOptions(model="smoke")))
    assert (default.model, named.model) == (None, "smoke")
    assert default.result is not None
    assert named.result is not None
    assert default.result.model.name == "unmask-b3"
    assert (named.result.model.name, named.result.model.version) == ("smoke", "1.0.0")
    assert named.result.model.calibrated
    assert named.result.probability != default.result.probability


def test_a_model_that_is_not_installed_is_refused_with_those_that_are(
    installed: Path, service: Service, clip: Callable[[str], Path]
) -> None:
    assert installed.exists()
    with pytest.raises(ApiError) as caught:
        service.client.submit(clip("speaker.mp4"), options=JobOptions(model="absent"))
    assert caught.value.problem.errors[0].pointer == "/options/model"
    assert "smoke" in caught.value.problem.detail


def test_a_model_that_a_worker_cannot_run_fails_the_job_and_says_why(
    installed: Path, service: Service, clip: Callable[[str], Path]
) -> None:
    assert installed.exists()
    graph = service.folder / "models" / "smoke" / "model.onnx"
    whole = graph.read_bytes()
    graph.write_bytes(whole[:-1])
    try:
        with service.worker():
            job = service.wait_for_end(service.client.submit(clip("speaker.mp4"), options=JobOptions(model="smoke")))
    finally:
        graph.write_bytes(whole)
    assert job.status is JobStatus.FAILED
    assert job.failure is not None
    assert (job.failure.code, job.failure.retryable) == (FailureCode.MODEL_UNAVAILABLE, True)
    assert "not the file of the manifest" in job.failure.message
    assert str(service.folder) not in job.failure.message
