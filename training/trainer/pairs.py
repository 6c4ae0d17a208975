"""Training examples: pairs of a real and a fake of one data set that share every augmentation.

Each batch depends only on the seed and its number, so a resumed run sees the same batches as an uninterrupted one.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from training.augmentation.augment import Rng, degrade, sample_degradation, sample_geometry
from training.augmentation.donors import DonorSampler
from training.augmentation.pseudo_fakes import FaceImage, blend_clip, sample_blend
from training.augmentation.reconstructions import Reconstructions
from training.config import BlendConfig, SequenceConfig, TrainConfig
from training.data.images import Clip, ImageStore, face_of
from training.data.landmarks import load_landmarks
from training.data.manifest import CropRow, ManifestError, sequences_of
from worker.detector.extraction.crops import crop_face
from worker.detector.model.preprocessing import normalise
from worker.detector.types import Floats, Image


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A sequence of crops (N, S, S, 3) uint8 with times (N,) in seconds, and its label."""

    crops: Image
    pts_seconds: Floats
    label: int


@dataclass(frozen=True, slots=True, eq=False)
class FeatureSequence:
    """A sequence as features (N, F) of a frozen backbone, with times (N,) in seconds, and its label."""

    features: Tensor
    pts_seconds: Floats
    label: int


class PairSampler:
    """Random pairs of a real and a fake; if no data set has both, every fake is a pseudo-fake.

    Raises ManifestError if there is no real face to train on, or no clip that is long enough.
    """

    def __init__(self, rows: Sequence[CropRow], store: ImageStore, config: TrainConfig) -> None:
        self._store = store
        self._config = config
        self._landmarks = load_landmarks(config.data.landmarks) if config.data.landmarks else {}
        self._clips: dict[tuple[str, int], list[Clip]] = defaultdict(list)
        self._originals: dict[tuple[str, str], list[Clip]] = defaultdict(list)
        for clip in sequences_of(row for row in rows if row.split == "train"):
            first = clip[0]
            self._clips[first.dataset, first.label].append(clip)
            if first.label == 0:
                self._originals[first.dataset, first.group].append(clip)
        reals = [clip for (_, label), clips in self._clips.items() if label == 0 for clip in clips]
        self._donors = DonorSampler(reals, self._landmarks)
        self._reconstructions = Reconstructions(config.data.generator) if config.data.generator else None
        self._long: dict[tuple[str, int, int], list[Clip]] = {}
        names = sorted({name for name, _ in self._clips})
        self._with_reals = [name for name in names if (name, 0) in self._clips]
        self._with_both = [name for name in self._with_reals if (name, 1) in self._clips]
        if not self._with_reals:
            raise ManifestError("There is no real face in split 'train'. Add real clips to it.")

    def sample(
        self, rng: Rng, *, frames_min: int, frames_max: int, views: int = 1, kinds: BlendConfig | None = None
    ) -> list[Example]:
        """Draw a real and a fake of one data set with equal rotation, mirroring and degradation.

        Args:
            rng: Source of all random numbers.
            frames_min: Clips with fewer frames are not drawn; with 1, single frames of all clips are.
            frames_max: Longer clips are cut at random.
            views: Number of times that the pair is returned, each with other rotation, mirroring and degradation.

            kinds: Shares of the pseudo-fakes and of their kinds; None: those of the configuration.

        Returns:
            For each view a real and its fake.
        """
        kinds = kinds or self._config.blend
        is_blend = not self._with_both or rng.random() < kinds.share
        if is_blend:
            dataset = self._sample_dataset(self._with_reals, rng, frames_min)
            real = self._sample_clip(dataset, 0, rng, frames_min)
            real = self._cut(real, rng, frames_min, frames_max)
            fake = real
            blend = sample_blend(kinds, rng)
            donor = self._donors.sample(real[0], rng) if blend.kind == "swap" else None
            reals, fakes = blend_clip(
                self._face_images(real, rng if blend.kind == "generator" else None),
                self._face_images([donor] if donor else []),
                blend,
            )
        else:
            dataset = self._sample_dataset(self._with_both, rng, frames_min)
            fake = self._sample_clip(dataset, 1, rng, frames_min)
            originals = [clip for clip in self._originals[dataset, fake[0].group] if len(clip) >= frames_min]
            fake = self._cut(fake, rng, frames_min, frames_max)
            if originals and rng.random() < self._config.data.own_original:
                real = _cut_like(originals[rng.integers(len(originals))], fake)
            else:
                real = self._cut(self._sample_clip(dataset, 0, rng, frames_min), rng, frames_min, frames_max)
            reals, fakes = ([self._store.read(row.path) for row in clip] for clip in (real, fake))
        examples = []
        for _ in range(views):
            geometry = sample_geometry(self._config.augment, rng)
            degradation = sample_degradation(self._config.augment, rng)
            for label, clip, images in ((0, real, reals), (1, fake, fakes)):
                crops = [
                    geometry.finish(crop_face(image, geometry.move(face_of(row, image)), self._config.detector.crop))
                    for row, image in zip(clip, images, strict=True)
                ]
                times = np.array([row.pts_seconds for row in clip], np.float32)
                examples.append(Example(np.stack(degrade(crops, degradation)), times, label))
        return examples

    def _sample_dataset(self, names: Sequence[str], rng: Rng, frames_min: int) -> str:
        labels = (0,) if names is self._with_reals else (0, 1)
        usable = [name for name in names if all(self._get_long_clips(name, label, frames_min) for label in labels)]
        if not usable:
            raise ManifestError(
                f"No data set has clips of at least {frames_min} frames. Set sequence.frames_min lower."
            )
        weights = np.array([self._config.data.weights.get(name, 1.0) for name in usable])
        return usable[rng.choice(len(usable), p=weights / weights.sum())]

    def _sample_clip(self, dataset: str, label: int, rng: Rng, frames_min: int) -> Clip:
        clips = self._get_long_clips(dataset, label, frames_min)
        return clips[rng.integers(len(clips))]

    def _get_long_clips(self, dataset: str, label: int, frames_min: int) -> list[Clip]:
        """Return the clips that are long enough; cached, because every draw needs them."""
        key = dataset, label, frames_min
        if key not in self._long:
            self._long[key] = [clip for clip in self._clips[dataset, label] if len(clip) >= frames_min]
        return self._long[key]

    def _cut(self, clip: Clip, rng: Rng, frames_min: int, frames_max: int) -> Clip:
        count = int(rng.integers(frames_min, min(frames_max, len(clip)) + 1))
        start = int(rng.integers(len(clip) - count + 1))
        return clip[start : start + count]

    def _face_images(self, clip: Clip, rng: Rng | None = None) -> list[FaceImage]:
        """Return the images of a clip; with ``rng``, also the reconstructions of a random setting, if it has any."""
        setting = self._reconstructions.sample_setting(clip, rng) if self._reconstructions and rng else None
        face_images = []
        for row in clip:
            image, points = self._store.read(row.path), self._landmarks.get(row.path)
            in_pixels = None if points is None else points * np.float32(image.shape[1])
            generated = None
            if self._reconstructions and setting is not None:
                generated = self._reconstructions.paste(image, row.path, setting)
            face_images.append(FaceImage(image, face_of(row, image), in_pixels, generated))
        return face_images


