"""Pictures of what the detector samples from a clip, for debugging."""

from pathlib import Path

import cv2
import numpy as np

from app.infra.file_signatures import SNIFF_BYTES, require_video_signature
from worker.detector.model.manifest import load_model_manifest
from worker.detector.sandbox.parent import Sandbox
from worker.detector.sandbox.protocol import SampledFrame
from worker.detector.types import Extraction, Image
from worker.settings import WorkerSettings


class FramesError(Exception):
    """The pictures cannot be written."""


CONTACT_SHEET_NAME = "contact-sheet.jpg"
_TILE_PX = 240
"""Width of a frame in the contact sheet."""
_GREEN, _WHITE, _BLACK = (0, 255, 0), (255, 255, 255), (0, 0, 0)


def write_frames(clip: Path, out: Path, settings: WorkerSettings) -> tuple[Extraction, int]:
    """Sample a clip as a worker does and write each frame, with the boxes of its faces, and a contact sheet.

    Returns:
        The extraction, and the number of frames.

    Raises:
        ClipRejectedError: The file is not a supported video.
        ClipError: The clip cannot be decoded or exceeds a limit.
        CheckpointError: The model directory is not a model.
        SandboxError: Clips cannot be decoded on this machine.
        FramesError: The folder has other files, or a picture cannot be written.
        OSError: The clip or the folder cannot be used.
    """
    with clip.open("rb") as file:
        require_video_signature(file.read(SNIFF_BYTES))
    out.mkdir(parents=True, exist_ok=True)
    if any(out.iterdir()):
        raise FramesError(f"{out} is not empty. Name a new folder: pictures of two clips would mix.")
    tiles: dict[float, Image] = {}

    def write(frame: SampledFrame) -> None:
        picture = _draw(frame)
        path = out / f"{frame.pts_seconds:09.3f}.jpg"
        _write_picture(path, picture)
        height, width = picture.shape[:2]
        size = (_TILE_PX, max(round(height * _TILE_PX / width), 1))
        # A frame comes again if the clip is turned; the last one counts.
        tiles[frame.pts_seconds] = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8)

    config = load_model_manifest(settings.model_dir).detector
    with Sandbox(config, settings.make_sandbox_options()) as sandbox, clip.open("rb") as file:
        extraction = sandbox.extract(file, lambda _done, _total: None, on_image=write)
    sheet = _arrange([tiles[seconds] for seconds in sorted(tiles)], columns=config.sampling.window_frames)
    _write_picture(out / CONTACT_SHEET_NAME, sheet)
    return extraction, len(tiles)


def _write_picture(path: Path, picture: Image) -> None:
    if not cv2.imwrite(str(path), picture):
        raise FramesError(f"{path} cannot be written. Check the permissions of the folder and the space on the disk.")


def _draw(frame: SampledFrame) -> Image:
    """Return a frame in BGR with boxes and its time."""
    pixels = cv2.imdecode(np.frombuffer(frame.jpeg, np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        raise FramesError(f"The frame at {frame.pts_seconds:.3f} s cannot be drawn. Look at the clip in a player.")
    picture = pixels.astype(np.uint8)
    thickness = max(picture.shape[1] // 400, 2)
    for box in frame.boxes:
        left_top, right_bottom = (int(box.x), int(box.y)), (int(box.x + box.width), int(box.y + box.height))
        cv2.rectangle(picture, left_top, right_bottom, _GREEN, thickness)
        _write(picture, f"{box.width:.0f} px", left_top, _GREEN, thickness)
    _write(picture, f"{frame.pts_seconds:.2f} s", (4, 14 * thickness), _WHITE, thickness)
    return picture


def _write(picture: Image, text: str, position: tuple[int, int], colour: tuple[int, int, int], thickness: int) -> None:
    """Write a text with a dark outline, so that it is read on any ground."""
    for line, width in ((_BLACK, 3 * thickness // 2), (colour, thickness // 2)):
        cv2.putText(picture, text, position, cv2.FONT_HERSHEY_SIMPLEX, 0.4 * thickness, line, width)


def _arrange(tiles: list[Image], *, columns: int) -> Image:
    """Return the tiles in rows, each as high as the highest."""
    height = max(tile.shape[0] for tile in tiles)
    rows = -(-len(tiles) // columns)
    sheet = np.zeros((rows * height, min(columns, len(tiles)) * _TILE_PX, 3), np.uint8)
    for index, tile in enumerate(tiles):
        row, column = divmod(index, columns)
        y, x = row * height, column * _TILE_PX
        sheet[y : y + tile.shape[0], x : x + _TILE_PX] = tile
    return sheet
