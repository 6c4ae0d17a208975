"""Everything that a run can be told: one typed record, read from YAML, each value with its reason."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from training.errors import TrainingError
from worker.detector.config import DetectorConfig
from worker.detector.model.manifest import Name

HISTORY_NAME = "history.csv"
"""What a run measured, step by step, beside its model."""

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(gt=0)]
Positive = Annotated[float, Field(gt=0)]


class ConfigError(TrainingError):
    """The configuration cannot be used; the message names each place."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class AugmentConfig(_Record):
    """How hard the augmentations are, and how often each happens to a clip."""

    rotation_degrees: Annotated[float, Field(ge=0)] = 15.0
    """Most rotation to either side."""
    box_jitter: Share = 0.08
    """Most change of the face box, in logarithms of its width; half of it for its place."""
    light: Share = 0.3
    """How often brightness, contrast and saturation change, each by itself."""
    small: Share = 0.25
    """How often a crop is made small and large again."""
    small_scale_min: Share = 0.4
    """Smallest copy."""
    blur: Share = 0.15
    """How often a crop is blurred."""
    blur_sigma_max_px: Positive = 1.5
    """Widest blur."""
    noise: Share = 0.2
    """How often noise is added."""
    noise_sigma_max: Positive = 10.0
    """Strongest noise, of 255."""
    compression: Share = 0.5
    """How often a crop is compressed once more; sequences half of the time with H.264."""
    jpeg_quality_min: Annotated[int, Field(ge=1, le=95)] = 30
    """Worst JPEG."""
    h264_crf_max: Annotated[int, Field(ge=18, le=51)] = 36
    """Worst H.264."""


class BlendConfig(_Record):
    """Which pseudo-fakes are made of real faces."""

    share: Share = 0.45
    """Share of the pairs whose fake is a pseudo-fake."""
    swap: Share = 0.2
    """Share of the pseudo-fakes whose face is another person's, warped and coloured to fit."""
    regions: dict[str, Positive] = {
        "face": 0.45, "inner": 0.15, "lower": 0.1, "mouth": 0.1, "eyes": 0.1, "ellipse": 0.1
    }  # fmt: skip
    """How often each shape of mask is drawn."""


class DataConfig(_Record):
    """What is trained on."""

    manifest: Path
    """A manifest of ``extract``, or a list of shards."""
    landmarks: Path | None = None
    """What ``landmarks`` wrote; without it masks are drawn from the face box."""
    weights: dict[str, Positive] = {}
    """How often pairs come from a data set, 1 where it is not named. Both sides of a pair share their data set."""
    own_original: Share = 1.0
    """Share of the fakes that are paired with a clip of their own group, if there is one; the others are paired with
    any real clip of their data set."""
    terms: str = "The terms of the data bind these weights. Name them in data.terms."
    """Under which terms the data may be used; told in the model's card."""
    hold_out: dict[str, Count] = {}
    """So many people of ``train`` of a data set are only reported: of those that have no other split."""
    without: list[str] = []
    """Data sets that are left out, to measure the model on material that it never saw; ``dfdc*`` is a pattern."""


class StageConfig(_Record):
    """One stage of the training."""

    steps: Count = 6000
    """Batches."""
    minutes: Positive | None = None
    """Length of the stage on the clock, for a machine that is there for a limited time; replaces ``steps``. The
    learning rate follows the clock. One process only."""
    batch_pairs: Count = 16
    """PairSampler of a real and a fake in a batch: of crops in the first stage, of clips in the second."""
    optimizer: Literal["adam", "adamw"] = "adamw"
    """Adam (Kingma and Ba, 2015) decays through the gradient, AdamW (Loshchilov and Hutter, 2019) does not."""
    learning_rate: Positive = 3e-4
    """Of the backbone."""
    head_factor: Positive = 3.0
    """The new layers learn this much faster than the backbone."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """How the rate goes on after the warm-up."""
    warmup_steps: Annotated[int, Field(ge=0)] = 100
    """Steps in which the rate rises."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.02
    """Not on norms and biases."""
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.05
    """Labels are this far from 0 and 1."""
    ranking_weight: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the ranking loss (RankNet: Burges et al., ICML 2005) between the two sides of a pair, beside the
    cross-entropy."""
    gradient_norm_max: Positive = 2.0
    """Longer gradients are clipped."""
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.998
    """Of the average of the weights that is evaluated and kept."""
    evaluate_every: Count = 500
    """Steps between two looks at the early_stopping part."""
    patience: Count = 6
    """Looks without a better F1 or AUC after which the stage ends."""


class SequenceConfig(_Record):
    """How sequences are drawn in the second stage."""

    frames_min: Count = 10
    """Shortest."""
    frames_max: Count = 30
    """Longest; a longer one is cut at random."""
    single_share: Share = 0.1
    """Share of the pairs that are single crops: sequences of length one."""
    frozen_backbone: bool = True
    """Whether only the Transformer is_trainable, on features that are computed once; else everything does."""
    cached_pairs: Count = 1500
    """PairSampler whose features are computed, where the backbone is frozen."""

    @model_validator(mode="after")
    def _shortest_first(self) -> Self:
        if self.frames_min > self.frames_max:
            raise ValueError("frames_min is larger than frames_max")
        return self


class TrainConfig(_Record):
    """A run."""

    name: Name = "detector"
    """Of the model."""
    seed: int = 0
    """Of everything that is drawn."""
    data: DataConfig
    detector: DetectorConfig = DetectorConfig()
    """Saved with the weights."""
    augment: AugmentConfig = AugmentConfig()
    blend: BlendConfig = BlendConfig()
    frames: StageConfig | None = StageConfig()
    """The first stage: backbone and frame logits. None: only sequences."""
    sequences: StageConfig | None = StageConfig(steps=1500, batch_pairs=4, head_factor=1.0)
    """The second stage: the Transformer. None: the clip's logit is the mean of its frames'."""
    sequence: SequenceConfig = SequenceConfig()
    initial: Path | Literal["imagenet", "random"] = "imagenet"
    """Where the network starts: ImageNet as ``training.initial`` has it, at random, safetensors of a backbone, or the
    directory of a model, all of which goes on learning."""
    compile: bool = True
    """Whether ``torch.compile`` is used: 1.4 times as fast on a CPU, after a minute."""
    threads: Annotated[int, Field(ge=0)] = 0
    """Processor threads of the training; 0: as torch likes."""
    loaders: Annotated[int, Field(ge=0)] = 1
    """Processes that make batches."""

    @model_validator(mode="after")
    def _has_a_stage(self) -> Self:
        if self.frames is None and self.sequences is None:
            raise ValueError("'frames' and 'sequences' are both null: there is nothing to train")
        return self


def load_config(path: Path | None, overrides: list[str]) -> TrainConfig:
    """A configuration from YAML with overrides such as ``frames.steps=100``. Raises ConfigError."""
    try:
        content: Any = (yaml.safe_load(path.read_text()) if path else None) or {}
        for override in overrides:
            place, equals, value = override.partition("=")
            if not equals:
                raise ConfigError(f"{override!r} is no override: write NAME=VALUE, as in frames.steps=100.")
            _set(content, place.split("."), yaml.safe_load(value))
        return TrainConfig.model_validate(content)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path or overrides} is not YAML: {error}") from error
    except ValidationError as error:
        places = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ConfigError(f"The configuration does not fit: {places}.") from error


def _set(content: dict[str, Any], place: list[str], value: Any) -> None:
    for name in place[:-1]:
        if not isinstance(content.get(name), dict):
            content[name] = {}
        content = content[name]
    content[place[-1]] = value
