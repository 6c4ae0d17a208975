"""Detection of shot cuts between two frames."""

import cv2
import numpy as np

from worker.detector.types import Floats, Image

Thumbnail = Floats

_CUT_DIFFERENCE = 40.0
"""Mean luma difference of two thumbnails, of 255, above which there is a shot cut between them."""
_THUMBNAIL_PX = 32


def make_thumbnail(image: Image) -> Thumbnail:
    """Return the luma of a picture at 32x32 pixels, float32."""
    small = cv2.resize(image, (_THUMBNAIL_PX, _THUMBNAIL_PX), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)


def is_cut(before: Thumbnail, after: Thumbnail) -> bool:
    """Return True if two frames are from different shots."""
    return float(np.abs(after - before).mean()) > _CUT_DIFFERENCE
