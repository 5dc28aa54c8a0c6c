"""The paper's network in PyTorch: a peer to measure ours against, and no more.

GoogLeNet with Caffe's padding, attention behind pool3, trunk 4a to 4e, one mask a
learner, shared G, contrastive and divergence loss; written from the same table of
filters as ours.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from abe_tf.models.inception import BLOCKS, Filters


class Inception(nn.Module):
    """One block."""

    def __init__(self, channels: int, filters: Filters) -> None:
        super().__init__()
        self.conv_1x1 = nn.Conv2d(channels, filters.conv_1x1, 1)
        self.reduce_3x3 = nn.Conv2d(channels, filters.reduce_3x3, 1)
        self.conv_3x3 = nn.Conv2d(filters.reduce_3x3, filters.conv_3x3, 3, padding=1)
        self.reduce_5x5 = nn.Conv2d(channels, filters.reduce_5x5, 1)
        self.conv_5x5 = nn.Conv2d(filters.reduce_5x5, filters.conv_5x5, 5, padding=2)
        self.pool_proj = nn.Conv2d(channels, filters.pool_proj, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Four branches side by side."""
        relu = functional.relu
        branches = [
            relu(self.conv_1x1(x)),
            relu(self.conv_3x3(relu(self.reduce_3x3(x)))),
            relu(self.conv_5x5(relu(self.reduce_5x5(x)))),
            relu(self.pool_proj(functional.max_pool2d(x, 3, 1, 1))),
        ]
        return torch.cat(branches, 1)


def _channels(block: str) -> int:
    filters = BLOCKS[block]
    return filters.conv_1x1 + filters.conv_3x3 + filters.conv_5x5 + filters.pool_proj


def _blocks(channels: int, *names: str) -> nn.Sequential:
    blocks = []
    for name in names:
        blocks.append(Inception(channels, BLOCKS[name]))
        channels = _channels(name)
    return nn.Sequential(*blocks)


def _pool() -> nn.Module:
    return nn.MaxPool2d(3, 2, ceil_mode=True)


def _norm() -> nn.Module:
    return nn.LocalResponseNorm(5, 1e-4, 0.75)


class Abe(nn.Module):
    """ABE-M on GoogLeNet; the learners one after the other, or folded into the batch.

    Args:
      learners: M.
      dim: Of all learners together.
      folded: Whether G runs once over all learners' views, as ours does.
    """

    def __init__(self, learners: int, dim: int, folded: bool) -> None:
        super().__init__()
        self.folded, self.learners = folded, learners
        self.spatial = nn.Sequential(
            *(nn.Conv2d(3, 64, 7, 2, 3), nn.ReLU(), _pool(), _norm()),
            *(nn.Conv2d(64, 64, 1), nn.ReLU()),
            *(nn.Conv2d(64, 192, 3, padding=1), nn.ReLU(), _norm(), _pool()),
            *(_blocks(192, "3a", "3b"), _pool()),
        )
        fourth = ("4a", "4b", "4c", "4d", "4e")
        channels = _channels("3b")
        self.trunk = _blocks(channels, *fourth)
        self.masks = nn.ModuleList(
            nn.Conv2d(_channels("4e"), channels, 1) for _ in range(learners)
        )
        self.rest = nn.Sequential(
            _blocks(channels, *fourth), _pool(), _blocks(_channels("4e"), "5a", "5b")
        )
        self.linear = nn.Linear(_channels("5b"), dim // learners)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """uint8 `[batch, 3, h, w]` to unit vectors `[batch, learners, dim]`."""
        features = self.spatial(pixels.float() - 117)
        trunk = self.trunk(features)
        views = [features * torch.sigmoid(mask(trunk)) for mask in self.masks]
        if self.folded:
            embedded = self._embed(torch.cat(views))
            learners = torch.stack(embedded.chunk(self.learners), 1)
        else:
            learners = torch.stack([self._embed(view) for view in views], 1)
        return functional.normalize(learners.float(), dim=-1)

    def _embed(self, view: torch.Tensor) -> torch.Tensor:
        return self.linear(self.rest(view).mean((2, 3)))


def loss(learners: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Contrastive of every learner plus divergence, as means over pairs."""
    count = learners.shape[1]
    by_learner = learners.transpose(0, 1)
    d = torch.cdist(by_learner, by_learner).square()
    same = labels[:, None] == labels[None]
    positives = same.sum() - len(labels)
    costs = functional.relu(1 - d).masked_fill(same, 0)
    active = (costs > 0).sum((1, 2)).clamp(min=1)
    positive = d.masked_fill(~same, 0).sum((1, 2)) / positives
    contrastive = (positive + costs.sum((1, 2)) / active).sum()
    between = 2 - 2 * learners @ learners.transpose(1, 2)
    apart = functional.relu(1 - between) * (1 - torch.eye(count))
    return contrastive + apart.sum() / (len(labels) * max(1, count - 1))
