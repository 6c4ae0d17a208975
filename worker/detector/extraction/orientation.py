"""Orientation of a stored picture: rotation and mirroring by the display matrix (ISO/IEC 14496-12, 6.2.2)."""

import math
import struct
from dataclasses import dataclass
from typing import cast

import numpy as np
from av.sidedata.sidedata import SideData
from av.video.frame import VideoFrame

from worker.detector.types import Image


@dataclass(frozen=True, slots=True)
class Orientation:
    """Steps that set a stored picture upright: mirroring left to right, then clockwise quarter turns."""

    mirrored: bool = False
    quarter_turns: int = 0

    @property
    def is_sideways(self) -> bool:
        """True if width and height change places."""
        return self.quarter_turns % 2 == 1

    def turn(self, quarter_turns: int) -> "Orientation":
        """Return the orientation with more clockwise quarter turns."""
        return Orientation(self.mirrored, (self.quarter_turns + quarter_turns) % 4)

    def apply(self, image: Image) -> Image:
        """Return the picture upright."""
        mirrored = image[:, ::-1] if self.mirrored else image
        return np.rot90(mirrored, -self.quarter_turns) if self.quarter_turns else mirrored


def read_orientation(frame: VideoFrame) -> Orientation:
    """Return the orientation that the display matrix of a frame demands."""
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return Orientation()
    # A point (x, y) goes to (a x + c y, b x + d y).
    a, b, _, c, d = struct.unpack_from("=5i", bytes(cast("SideData", matrix)))
    mirrored = a * d - b * c < 0
    if mirrored:
        a, b = -a, -b
    return Orientation(mirrored, round(math.degrees(math.atan2(b, a)) / 90) % 4)
