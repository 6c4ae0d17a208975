"""Faces that went through a generator, made beforehand and stored, for pseudo-fakes.

Several reconstructions of each real clip are made, each with one setting: size of the face in the generator, strength
of the noise, and for some of them a donor whose latents are mixed in. The noise of each frame is its own, so the face
flickers as that of a generator does.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import cv2
import numpy as np
from rich.progress import track as show_progress

from training.augmentation.augment import Rng
from training.augmentation.donors import DonorSampler
from training.augmentation.generator import SIDE_STEP_PX, Autoencoder, load_generator
from training.augmentation.pseudo_fakes import FaceImage, warp_face
from training.config import TrainConfig
from training.data.images import Clip, ImageStore, face_of
from training.data.landmarks import load_landmarks
from training.data.manifest import CropRow, sequences_of, write_rows
from training.data.shards import ShardWriter
from training.data.splits import load_kept_rows
from training.data.tables import read_table
from training.errors import TrainingError
from worker.detector.config import CropConfig
from worker.detector.extraction.crops import crop_face
from worker.detector.types import Floats, Image

LIST_NAME = "reconstructions.csv"
_REGION_SCALE = 1.45
"""Side of the reconstructed square, in widths of the face box."""
_FAST = [cv2.IMWRITE_PNG_COMPRESSION, 1]
"""Lossless, because artefacts in one side of the pairs would reveal the label; ten times as fast as WebP."""
_DONOR_SHARE = (0.3, 0.6)
"""Range of the share of the donor in a mixed face."""
_BATCH = 32


class ReconstructionsError(TrainingError):
    """The reconstructions cannot be made or loaded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconstructionOptions:
    """Amount and kinds of the reconstructions."""

    settings: int = 2
    """Settings per clip."""
    clips_share: float = 1.0
    """Share of the real clips of ``train`` that are reconstructed."""
    face_px: tuple[float, float] = (36.0, 88.0)
    """Range of the face size in the generator, in pixels, drawn log-uniformly; never above that of the image."""
    noise_share: float = 0.4
    """Share of the settings with noise in the latents."""
    noise: tuple[float, float] = (0.05, 0.25)
    """Range of the standard deviation of the noise, in standard deviations of the latents."""
    mixed_share: float = 0.2
    """Share of the settings with the latents of two people, where there are landmarks."""
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconstructionRow:
    """A stored reconstruction."""

    source: str
    """Path of the real image in its manifest."""
    path: str
    """Path of the reconstructed square, relative to the list."""
    setting: int
    """Number of the setting; the frames of a clip share it."""
    box_x: float
    box_y: float
    box_w: float
    """The square, in widths of the real image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Setting:
    """Parameters of the reconstruction of a clip."""

    number: int
    face_px: float
    noise: float
    donor: CropRow | None
    share: float
    """Share of the donor."""


@dataclass(frozen=True, slots=True, eq=False)
class _Input:
    """Image to reconstruct: the real square (S, S, 3), and that of the donor."""

    row: ReconstructionRow
    square: Image
    donor: Image | None
    setting: _Setting


_COLUMNS = [field.name for field in fields(ReconstructionRow)]


class Reconstructions:
    """Stored reconstructions by the path of the real image. Raises ReconstructionsError if the list is missing.

    Args:
        folder: Folder that ``make_reconstructions`` wrote.
    """

    def __init__(self, folder: Path) -> None:
        if not (folder / LIST_NAME).exists():
            raise ReconstructionsError(
                f"{folder / LIST_NAME} is missing. Run 'python -m training generate', or set data.generator=null."
            )
        self._store = ImageStore(folder)
        self._rows: dict[str, dict[int, ReconstructionRow]] = defaultdict(dict)
        for _, cells in read_table(folder / LIST_NAME, required=_COLUMNS):
            box = {name: float(cells[name]) for name in ("box_x", "box_y", "box_w")}
            setting = int(cells["setting"])
            row = ReconstructionRow(source=cells["source"], path=cells["path"], setting=setting, **box)
            self._rows[row.source][setting] = row

    def sample_setting(self, clip: Clip, rng: Rng) -> int | None:
        """Draw one of the settings that all frames of a clip have; None if there is none."""
        common = set.intersection(*(set(self._rows.get(row.path, {})) for row in clip))
        return sorted(common)[rng.integers(len(common))] if common else None

    def paste(self, image: Image, path: str, setting: int) -> Image:
        """Return a copy of a real image with the reconstructed square in its place."""
        row = self._rows[path][setting]
        square, width = self._store.read(row.path), image.shape[1]
        scale = row.box_w * width / square.shape[1]
        # Pixel centres lie at half positions.
        shift = [side * width + (scale - 1) / 2 for side in (row.box_x, row.box_y)]
        to_image = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
        pasted = image.copy()
        size = (image.shape[1], image.shape[0])
        cv2.warpAffine(square, to_image, size, dst=pasted, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_TRANSPARENT)
        return pasted


def make_reconstructions(config: TrainConfig, weights: Path, out: Path, options: ReconstructionOptions) -> int:
    """Reconstruct the real faces of the training set of a configuration, and write them with their list.

    Args:
        config: Configuration with manifest, landmarks, and the data sets and people that are left out.
        weights: Weights of the generator.
        out: Folder to write; it must not exist.
        options: Amount and kinds.

    Returns:
        The number of reconstructions.

    Raises:
        ManifestError: The manifest cannot be used.
        GeneratorError: The weights cannot be loaded.
        ReconstructionsError: ``out`` exists.
    """
    if out.exists():
        raise ReconstructionsError(f"{out} exists. Choose another folder, or delete it.")
    generator = load_generator(weights)
    rows = load_kept_rows(config.data)
    clips = sequences_of(row for row in rows if row.split == "train" and row.label == 0)
    landmarks = load_landmarks(config.data.landmarks) if config.data.landmarks else {}
    maker = _Maker(ImageStore(config.data.manifest.parent), landmarks, DonorSampler(clips, landmarks), options)
    out.mkdir(parents=True)
    shards = ShardWriter(out, "squares", suffix=".png")
    made: list[ReconstructionRow] = []
    for number, batch in enumerate(_batch_by_size(maker.prepare(clips))):
        squares = _reconstruct(generator, batch, seed=options.seed + number)
        for item, square in zip(batch, squares, strict=True):
            _, encoded = cv2.imencode(".png", cv2.cvtColor(square, cv2.COLOR_RGB2BGR), _FAST)
            made.append(replace(item.row, path=shards.add(encoded.tobytes())))
    shards.close()
    write_rows(out / LIST_NAME, ReconstructionRow, made)
    return len(made)


class _Maker:
    """Preparation of the squares that go through the generator."""

    def __init__(
        self,
        store: ImageStore,
        landmarks: Mapping[str, Floats],
        donors: DonorSampler,
        options: ReconstructionOptions,
    ) -> None:
        self._store, self._landmarks, self._donors, self._options = store, landmarks, donors, options

    def prepare(self, clips: Sequence[Clip]) -> Iterator[_Input]:
        """Yield each frame of the chosen clips in each of their settings."""
        rng = np.random.default_rng(self._options.seed)
        chosen = [clip for clip in clips if rng.random() < self._options.clips_share]
        for clip in show_progress(chosen, "clips"):
            images = [self._store.read(row.path) for row in clip]
            for number in range(self._options.settings):
                setting = self._sample_setting(clip[0], rng, number)
                for row, image in zip(clip, images, strict=True):
                    yield self._prepare_frame(row, image, setting)

    def _sample_setting(self, row: CropRow, rng: Rng, number: int) -> _Setting:
        options = self._options
        low, high = np.log(options.face_px)
        is_mixed = bool(rng.random() < options.mixed_share)
        return _Setting(
            number=number,
            face_px=float(np.exp(rng.uniform(low, high))),
            noise=float(rng.uniform(*options.noise)) if rng.random() < options.noise_share else 0.0,
            donor=self._donors.sample(row, rng) if is_mixed else None,
            share=float(rng.uniform(*_DONOR_SHARE)),
        )

    def _prepare_frame(self, row: CropRow, image: Image, setting: _Setting) -> _Input:
        face, width = face_of(row, image), image.shape[1]
        face_px = min(setting.face_px, face.box.width)
        side_px = max(round(face_px * _REGION_SCALE / SIDE_STEP_PX), 1) * SIDE_STEP_PX
        crop = CropConfig(size_px=side_px, scale=_REGION_SCALE, upright=False)
        donor = None
        if setting.donor is not None and row.path in self._landmarks:
            donor_image = self._store.read(setting.donor.path)
            warped = warp_face(self._face_image(setting.donor, donor_image), self._face_image(row, image))
            donor = crop_face(warped, face, crop)
        side = face.box.width * _REGION_SCALE
        x, y = face.box.center
        return _Input(
            row=ReconstructionRow(
                source=row.path,
                path="",
                setting=setting.number,
                box_x=(x - side / 2) / width,
                box_y=(y - side / 2) / width,
                box_w=side / width,
            ),
            square=crop_face(image, face, crop),
            donor=donor,
            setting=setting,
        )

    def _face_image(self, row: CropRow, image: Image) -> FaceImage:
        return FaceImage(image, face_of(row, image), self._landmarks[row.path] * np.float32(image.shape[1]))


def _batch_by_size(inputs: Iterable[_Input]) -> Iterator[list[_Input]]:
    """Yield batches of squares of one size, all or none of them with a donor."""
    waiting: dict[tuple[int, bool], list[_Input]] = defaultdict(list)
    for item in inputs:
        key = (len(item.square), item.donor is None)
        waiting[key].append(item)
        if len(waiting[key]) == _BATCH:
            yield waiting.pop(key)
    yield from waiting.values()


def _reconstruct(generator: Autoencoder, batch: Sequence[_Input], *, seed: int) -> Image:
    donors = [item.donor for item in batch if item.donor is not None]
    return generator.reconstruct(
        np.stack([item.square for item in batch]),
        noise=np.array([item.setting.noise for item in batch], np.float32),
        donors=np.stack(donors) if donors else None,
        shares=np.array([item.setting.share for item in batch], np.float32),
        seed=seed,
    )
