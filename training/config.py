"""Configuration of a training run: a typed record, read from YAML, each value with its reason."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from training.errors import TrainingError
from worker.detector.config import DetectorConfig
from worker.detector.model.manifest import Name

HISTORY_NAME = "history.csv"
"""File of the metrics of a run, per step, in the folder of its model."""

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(gt=0)]
Positive = Annotated[float, Field(gt=0)]


class ConfigError(TrainingError):
    """The configuration cannot be used; the message names each invalid field."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class AugmentConfig(_Record):
    """Strength of the augmentations, and probability of each per clip."""

    rotation_degrees: Annotated[float, Field(ge=0)] = 15.0
    """Largest rotation to either side."""
    box_jitter: Share = 0.08
    """Largest change of the logarithm of the face box's width; the position changes by up to half of it, in box
    widths."""
    light: Share = 0.3
    """Probability that brightness, contrast and saturation change, each independently."""
    small: Share = 0.25
    """Probability that a crop is downscaled and upscaled again."""
    small_scale_min: Share = 0.4
    """Smallest scale of the downscaled copy."""
    blur: Share = 0.15
    """Probability that a crop is blurred."""
    blur_sigma_max_px: Positive = 1.5
    """Largest standard deviation of the blur."""
    noise: Share = 0.2
    """Probability that noise is added."""
    noise_sigma_max: Positive = 10.0
    """Largest standard deviation of the noise, of 255."""
    compression: Share = 0.5
    """Probability that a crop is compressed once more."""
    h264: Share = 0.5
    """Share of the compressed clips that get H.264, which PyAV encodes; the others get JPEG."""
    jpeg_quality_min: Annotated[int, Field(ge=1, le=95)] = 30
    """Lowest JPEG quality."""
    h264_crf_max: Annotated[int, Field(ge=18, le=51)] = 36
    """Highest constant rate factor of H.264 (the lowest quality)."""


class BlendConfig(_Record):
    """Share and kinds of the pseudo-fakes that are made from real faces."""

    share: Share = 0.45
    """Share of the pairs whose fake is a pseudo-fake."""
    generator: Share = 0.0
    """Share of the pseudo-fakes whose face went through a generator; needs ``data.generator``."""
    whole: Share = 0.15
    """Share of those whose whole square is generated, 1.4 face boxes wide with a soft edge."""
    swap: Share = 0.2
    """Share of the other pseudo-fakes that swap in the face of another person, warped and colour-matched."""
    regions: dict[str, Positive] = {
        "face": 0.45, "inner": 0.15, "lower": 0.1, "mouth": 0.1, "eyes": 0.1, "ellipse": 0.1
    }  # fmt: skip
    """Relative frequency of each mask shape."""


class DataConfig(_Record):
    """Training data."""

    manifest: Path
    """Manifest of ``extract``, or a list of shards."""
    landmarks: Path | None = None
    """File that ``landmarks`` wrote; without it masks are drawn from the face box."""
    generator: Path | None = None
    """Folder of reconstructions that ``generate`` wrote, for ``blend.generator``."""
    weights: dict[str, Positive] = {}
    """Relative frequency of pairs per data set; 1 if it is not named. Both sides of a pair share their data set."""
    own_original: Share = 1.0
    """Share of the fakes that are paired with a real clip of their own group, if there is one. The others are paired
    with any real clip of their data set."""
    terms: str = "The terms of the data bind these weights. Name them in data.terms."
    """Terms of use of the data, for the model card."""
    hold_out: dict[str, Count] = {}
    """Number of people of ``train`` per data set that are only reported. For data sets without another split."""
    without: list[str] = []
    """Data sets that are left out, to evaluate the model on unseen material; ``dfdc*`` is a pattern."""