def _cut_like(clip: Clip, other: Clip) -> Clip:
    """Cut a clip to the length of another, if it is longer, from about the same time."""
    count = min(len(clip), len(other))
    distances = [abs(row.pts_seconds - other[0].pts_seconds) for row in clip[: len(clip) - count + 1]]
    start = int(np.argmin(distances))
    return clip[start : start + count]


class FrameBatches(Dataset[tuple[Tensor, Tensor]]):
    """Batches of single crops by number: normalised crops (B, 3, S, S) and labels (B,).

    Real and fake alternate. With two views, the pair of the second view follows that of the first.
    """

    def __init__(self, pairs: PairSampler, config: TrainConfig, *, batch_pairs: int, rank: int = 0) -> None:
        self._pairs, self._config, self._batch_pairs, self._rank = pairs, config, batch_pairs, rank
        self._views = config.frames.views if config.frames else 1

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng((self._config.seed, 1, step, self._rank))
        examples: list[Example] = []
        for _ in range(self._batch_pairs // self._views):
            examples += self._pairs.sample(rng, frames_min=1, frames_max=1, views=self._views)
        crops = normalise(np.concatenate([example.crops for example in examples]), self._config.detector.crop)
        return torch.from_numpy(crops), torch.tensor([float(example.label) for example in examples])


class SequenceBatches(Dataset[list[Example]]):
    """Batches of sequences by number."""

    def __init__(self, pairs: PairSampler, config: TrainConfig, *, batch_pairs: int, rank: int = 0) -> None:
        self._pairs, self._config, self._batch_pairs, self._rank = pairs, config, batch_pairs, rank

    def __getitem__(self, step: int) -> list[Example]:
        rng = np.random.default_rng((self._config.seed, 2, step, self._rank))
        return [example for _ in range(self._batch_pairs) for example in self._sample(self._config.sequence, rng)]

    def _sample(self, sequence: SequenceConfig, rng: Rng) -> list[Example]:
        if rng.random() < sequence.single_share:
            return self._pairs.sample(rng, frames_min=1, frames_max=1)
        return self._pairs.sample(rng, frames_min=sequence.frames_min, frames_max=sequence.frames_max)


def pad(sequences: Sequence[Tensor], pts_seconds: Sequence[Floats]) -> tuple[Tensor, Tensor, Tensor]:
    """Return sequences (N_i, ...) as a batch (B, N, ...), with times (B, N) and a mask (B, N), True for a frame."""
    batch = torch.nn.utils.rnn.pad_sequence(list(sequences), batch_first=True)
    times = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(times) for times in pts_seconds], batch_first=True)
    counts = torch.tensor([len(sequence) for sequence in sequences])
    return batch, times, torch.arange(batch.shape[1])[None] < counts[:, None]
