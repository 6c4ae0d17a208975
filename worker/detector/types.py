"""Data types of the detector. Comments behind the fields give array shapes."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from app.core.enums import FailureCode, ReasonCode, WarningCode

Image = npt.NDArray[np.uint8]  # (H, W, 3) RGB
Floats = npt.NDArray[np.float32]


class ClipError(Exception):
    """Analysis failed because of the clip: ``code`` is the cause, the message names the next step."""

    def __init__(self, code: FailureCode, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


@dataclass(frozen=True, slots=True)
class ClipInfo:
    """Metadata of a clip as the decoder reports it. Width and height are those of the upright frame, after rotation.

    The stored picture is mirrored left to right if ``mirrored``, then turned clockwise by ``rotation_degrees``.
    """

    container: str
    codec: str
    width: int
    height: int
    rotation_degrees: int
    mirrored: bool
    duration_seconds: float | None
    fps: float | None
    bit_depth: int
    high_dynamic_range: bool


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A decoded, upright frame."""

    window: int
    pts_seconds: float
    image: Image

    def __post_init__(self) -> None:
        if self.image.ndim != 3 or self.image.shape[2] != 3 or self.image.dtype != np.uint8:
            raise ValueError(f"A frame must be (H, W, 3) uint8, not {self.image.shape} {self.image.dtype}.")


@dataclass(frozen=True, slots=True)
class Box:
    """A face box in pixels. It may extend beyond the frame."""

    x: float
    y: float
    width: float
    height: float

    @property
    def center(self) -> tuple[float, float]:
        """Center of the box, x and y."""
        return self.x + self.width / 2, self.y + self.height / 2

    def intersect(self, other: "Box") -> float:
        """Return the area of the intersection with another box, in square pixels."""
        width = min(self.x + self.width, other.x + other.width) - max(self.x, other.x)
        height = min(self.y + self.height, other.y + other.height) - max(self.y, other.y)
        return max(width, 0.0) * max(height, 0.0)

    def iou(self, other: "Box") -> float:
        """Return the intersection over union with another box, 0 to 1."""
        intersection = self.intersect(other)
        if not intersection:
            return 0.0
        return intersection / (self.width * self.height + other.width * other.height - intersection)

    def scale(self, factor: float, *, x: float = 0.0, y: float = 0.0) -> "Box":
        """Return the box in a picture that was scaled, then moved by ``x`` and ``y``."""
        return Box(self.x * factor + x, self.y * factor + y, self.width * factor, self.height * factor)


@dataclass(frozen=True, slots=True)
class ClipPart:
    """Part of a clip that is analyzed, in seconds of a player."""

    start_seconds: float = 0.0
    end_seconds: float | None = None
    """None: the end of the clip."""


WHOLE_CLIP = ClipPart()


@dataclass(frozen=True, slots=True)
class Face:
    """A face box in one frame, and the roll of the line through the eyes (degrees, clockwise)."""

    box: Box
    confidence: float
    roll_degrees: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class FaceCrop:
    """A face cut out of its frame, with its quality measures."""

    window: int
    pts_seconds: float
    face: Face
    image: Image  # (S, S, 3)
    sharpness: float
    brightness: float
    unusable: ReasonCode | None


@dataclass(slots=True, eq=False)
class Track:
    """The faces of one person over time."""

    track_id: str
    crops: list[FaceCrop] = field(default_factory=list)

    @property
    def usable(self) -> list[FaceCrop]:
        """Crops that the classifier receives."""
        return [crop for crop in self.crops if crop.unusable is None]


@dataclass(frozen=True, slots=True)
class Coverage:
    """Amount of the clip that was sampled, and the faces found in it."""

    frames_sampled: int
    frames_with_face: int
    faces_max: int
    tracks: int
    windows: int
    start_seconds: float
    end_seconds: float | None
    """Part of the clip that the windows were spread over; None: its end is unknown."""
    seconds_sampled: float
    chance_of_5_seconds: float | None
    """Probability that a window meets a part of five seconds at a random time."""


@dataclass(frozen=True, slots=True)
class ClipWarning:
    """A limitation of the result that its reader should know."""

    code: WarningCode
    detail: str


@dataclass(frozen=True, slots=True)
class Extraction:
    """A clip as tracks of face crops: output of the sandbox, input of the classifier."""

    clip: ClipInfo
    coverage: Coverage
    tracks: list[Track]
    warnings: list[ClipWarning]


@dataclass(frozen=True, slots=True, eq=False)
class SequenceScore:
    """Logits of the classifier for one track."""

    frame_logits: Floats  # (N,)
    logit: float


@dataclass(frozen=True, slots=True)
class Reason:
    """Reason why a clip or a track was not evaluated."""

    code: ReasonCode
    detail: str


@dataclass(frozen=True, slots=True)
class FrameScore:
    """Score of one face in one frame. Logit, probability and contribution are None if it was not evaluated."""

    track_id: str
    window: int
    pts_seconds: float
    box: Box
    detection_confidence: float
    sharpness: float
    brightness: float
    unusable: ReasonCode | None
    logit: float | None
    probability: float | None
    contribution: float | None
    """Part of the log-odds of the track: those of its frames add up to it."""


@dataclass(frozen=True, slots=True)
class WindowScore:
    """Score of one person in one window of neighbouring frames."""

    window: int
    start_seconds: float
    end_seconds: float
    usable_frames: int
    probability: float


@dataclass(frozen=True, slots=True)
class TrackScore:
    """Score of one person. The probability is None if the track was not evaluated."""

    track_id: str
    probability: float | None
    logit: float | None
    reasons: list[Reason]
    first_seconds: float
    last_seconds: float
    face_frames: int
    usable_frames: int
    median_face_px: float
    windows: list[WindowScore]
    """Windows with usable frames; empty if the track was not evaluated."""


@dataclass(frozen=True, slots=True)
class ClipScore:
    """Score of a clip: that of the track with the highest probability. None if no track was evaluated."""

    probability: float | None
    decided_by: str | None
    reasons: list[Reason]
    tracks: list[TrackScore]
    frames: list[FrameScore]
