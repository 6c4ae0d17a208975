"""Face crops and their quality: one definition for training and serving."""

import math

import cv2
import numpy as np

from app.core.enums import ReasonCode
from worker.detector.config import CropConfig, FaceConfig
from worker.detector.types import Face, FaceCrop, Frame, Image

_OVERSAMPLING_MAX = 16


def crop_face(image: Image, face: Face, config: CropConfig) -> Image:
    """Cut an upright, antialiased square around a face. Outside the image, pixels are mirrored at its edge.

    Args:
        image: (H, W, 3) uint8.
        face: Face box and roll, in pixels of the image.
        config: Scale and size of the crop.

    Returns:
        (S, S, 3) uint8.
    """
    side_px = max(face.box.width * config.scale, 1.0)
    # Sample at about the resolution of the image, then average down: direct sampling would skip pixels.
    oversampling = min(max(round(side_px / config.size_px), 1), _OVERSAMPLING_MAX)
    canvas_px = config.size_px * oversampling
    angle = math.radians(face.roll_degrees if config.upright else 0.0)
    step = side_px / canvas_px
    cos, sin = step * math.cos(angle), step * math.sin(angle)
    center_x, center_y = face.box.center
    middle = (canvas_px - 1) / 2
    to_image = np.array(
        [
            [cos, -sin, center_x - 0.5 - (cos - sin) * middle],
            [sin, cos, center_y - 0.5 - (sin + cos) * middle],
        ]
    )
    canvas = cv2.warpAffine(
        image,
        to_image,
        (canvas_px, canvas_px),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    crop: Image = cv2.resize(canvas, (config.size_px, config.size_px), interpolation=cv2.INTER_AREA).astype(np.uint8)
    return crop


def make_crop(frame: Frame, face: Face, crop: CropConfig, limits: FaceConfig) -> FaceCrop:
    """Return the crop of a face with its quality. ``unusable`` is the reason to withhold it from the classifier."""
    image = crop_face(frame.image, face, crop)
    luma = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    # Divided by the contrast: otherwise a dark face would count as a blurred one.
    sharpness = float(cv2.Laplacian(luma, cv2.CV_64F).var() / max(luma.var(), 1.0))
    brightness = float(luma.mean())
    unusable = None
    if face.box.width < limits.size_min_px:
        unusable = ReasonCode.FACE_TOO_SMALL
    elif brightness < limits.brightness_min:
        unusable = ReasonCode.LOW_QUALITY_DARK
    elif sharpness < limits.sharpness_min:
        unusable = ReasonCode.LOW_QUALITY_BLUR
    return FaceCrop(frame.window, frame.pts_seconds, face, image, sharpness, brightness, unusable)
