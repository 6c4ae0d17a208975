"""Configurations: YAML files, overrides, validation."""

from pathlib import Path

import pytest

from tests.support.training import CONFIGS
from training.config import ConfigError, load_config


@pytest.mark.parametrize("name", sorted(path.name for path in CONFIGS.glob("*.yaml")))
def test_configuration_in_repository_is_valid(name: str) -> None:
    config = load_config(CONFIGS / name, ["data.manifest=faces.csv"])
    assert config.data.manifest == Path("faces.csv")


def test_overrides_change_single_values_and_invalid_ones_are_named() -> None:
    config = load_config(None, ["data.manifest=x.csv", "frames.steps=7", "data.without=[a, 'b*']"])
    assert config.frames is not None
    assert (config.frames.steps, config.data.without) == (7, ["a", "b*"])
    with pytest.raises(ConfigError, match=r"frames\.steps"):
        load_config(None, ["data.manifest=x.csv", "frames.steps=0"])
    with pytest.raises(ConfigError, match="NAME=VALUE"):
        load_config(None, ["frames.steps"])
    with pytest.raises(ConfigError, match="surprise"):
        load_config(None, ["data.manifest=x.csv", "surprise=1"])