class StageConfig(_Record):
    """Settings of one training stage."""

    steps: Count = 6000
    """Number of optimisation steps, one batch each."""
    minutes: Positive | None = None
    """Duration of the stage, for a machine that is available for a limited time; replaces ``steps``. The learning rate
    follows the elapsed time. One process only."""
    batch_pairs: Count = 16
    """Pairs of a real and a fake per batch: of crops in the first stage, of clips in the second."""
    optimizer: Literal["adam", "adamw"] = "adamw"
    """Optimiser. Adam (Kingma and Ba, 2015) applies weight decay through the gradient, AdamW (Loshchilov and Hutter,
    2019) does not."""
    learning_rate: Positive = 3e-4
    """Learning rate of the backbone."""
    head_factor: Positive = 3.0
    """Factor of the learning rate of the new layers over that of the backbone."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """Schedule of the learning rate after the warm-up."""
    warmup_steps: Annotated[int, Field(ge=0)] = 100
    """Steps in which the learning rate rises."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.02
    """Weight decay; norms and biases have none."""
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.05
    """Distance of the target labels from 0 and 1."""
    ranking_weight: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the ranking loss (RankNet: Burges et al., ICML 2005) between the two sides of a pair, added to the
    cross-entropy."""
    gradient_norm_max: Positive = 2.0
    """Gradients with a larger norm are clipped."""
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.998
    """Decay of the exponential moving average of the weights, which is validated and saved."""
    evaluate_every: Count = 500
    """Steps between two validations on the early-stopping split."""
    patience: Count = 6
    """Validations without a better F1 or AUC after which the stage ends."""


class FrameStageConfig(StageConfig):
    """Settings of the first stage."""

    consistency_weight: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the squared difference of the logits of two views of a crop, with other geometry and degradation. With
    it, a batch has both views of half as many pairs."""

    @model_validator(mode="after")
    def _has_pairs_of_views(self) -> Self:
        if self.consistency_weight and self.batch_pairs % 2:
            raise ValueError("with consistency_weight, batch_pairs is even")
        return self

    @property
    def views(self) -> int:
        """Number of views of each image in a batch."""
        return 2 if self.consistency_weight else 1


class SequenceConfig(_Record):
    """Sampling of sequences in the second stage."""

    frames_min: Count = 10
    """Shortest sequence."""
    frames_max: Count = 30
    """Longest sequence; a longer clip is cut at random."""
    single_share: Share = 0.1
    """Share of the pairs that are single crops, sequences of length one."""
    frozen_backbone: bool = True
    """True trains only the Transformer, on features that are computed once; False trains all layers."""
    cached_pairs: Count = 1500
    """Number of pairs whose features are cached if the backbone is frozen."""

    @model_validator(mode="after")
    def _shortest_first(self) -> Self:
        if self.frames_min > self.frames_max:
            raise ValueError("frames_min is larger than frames_max")
        return self


class TrainConfig(_Record):
    """Configuration of a run."""

    name: Name = "detector"
    """Name of the model."""
    seed: int = 0
    """Seed of all random numbers."""
    data: DataConfig
    detector: DetectorConfig = DetectorConfig()
    """Configuration of the detector, saved with the weights."""
    augment: AugmentConfig = AugmentConfig()
    blend: BlendConfig = BlendConfig()
    frames: FrameStageConfig | None = FrameStageConfig()
    """First stage: backbone and frame logits. None: only sequences are trained."""
    sequences: StageConfig | None = StageConfig(steps=1500, batch_pairs=4, head_factor=1.0)
    """Second stage: the Transformer. None: the logit of a clip is the mean of its frame logits."""
    sequence: SequenceConfig = SequenceConfig()
    initial: Path | Literal["imagenet", "random"] = "imagenet"
    """Initial weights: ImageNet (see ``training.trainer.initial_weights``), random, safetensors of a backbone, or the
    directory of a model, all layers of which are trained further."""
    compile: bool = True
    """Use of ``torch.compile``: 1.4 times as fast on a CPU, after a minute of compilation."""
    threads: Annotated[int, Field(ge=0)] = 0
    """Processor threads of torch; 0: torch's default."""
    loaders: Annotated[int, Field(ge=0)] = 1
    """Processes that make batches; 0: the training process itself."""

    @model_validator(mode="after")
    def _has_a_stage(self) -> Self:
        if self.frames is None and self.sequences is None:
            raise ValueError("'frames' and 'sequences' are both null: there is nothing to train")
        if self.blend.generator and self.data.generator is None:
            raise ValueError("blend.generator needs data.generator: run 'python -m training generate'")
        return self


def load_config(path: Path | None, overrides: list[str]) -> TrainConfig:
    """Load a configuration from YAML and apply overrides such as ``frames.steps=100``. Raises ConfigError."""
    try:
        content: Any = (yaml.safe_load(path.read_text()) if path else None) or {}
        for override in overrides:
            place, equals, value = override.partition("=")
            if not equals:
                raise ConfigError(f"{override!r} is not an override. Write NAME=VALUE, as in frames.steps=100.")
            _set_nested(content, place.split("."), yaml.safe_load(value))
        return TrainConfig.model_validate(content)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path or overrides} is not YAML: {error}") from error
    except ValidationError as error:
        places = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ConfigError(f"The configuration is invalid: {places}.") from error


def _set_nested(content: dict[str, Any], place: list[str], value: Any) -> None:
    for name in place[:-1]:
        if not isinstance(content.get(name), dict):
            content[name] = {}
        content = content[name]
    content[place[-1]] = value
