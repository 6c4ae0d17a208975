"""Export of the network as an ONNX graph whose weights stay in the safetensors file, in half precision."""

import json
import struct
from pathlib import Path
from typing import NamedTuple

import onnx
import torch
from onnx import TensorProto, helper
from torch import Tensor, nn

from worker.detector.config import DetectorConfig
from worker.detector.model.classifier import Classifier
from worker.detector.model.manifest import GRAPH_NAME, WEIGHTS_NAME

_OPSET = 20
_DTYPES = {"F16": TensorProto.FLOAT16, "F32": TensorProto.FLOAT}


class _StoredTensor(NamedTuple):
    """Type, shape and location of a tensor in a safetensors file."""

    dtype: int
    shape: list[int]
    offset: int
    length: int


class _SequenceNetwork(nn.Module):
    """Network for one unpadded sequence: crops (N, 3, S, S) and times (N,) to frame logits (N,) and a logit."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, crops: Tensor, pts_seconds: Tensor) -> tuple[Tensor, Tensor]:
        mask = torch.ones_like(pts_seconds, dtype=torch.bool)
        frame_logits, logit = self.classifier(crops.unsqueeze(0), pts_seconds.unsqueeze(0), mask.unsqueeze(0))
        return frame_logits.squeeze(0), logit.squeeze(0)


def export_onnx(classifier: Classifier, config: DetectorConfig, folder: Path) -> Path:
    """Write ``model.onnx`` into a folder that already has the weights of the same network.

    Returns:
        The path of the graph: inputs ``crops`` (N, 3, S, S) and ``pts_seconds`` (N,), both normalised float32, outputs
        ``frame_logits`` (N,) and ``logit`` ().
    """
    size = config.crop.size_px
    example = torch.zeros(4, 3, size, size), torch.arange(4) / 25
    frames = {0: torch.export.Dim.DYNAMIC}
    was_fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # fused kernels have no counterpart in ONNX
    try:
        program = torch.onnx.export(
            _SequenceNetwork(classifier).eval(),
            example,
            input_names=["crops", "pts_seconds"],
            output_names=["frame_logits", "logit"],
            dynamic_shapes=(frames, frames),
            opset_version=_OPSET,
            dynamo=True,
            optimize=False,  # constant folding would detach weights from the file
            verbose=False,
        )
    finally:
        torch.backends.mha.set_fastpath_enabled(was_fast)
    assert program is not None
    model = program.model_proto
    _externalize_weights(model.graph, _read_header(folder / WEIGHTS_NAME))
    del model.metadata_props[:]
    for node in model.graph.node:
        del node.metadata_props[:]  # else it holds source paths of this machine
        node.doc_string = ""
    onnx.save(model, folder / GRAPH_NAME)
    onnx.checker.check_model(str(folder / GRAPH_NAME))
    return folder / GRAPH_NAME


def _externalize_weights(graph: onnx.GraphProto, stored: dict[str, _StoredTensor]) -> None:
    """Replace the weights of a graph by references into the safetensors file, with casts from half precision."""
    casts = []
    for tensor in graph.initializer:
        location = stored.get(tensor.name.removeprefix("classifier."))
        if location is None:
            continue
        assert list(tensor.dims) == location.shape
        name = tensor.name
        if location.dtype == TensorProto.FLOAT16:
            casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
            name = f"{name}.half"
        tensor.CopyFrom(TensorProto(name=name, dims=location.shape, data_type=location.dtype))
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in {"location": WEIGHTS_NAME, "offset": location.offset, "length": location.length}.items():
            tensor.external_data.add(key=key, value=str(value))
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend([*casts, *nodes])


def _read_header(path: Path) -> dict[str, _StoredTensor]:
    """Read the tensors of a safetensors file: eight bytes of length, a JSON header, then the data."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    start = 8 + length
    return {
        name: _StoredTensor(_DTYPES[entry["dtype"]], entry["shape"], start + entry["data_offsets"][0],
                      entry["data_offsets"][1] - entry["data_offsets"][0])
        for name, entry in header.items()
        if name != "__metadata__" and entry["dtype"] in _DTYPES
    }  # fmt: skip
