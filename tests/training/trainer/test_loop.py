"""Training loop: resuming a killed run, stages of limited time."""

import time
from pathlib import Path

import pytest
import torch

from tests.support.training import load_checkpoint, make_config
from training.trainer.train import train_model


def test_killed_run_resumes_with_the_result_of_an_uninterrupted_run(data: Path, tmp_path: Path) -> None:
    config = make_config(data)
    train_model(config, tmp_path / "whole")

    class Killed(Exception):  # noqa: N818 (a stand-in for a signal, not an error)
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
            train_model(config, tmp_path / "killed")
    train_model(config, tmp_path / "killed")
    for stage in ("frames", "sequences"):
        whole, resumed = load_checkpoint(tmp_path / "whole", stage), load_checkpoint(tmp_path / "killed", stage)
        assert all(torch.equal(whole[name], resumed[name]) for name in whole), stage
    models = [(tmp_path / name / "model" / "model.safetensors").read_bytes() for name in ("whole", "killed")]
    assert models[0] == models[1]
    lines = (tmp_path / "whole" / "history.csv").read_text().splitlines()
    assert lines[0] == "stage,step,loss,accuracy,validation_f1,validation_auc"
    assert any((tmp_path / "whole" / "tensorboard").iterdir())


def test_stage_with_minutes_ends_by_the_clock_and_lowers_the_rate_with_it(data: Path, tmp_path: Path) -> None:
    config = make_config(data)
    assert config.frames is not None
    by_clock = config.frames.model_copy(update={"minutes": 0.05, "steps": 1, "evaluate_every": 5, "patience": 1000})
    start = time.monotonic()
    train_model(config.model_copy(update={"frames": by_clock, "sequences": None}), tmp_path)
    seconds = time.monotonic() - start
    saved = torch.load(tmp_path / "frames.pt", weights_only=True)
    assert saved["state"]["step"] > 1
    assert saved["state"]["is_done"]
    assert 3 <= saved["state"]["seconds"] < seconds
    assert saved["optimizer"]["param_groups"][0]["lr"] < 0.1 * by_clock.learning_rate
