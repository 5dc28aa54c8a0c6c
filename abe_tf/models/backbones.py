"""Encoders, and how a functional graph is cut into the paper's S, trunk and G.

An encoder is one functional graph from pixels to the features that are pooled, with
the names of the two layers where the ensemble cuts it.
"""

from __future__ import annotations

import dataclasses

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Backbone:
    """An encoder and where attention goes.

    Attributes:
      network: uint8 RGB `[batch, height, width, 3]` to features
        `[batch, h, w, channels]`.
      attention_at: Name of the layer whose output is S(x).
      trunk_end: Name of the layer where the attention trunk, which starts at
        `attention_at`, ends; it must keep the height and width of S(x).
    """

    network: tf.keras.Model
    attention_at: str
    trunk_end: str

    def spatial(self) -> tf.keras.Model:
        """S: pixels to the features that the masks weight."""
        return self._between(None, self.attention_at, "spatial")

    def trunk(self, copy_weights: bool) -> tf.keras.Model:
        """A copy of the blocks behind S for the masks, apart from G's weights."""
        blocks = self._between(self.attention_at, self.trunk_end, "blocks")
        return _clone(blocks, "attention_trunk", copy_weights)

    def rest(self, name: str = "embedding_features") -> tf.keras.Model:
        """G without pooling and linear layer: features of S to features."""
        return self._between(self.attention_at, None, name)

    def rest_copy(self, name: str, copy_weights: bool) -> tf.keras.Model:
        """A copy of `rest`, for M-heads."""
        return _clone(self.rest(), name, copy_weights)

    def _between(self, start: str | None, end: str | None, name: str) -> tf.keras.Model:
        return tf.keras.Model(self._tensor(start, 0), self._tensor(end, -1), name=name)

    def _tensor(self, layer: str | None, otherwise: int) -> tf.Tensor:
        ends = [self.network.inputs[0], self.network.outputs[0]]
        if layer is None:
            return ends[otherwise]
        # Node 0: cutting gives the layers further nodes.
        return self.network.get_layer(layer).get_output_at(0)


def _clone(model: tf.keras.Model, name: str, copy_weights: bool) -> tf.keras.Model:
    clone = tf.keras.models.clone_model(model)
    if copy_weights:
        clone.set_weights(model.get_weights())
    return tf.keras.Model(clone.inputs, clone.outputs, name=name)
