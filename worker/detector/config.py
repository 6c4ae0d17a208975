"""What must be equal in training and in production: one frozen record, saved with the weights, no default elsewhere."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[int, Field(gt=0)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class SamplingConfig(_Record):
    """Which frames of a clip are looked at: windows of neighbouring frames, spread over the clip."""

    window_frames: Positive = 8
    """Neighbouring frames a window; what a temporal model needs."""
    windows_min: Positive = 2
    """Windows of a short clip."""
    windows_max: Positive = 8
    """Windows of a long clip: bounds the cost whatever the length."""
    seconds_per_window: Annotated[float, Field(gt=0)] = 5.0
    """A clip gets one window for this much time."""


class FaceConfig(_Record):
    """Which faces count."""

    confidence_min: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Lowest confidence of the face detector."""
    tracks_max: Positive = 8
    """Most people in a clip that are judged; those seen longest are."""
    size_min_px: Annotated[float, Field(ge=0)] = 32.0
    """Smallest face box. Below, a 112 px crop is mostly interpolation."""
    brightness_min: Annotated[float, Field(ge=0, le=255)] = 12.0
    """Least mean luma of a crop."""
    sharpness_min: Annotated[float, Field(ge=0)] = 0.004
    """Least variance of the Laplacian (Pech-Pacheco et al., ICPR 2000) by that of the luma. 99 % of the face crops
    of YouTube Faces, the softest set we have, are above 0.005."""
    frames_min: Positive = 8
    """Least usable frames of a track that is judged: one window."""


class CropConfig(_Record):
    """How a face becomes the classifier's input."""

    size_px: Positive = 112
    """Side of the square crop."""
    scale: Annotated[float, Field(gt=0)] = 1.0
    """Side of the crop in the frame, in widths of the face box."""
    upright: bool = True
    """Whether the crop is rotated so that the eyes are level."""
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    """Subtracted from RGB in 0..1."""
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    """Divided by, after the mean is subtracted."""


class OperatingPoint(_Record):
    """A threshold and what it costs, on the clips of the calibration."""

    threshold: Annotated[float, Field(ge=0, le=1)]
    """On the probability of a track."""
    false_positive_rate: Annotated[float, Field(gt=0, lt=1)]
    """The share of real clips at or above it that was aimed for."""
    true_positive_rate: Annotated[float, Field(ge=0, le=1)]
    """The share of fake clips at or above it."""


class ScoringConfig(_Record):
    """How logits become a probability and a verdict. Set by calibration."""

    correction_weight: Annotated[float, Field(ge=0, le=1)] = 1.0
    """How far the Transformer's correction of the mean of the frame logits counts; 0: plain mean."""
    temperature: Annotated[float, Field(gt=0)] = 1.0
    """The logit of a track is divided by it (Guo et al., ICML 2017)."""
    bias: float = 0.0
    """Added after that (Platt, 1999)."""
    frame_temperature: Annotated[float, Field(gt=0)] = 1.0
    """The same for the logit of one frame, which knows less than the mean of many."""
    frame_bias: float = 0.0
    """Added after that."""
    frame_suspicious_at: Annotated[float, Field(ge=0, le=1)] = 0.5
    """The same as ``suspicious_at`` for a frame by itself; no verdict of the service hangs on it."""
    frame_manipulated_at: Annotated[float, Field(ge=0, le=1)] = 0.9
    """The same as ``manipulated_at``."""
    suspicious_at: Annotated[float, Field(ge=0, le=1)] = 0.5
    """From this probability on a track is SUSPICIOUS."""
    suspicious_false_positive_rate: Annotated[float, Field(gt=0, lt=1)] | None = None
    """The share of real tracks at or above ``suspicious_at`` that was aimed for; None before calibration."""
    manipulated_at: Annotated[float, Field(ge=0, le=1)] = 0.9
    """From this probability on a track is MANIPULATED."""
    manipulated_false_positive_rate: Annotated[float, Field(gt=0, lt=1)] | None = None
    """The same for ``manipulated_at``."""
    operating_points: tuple[OperatingPoint, ...] = ()
    """What other thresholds would do, by falling threshold: policies choose from them."""
    real_clips: Annotated[int, Field(ge=0)] = 0
    """Real clips that the rates were counted on: a rate below one in so many is a guess."""
    calibrated: bool = False
    """Whether temperature, bias and thresholds were fitted on held-out people."""


class ClassifierConfig(_Record):
    """Shape of the network: EfficientNet per frame, Transformer over the frames."""

    backbone: str = "tf_efficientnet_b3"
    """Name in timm."""
    activation: Literal["relu6", "silu"] = "relu6"
    """Of the backbone: ReLU6 fits weights grown from EfficientNet-Lite, SiLU those of timm's hub."""
    width: Positive = 256
    """Width of the Transformer."""
    heads: Positive = 4
    """Attention heads."""
    layers: Positive = 2
    """Encoder layers."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Dropout while training."""
    sequence_max: Positive = 24
    """Most frames a sequence; a longer track is cut into several."""


class DetectorConfig(_Record):
    """All of it."""

    sampling: SamplingConfig = SamplingConfig()
    faces: FaceConfig = FaceConfig()
    crop: CropConfig = CropConfig()
    classifier: ClassifierConfig = ClassifierConfig()
    scoring: ScoringConfig = ScoringConfig()


class ClipLimits(_Record):
    """What the decoder takes from a stranger. Operators may change it; it has no part in a model."""

    duration_max_seconds: Annotated[float, Field(gt=0)] = 1800.0
    """Longest clip."""
    pixels_max: Positive = 4096 * 2304
    """Most pixels a frame: 4K."""
    packets_max: Positive = 20_000
    """Most packets that are decoded for one clip."""
