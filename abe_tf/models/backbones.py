"""Encoders, and how a functional graph is cut into the paper's S, trunk and G.

An encoder is one functional graph from pixels to the features that are pooled. It is a
chain of blocks: where one block ends, a single tensor carries everything on, and there
the graph can be cut.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Sequence

import tensorflow as tf

from abe_tf.errors import InputError

# What S and G are called within a network.
SPATIAL, EMBEDDING_FEATURES = "spatial", "embedding_features"


@dataclasses.dataclass(frozen=True)
class Backbone:
    """An encoder and where attention goes.

    Attributes:
      network: uint8 RGB `[batch, height, width, 3]` to features
        `[batch, h, w, channels]`.
      places: Names of the layers where blocks end, in order; without the last one,
        behind which nothing is left for G.
      attention_at: The place whose tensor is S(x).
      attention_depth: Blocks in the attention trunk, which starts at `attention_at`; 0
        for none.
    """

    network: tf.keras.Model
    places: tuple[str, ...]
    attention_at: str
    attention_depth: int

    def shape_at(self, place: str) -> tuple[int, int, int]:
        """Height, width and channels of the tensor at a place."""
        return tuple(self._tensor(place, -1).shape[1:])

    def max_depth(self, place: str) -> int:
        """How many blocks behind a place keep the height and width it has."""
        ends = [*self.places[self.places.index(place) + 1 :], None]
        size = self._tensor(place, 0).shape[1:3]
        for depth, end in enumerate(ends):
            if self._tensor(end, -1).shape[1:3] != size:
                return depth
        return len(ends)

    def with_attention(self, at: str | None, depth: int | None) -> Backbone:
        """The same encoder with attention elsewhere.

        Args:
          at: A place; the encoder's own where `None`.
          depth: Blocks in the trunk. Where `None`, as many as the encoder has at its
            own place, or as keep the size of S(x) where those are fewer.

        Raises:
          InputError: There is no such place, or the trunk would shrink.
        """
        at = self.attention_at if at is None else at
        self.check_place("attention_at", at)
        most = self.max_depth(at)
        if depth is None:
            depth = min(self.attention_depth, most)
        if depth > most:
            raise InputError(
                "--attention_depth must be at most the number of blocks that keep the "
                f"size of the features they start from. Received: {depth}; behind {at} "
                f"there are {most}. Use {most}, or {self._deep_enough(depth)}."
            )
        return dataclasses.replace(self, attention_at=at, attention_depth=depth)

    def check_place(self, flag: str, name: str) -> None:
        """Raises if a name is not a cut point of the encoder.

        Raises:
          InputError: It is none; the nearest ones are named.
        """
        if name in self.places:
            return
        names = [layer.name for layer in self.network.layers]
        if name in names:
            reason = "which is inside a block, where no single tensor carries all on"
            before = [p for p in self.places if names.index(p) < names.index(name)]
            near = [*before[-1:], *self.places[len(before) : len(before) + 1]]
        else:
            reason = f"which {self.network.name} has not"
            near = difflib.get_close_matches(name, self.places, 2, 0)
        raise InputError(
            f"--{flag} must be a layer where a block ends. Received: {name!r}, "
            f"{reason}. The nearest: {' and '.join(near)} (python -m abe_tf.encoders "
            "lists all)."
        )

    def freeze_until(self, place: str) -> None:
        """Keeps the layers up to a place as they are.

        Raises:
          InputError: There is no such place, or it is behind S.
        """
        self.check_place("freeze_until", place)
        if self.places.index(place) > self.places.index(self.attention_at):
            raise InputError(
                "--freeze_until must not be behind the place of the attention, whose "
                f"trunk trains. Received: {place!r}, with --attention_at="
                f"{self.attention_at}."
            )
        for layer in self.network.layers:
            layer.trainable = False
            if layer.name == place:
                break

    def spatial(self) -> tf.keras.Model:
        """S: pixels to the features that the masks weight."""
        return self.between(None, self.attention_at, SPATIAL)

    def trunk(self, copy_weights: bool) -> tf.keras.Model | None:
        """A copy of the blocks behind S for the masks, apart from G's weights."""
        if not self.attention_depth:
            return None
        ends = [*self.places, None]
        end = ends[self.places.index(self.attention_at) + self.attention_depth]
        blocks = self.between(self.attention_at, end, "blocks")
        return _clone(blocks, "attention_trunk", copy_weights)

    def rest(self, name: str = EMBEDDING_FEATURES) -> tf.keras.Model:
        """G without pooling and linear layer: features of S to features."""
        return self.between(self.attention_at, None, name)

    def rest_copy(self, name: str, copy_weights: bool) -> tf.keras.Model:
        """A copy of `rest`, for M-heads."""
        return _clone(self.rest(), name, copy_weights)

    def between(self, start: str | None, end: str | None, name: str) -> tf.keras.Model:
        """The part from one place to another; from or to the end where `None`."""
        return tf.keras.Model(self._tensor(start, 0), self._tensor(end, -1), name=name)

    def _deep_enough(self, depth: int) -> str:
        fitting = [place for place in self.places if self.max_depth(place) >= depth]
        if not fitting:
            return "another encoder"
        return f"--attention_at={fitting[-1]}"

    def _tensor(self, layer: str | None, otherwise: int) -> tf.Tensor:
        ends = [self.network.inputs[0], self.network.outputs[0]]
        if layer is None:
            return ends[otherwise]
        # Node 0: cutting gives the layers further nodes.
        return self.network.get_layer(layer).get_output_at(0)


def backbone(
    network: tf.keras.Model, block_ends: str, attention_at: str, attention_depth: int
) -> Backbone:
    """Finds the places of an encoder.

    Args:
      network: uint8 RGB pixels to features; nothing has been cut from it yet.
      block_ends: Regular expression that the whole name of a layer matches where a
        block may end; those of them count through which everything passes.
      attention_at: The place of its own.
      attention_depth: The depth of its own.
    """
    ends = [name for name in _single_tensors(network) if re.fullmatch(block_ends, name)]
    last = network.layers[-1].name
    places = tuple(name for name in ends if name != last)
    return Backbone(network, places, attention_at, attention_depth)


def _single_tensors(network: tf.keras.Model) -> Sequence[str]:
    """Layers whose output is all that the layers behind them see, in order."""
    # Keras lists the layers so that each stands behind those that it reads.
    inputs = {
        layer.name: tf.nest.flatten(layer.inbound_nodes[0].inbound_layers)
        for layer in network.layers
    }
    readers = {layer.name: 0 for layer in network.layers}
    for sources in inputs.values():
        for source in sources:
            readers[source.name] += 1
    cut_points, open_tensors = [], set()
    for layer in network.layers:
        for source in inputs[layer.name]:
            readers[source.name] -= 1
            if not readers[source.name]:
                open_tensors.discard(source.name)
        open_tensors.add(layer.name)
        if open_tensors == {layer.name}:
            cut_points.append(layer.name)
    return cut_points


def _clone(model: tf.keras.Model, name: str, copy_weights: bool) -> tf.keras.Model:
    clone = tf.keras.models.clone_model(model)
    if copy_weights:
        clone.set_weights(model.get_weights())
    return tf.keras.Model(clone.inputs, clone.outputs, name=name)
