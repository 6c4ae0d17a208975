"""Configuration that training and production share: frozen and saved with the weights. Each default is only here."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.core.calibration import Calibration

Positive = Annotated[int, Field(gt=0)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class SamplingConfig(_Record):
    """Frames that are sampled from a clip: windows of neighbouring frames, spread over the clip."""

    window_frames: Positive = 8
    """Neighbouring frames per window. A temporal model needs neighbours."""
    windows_min: Positive = 2
    """Number of windows of a short clip."""
    windows_max: Positive = 8
    """Number of windows of a long clip. Bounds the cost for any length."""
    seconds_per_window: Annotated[float, Field(gt=0)] = 5.0
    """Duration of the clip per window."""


class FaceConfig(_Record):
    """Limits of the faces that are evaluated."""

    confidence_min: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Lowest confidence of the face detector."""
    tracks_max: Positive = 8
    """Maximum number of tracks per clip. The longest tracks are kept."""
    size_min_px: Annotated[float, Field(ge=0)] = 32.0
    """Minimum width of a face box. A 112 px crop of a smaller face is mostly interpolation."""
    brightness_min: Annotated[float, Field(ge=0, le=255)] = 12.0
    """Minimum mean luma of a crop."""
    sharpness_min: Annotated[float, Field(ge=0)] = 0.004
    """Minimum ratio of the variance of the Laplacian (Pech-Pacheco et al., ICPR 2000) to the variance of the luma.

    99 % of the face crops of YouTube Faces, our softest data set, are above 0.005.
    """
    frames_min: Positive = 8
    """Minimum number of usable frames of a track that is evaluated: one window."""


class CropConfig(_Record):
    """Geometry and normalisation of the classifier's input."""

    size_px: Positive = 112
    """Side of the square crop in pixels."""
    scale: Annotated[float, Field(gt=0)] = 1.0
    """Side of the crop in the frame, as a multiple of the width of the face box."""
    upright: bool = True
    """True: the crop is rotated so that the eyes are level."""
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    """Mean that is subtracted from RGB in 0..1."""
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    """Standard deviation that RGB is divided by after the subtraction."""


class ScoringConfig(_Record):
    """Parameters that turn logits into probabilities and verdicts. Calibration sets them."""

    correction_weight: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Weight of the Transformer's correction to the mean of the frame logits. 0: plain mean."""
    clips: Calibration = Calibration()
    """Calibration of the logit of a track."""
    stills: Calibration = Calibration()
    """Calibration of the logit of one frame, which carries less evidence than the mean of many."""


class ClassifierConfig(_Record):
    """Architecture of the network: EfficientNet per frame, Transformer over the frames."""

    backbone: str = "tf_efficientnet_b3"
    """Name of the backbone in timm."""
    activation: Literal["relu6", "silu"] = "relu6"
    """Activation of the backbone. ReLU6 fits weights that start from EfficientNet-Lite, SiLU those of timm's hub."""
    width: Positive = 256
    """Width of the Transformer."""
    heads: Positive = 4
    """Number of attention heads."""
    layers: Positive = 2
    """Number of encoder layers."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Dropout rate in training."""
    sequence_max: Positive = 24
    """Maximum number of frames per sequence. A longer track is split."""


class DetectorConfig(_Record):
    """Complete configuration of a detector."""

    sampling: SamplingConfig = SamplingConfig()
    faces: FaceConfig = FaceConfig()
    crop: CropConfig = CropConfig()
    classifier: ClassifierConfig = ClassifierConfig()
    scoring: ScoringConfig = ScoringConfig()


class ClipLimits(_Record):
    """Limits of an untrusted clip. Operators may change them; they are not part of a model."""

    duration_max_seconds: Annotated[float, Field(gt=0)] = 1800.0
    """Maximum duration of a clip."""
    pixels_max: Positive = 4096 * 2304
    """Maximum number of pixels per frame: 4K."""
    packets_max: Positive = 20_000
    """Maximum number of packets that are decoded per clip."""
    listed_packets_max: Positive = 1_000_000
    """Maximum number of packets that are listed per clip."""
