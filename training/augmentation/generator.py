"""A tiny autoencoder whose reconstructions have the traces of face generators: smeared eyes, teeth and skin.

The architecture is that of TAESD for FLUX.2 (Ollin Boer Bohan, MIT): 8 x 8 pixels become 32 latents. Reconstructed
faces as pseudo-fakes follow Sun et al., 2023 (arXiv 2312.08020).
"""

from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from training.errors import TrainingError
from worker.detector.types import Floats, Image

SIDE_STEP_PX = 8
"""The sides of an image are a multiple of this."""
_WIDTH = 64
_LATENTS = 32


class GeneratorError(TrainingError):
    """The weights of the generator cannot be loaded."""


class _Block(nn.Module):
    """Residual block of three convolutions; a pooled one first adds a mix of the channels to its input."""

    def __init__(self, *, pooled: bool = False) -> None:
        super().__init__()
        convolutions: list[nn.Module] = [nn.Conv2d(_WIDTH, _WIDTH, 3, padding=1)]
        for _ in range(2):
            convolutions += [nn.ReLU(), nn.Conv2d(_WIDTH, _WIDTH, 3, padding=1)]
        self.conv = nn.Sequential(*convolutions)
        wide = 4 * _WIDTH
        self.pool = (
            nn.Sequential(
                nn.Conv2d(_WIDTH, wide, 1, bias=False),
                nn.GroupNorm(4, wide),
                nn.ReLU(),
                nn.Conv2d(wide, _WIDTH, 1, bias=False),
            )
            if pooled
            else None
        )

    def forward(self, features: Tensor) -> Tensor:
        if self.pool is not None:
            features = features + self.pool(features)
        return torch.relu(self.conv(features) + features)


class _SoftClamp(nn.Module):
    """Bound of the latents."""

    def forward(self, latents: Tensor) -> Tensor:
        return 3 * torch.tanh(latents / 3)


class Autoencoder(nn.Module):
    """Encoder of images (B, 3, H, W) in 0..1 to latents (B, 32, H / 8, W / 8), and decoder back."""

    def __init__(self) -> None:
        super().__init__()
        down: list[nn.Module] = [nn.Conv2d(3, _WIDTH, 3, padding=1), _Block()]
        up: list[nn.Module] = [_SoftClamp(), nn.Conv2d(_LATENTS, _WIDTH, 3, padding=1), nn.ReLU()]
        for stage in range(3):
            down.append(nn.Conv2d(_WIDTH, _WIDTH, 3, stride=2, padding=1, bias=False))
            down += [_Block(pooled=stage == 2) for _ in range(3)]
            up += [_Block(pooled=stage == 0) for _ in range(3)]
            up += [nn.Upsample(scale_factor=2), nn.Conv2d(_WIDTH, _WIDTH, 3, padding=1, bias=False)]
        self.encoder = nn.Sequential(*down, nn.Conv2d(_WIDTH, _LATENTS, 3, padding=1))
        self.decoder = nn.Sequential(*up, _Block(), nn.Conv2d(_WIDTH, 3, 3, padding=1))

    @torch.inference_mode()
    def reconstruct(
        self, images: Image, *, noise: Floats, donors: Image | None = None, shares: Floats | None = None, seed: int = 0
    ) -> Image:
        """Encode and decode images.

        Args:
            images: (N, S, S, 3) uint8, S a multiple of ``SIDE_STEP_PX``.
            noise: (N,), standard deviation of the noise that is added to the latents of each image, in standard
                deviations of these latents.
            donors: (N, S, S, 3) uint8, images whose latents are mixed in.
            shares: (N,), share of the donor in each mix.
            seed: Seed of the noise.

        Returns:
            (N, S, S, 3) uint8.
        """
        latents = self.encoder(self._to_tensor(images))
        if donors is not None and shares is not None:
            latents = torch.lerp(latents, self.encoder(self._to_tensor(donors)), self._per_image(shares))
        drawn = torch.randn(latents.shape, generator=torch.Generator().manual_seed(seed)).to(latents.device)
        deviations = latents.flatten(1).std(1)[:, None, None, None]
        decoded = self.decoder(latents + drawn * self._per_image(noise) * deviations)
        pixels = decoded.clamp(0, 1).mul(255).round().byte().permute(0, 2, 3, 1)
        return np.ascontiguousarray(pixels.cpu().numpy())

    def _per_image(self, values: Floats) -> Tensor:
        return torch.from_numpy(values).to(next(self.parameters()).device)[:, None, None, None]

    def _to_tensor(self, images: Image) -> Tensor:
        tensor = torch.from_numpy(images).to(next(self.parameters()).device).permute(0, 3, 1, 2)
        return tensor.float().div(255).contiguous(memory_format=torch.channels_last)


def load_generator(path: Path) -> Autoencoder:
    """Load an autoencoder from safetensors, on the GPU if there is one. Raises GeneratorError."""
    network = Autoencoder()
    try:
        network.load_state_dict({name: tensor.float() for name, tensor in load_file(path).items()})
    except (OSError, RuntimeError, SafetensorError) as error:
        raise GeneratorError(f"{path} has no weights of this autoencoder: {error}") from error
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return network.eval().to(device).to(memory_format=torch.channels_last)
