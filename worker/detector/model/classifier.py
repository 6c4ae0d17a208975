"""Network: EfficientNet per face crop, Transformer over the frames, one logit per frame and one per sequence."""

import math

import timm
import torch
from torch import Tensor, nn

from worker.detector.config import ClassifierConfig

_TIME_SCALE_SECONDS = 64.0
"""Half of the longest period of the positional encoding."""
_TIME_STEP_SECONDS = 1 / 30
"""Half of the shortest period: the interval between two neighbouring frames."""
_ACTIVATIONS = {"relu6": nn.ReLU6, "silu": nn.SiLU}


class Classifier(nn.Module):
    """Network from face crops to logits, positive is fake.

    The Transformer adds a correction to the mean of the frame logits.
    """

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.backbone = timm.create_model(config.backbone, num_classes=0, act_layer=_ACTIVATIONS[config.activation])
        features: int = self.backbone.num_features  # type: ignore[assignment]
        self.norm = nn.LayerNorm(features)
        self.frame_head = nn.Linear(features, 1)
        self.project = nn.Sequential(nn.Linear(features, config.width), nn.LayerNorm(config.width), nn.GELU())
        layer = nn.TransformerEncoderLayer(
            config.width,
            config.heads,
            dim_feedforward=2 * config.width,
            dropout=config.dropout,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.encoder = nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False)
        self.attention = nn.Linear(config.width, 1)
        self.sequence_head = nn.Sequential(
            nn.Linear(config.width, config.width),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.width, 1),
        )
        # The correction starts at zero, so an untrained Transformer does not disturb the mean.
        for parameter in self.sequence_head[-1].parameters():
            nn.init.zeros_(parameter)

    def features(self, crops: Tensor) -> Tensor:
        """Return the features (N, F) of normalised crops (N, 3, S, S) float32."""
        normalised: Tensor = self.norm(self.backbone(crops))
        return normalised

    def head(self, features: Tensor, pts_seconds: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Score sequences. Padding does not change their logits.

        Args:
            features: (B, N, F), output of ``features``.
            pts_seconds: (B, N), presentation times. Only differences matter.
            mask: (B, N) bool, True for a frame and False for padding. At least one frame per sequence.

        Returns:
            Frame logits (B, N), zero for padding, and sequence logits (B,).
        """
        frame_logits = self.frame_head(features).squeeze(-1).masked_fill(~mask, 0.0)
        mean_logit = frame_logits.sum(1) / mask.sum(1)
        first = pts_seconds.masked_fill(~mask, math.inf).amin(1, keepdim=True)
        tokens = self.project(features)
        tokens = tokens + _encode_times((pts_seconds - first).masked_fill(~mask, 0.0), tokens.shape[-1])
        encoded = self.encoder(tokens, src_key_padding_mask=~mask)
        weights = self.attention(encoded).squeeze(-1).masked_fill(~mask, -math.inf).softmax(1)
        pooled = (weights.unsqueeze(-1) * encoded).sum(1)
        correction = self.sequence_head(pooled).squeeze(-1)
        return frame_logits, mean_logit + correction

    def forward(self, crops: Tensor, pts_seconds: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Score sequences of normalised crops (B, N, 3, S, S) float32. Otherwise as ``head``."""
        batch, count = crops.shape[:2]
        features = self.features(crops.flatten(0, 1)).view(batch, count, -1)
        return self.head(features, pts_seconds, mask)


def _encode_times(seconds: Tensor, width: int) -> Tensor:
    """Return sines and cosines of times (Vaswani et al., 2017), (B, N) -> (B, N, width).

    Times instead of indices, because clips differ in frame rate.
    """
    exponents = torch.linspace(0, 1, width // 2, device=seconds.device)
    periods = _TIME_STEP_SECONDS * 2 * (_TIME_SCALE_SECONDS / _TIME_STEP_SECONDS) ** exponents
    angles = seconds.unsqueeze(-1) * (2 * math.pi / periods)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)
