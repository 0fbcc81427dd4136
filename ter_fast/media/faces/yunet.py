"""The YuNet face detector as a torch module: the network, and what its outputs say of boxes."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

WEIGHTS = Path(__file__).parent / "weights" / "yunet.safetensors"
"""Weights of YuNet 2023mar; where they come from stands in NOTICE.md beside them."""

STRIDES = (8, 16, 32)
"""Pixels from one cell of a map to the next, for each of the three maps that see faces."""

# Objectness and class, box, five landmarks of two coordinates.
_OUTPUTS = 1 + 1 + 4 + 10


class _Unit(nn.Module):
    """A pointwise and a depthwise convolution: a 3x3 convolution at an eighth of its cost."""

    def __init__(self, inputs: int, outputs: int, *, relu: bool = True) -> None:
        super().__init__()
        self.relu = relu
        self.pointwise = nn.Conv2d(inputs, outputs, 1, dtype=torch.float32)
        self.depthwise = nn.Conv2d(
            outputs, outputs, 3, padding=1, groups=outputs, dtype=torch.float32
        )

    def forward(self, maps: Tensor) -> Tensor:
        maps = self.depthwise(self.pointwise(maps))
        return F.relu_(maps) if self.relu else maps


class YuNet(nn.Module):
    """Find faces of about 10 to 300 pixels in a batch of pictures.

    A backbone of depthwise-separable convolutions gives maps at strides 8, 16 and 32; a top-down
    path adds the coarse maps to the finer ones, and each cell of each map proposes one face. It has
    53,104 parameters; batch normalization is folded into them, and the first convolution reads RGB.

    The forward pass has static shapes and waits for no device, so that it compiles as one graph.

    Reference:
        Wu, Peng and Yu 2023, "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence
        Research 20, 656-665.

    Example:
        >>> YuNet()(torch.zeros(2, 3, 64, 96)).shape
        torch.Size([2, 126, 15])
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, stride=2, padding=1, dtype=torch.float32)
        # Each stage but the last ends in a pooling that halves the sides of its maps.
        self.backbone = nn.ModuleList(
            nn.Sequential(*(_Unit(inputs, outputs) for inputs, outputs in stage))
            for stage in (
                ((16, 16),),
                ((16, 16), (16, 32), (32, 32), (32, 64)),
                ((64, 64), (64, 64)),
                ((64, 64), (64, 64)),
                ((64, 64), (64, 64)),
            )
        )
        self.neck = nn.ModuleList(_Unit(64, 64) for _ in STRIDES)
        self.heads = nn.ModuleList(_Unit(64, _OUTPUTS, relu=False) for _ in STRIDES)

    def forward(self, pictures: Tensor, most: int = 200) -> Tensor:
        """Return the surest faces that the cells propose.

        Args:
            pictures: (N, 3, H, W) float32 RGB in [0, 255]; H and W are multiples of 32.
            most: How many faces of each picture, or all cells where these are fewer.

        Returns:
            (N, most, 15), the surest first: x, y, width and height in pixels, five landmarks (right eye,
            left eye, nose, right and left corner of the mouth, as the person has them), and the score
            in [0, 1].
        """
        maps = F.relu_(self.stem(pictures))
        seen = []
        for depth, stage in enumerate(self.backbone):
            maps = stage(F.max_pool2d(maps, 2) if depth else maps)
            seen.append(maps)
        outputs = []
        above: Tensor | None = None
        for level in reversed(range(len(STRIDES))):
            maps = seen[level - len(STRIDES)]
            if above is not None:
                maps = maps + F.interpolate(above, scale_factor=2.0, mode="nearest")
            above = self.neck[level](maps)
            outputs.append(self.heads[level](above).flatten(2).mT)
        return _decode(torch.cat(outputs[::-1], 1), _cells(pictures), most)


def _cells(pictures: Tensor) -> Tensor:
    """Return column, row and stride of every cell, (cells, 3), finest map first."""
    cells = []
    for stride in STRIDES:
        rows, columns = (
            torch.arange(side // stride, dtype=pictures.dtype, device=pictures.device)
            for side in pictures.shape[-2:]
        )
        down, across = torch.meshgrid(rows, columns, indexing="ij")
        cells.append(torch.stack([across, down, torch.full_like(down, stride)], -1).flatten(0, 1))
    return torch.cat(cells)


def _decode(outputs: Tensor, cells: Tensor, most: int) -> Tensor:
    """Turn what the cells say, (N, cells, 16), into the surest faces, (N, most, 15).

    A box's centre and the landmarks are offsets from the cell in strides, its sides are logarithms of
    strides, and the score is the geometric mean of two probabilities: that it is a face, and that
    the cell is near the middle of one.
    """
    score, surest = outputs[..., :2].sigmoid().prod(-1).sqrt().topk(min(most, len(cells)))
    chosen = outputs.gather(1, surest[..., None].expand(-1, -1, outputs.shape[-1]))
    cell, stride = cells[surest, :2], cells[surest, 2:]
    size = chosen[..., 4:6].exp() * stride
    corner = (chosen[..., 2:4] + cell) * stride - size / 2
    points = (chosen[..., 6:] + cell.repeat(1, 1, 5)) * stride
    return torch.cat([corner, size, points, score[..., None]], -1)


@cache
def load_yunet(device: torch.device) -> YuNet:
    """Return the shipped network on a device, the same one each time; it keeps no state between calls.

    Example:
        >>> sum(value.numel() for value in load_yunet(torch.device("cpu")).parameters())
        53104
    """
    with torch.device("meta"):
        network = YuNet()
    state = {
        # Pictures come with their channels last, and so do the maps then.
        name: value.contiguous(memory_format=torch.channels_last) if value.ndim == 4 else value
        for name, value in load_file(WEIGHTS).items()
    }
    network.load_state_dict(state, assign=True)
    return network.eval().requires_grad_(False).to(device)
