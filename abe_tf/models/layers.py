"""The few layers that Keras lacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from abe_tf.layout import Layout

# Layers draw from seeds that lie so far apart.
_PRIME = 1_000_003


class PixelNormalization(tf.keras.layers.Layer):
    """What a pretrained network expects of its pixels; the first layer of each model.

    uint8 RGB `[batch, height, width, 3]` in 0 to 255 becomes float32
    `(pixel - mean) / scale`, of the channels in RGB or BGR order, float32 under any
    policy.

    Args:
      mean: One mean a channel, in the order of the output's channels.
      scale: What the difference is divided by, one number or one a channel.
      bgr: Whether to turn RGB into BGR, as Caffe's networks want it.
    """

    def __init__(
        self,
        mean: tuple[float, float, float],
        scale: float | tuple[float, float, float],
        bgr: bool,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.mean, self.scale, self.bgr = mean, scale, bgr

    def call(self, pixels: tf.Tensor) -> tf.Tensor:
        """Normalises uint8 pixels."""
        values = tf.cast(pixels, tf.float32)
        if self.bgr:
            values = tf.reverse(values, axis=[-1])
        return (values - tf.constant(self.mean)) / self.scale

    def get_config(self) -> dict[str, Any]:
        own = {"mean": self.mean, "scale": self.scale, "bgr": self.bgr}
        return {**super().get_config(), **own}


class LocalResponseNormalization(tf.keras.layers.Layer):
    """Caffe's LRN across 5 channels with alpha 1e-4 and beta 0.75.

    Caffe divides alpha by the window's size and TensorFlow does not, hence the
    division here. The operation has no bfloat16 kernel, so it runs in float32.
    """

    def call(self, features: tf.Tensor) -> tf.Tensor:
        """Normalises `[batch, height, width, channels]`, dtype kept."""
        normalized = tf.nn.local_response_normalization(
            tf.cast(features, tf.float32),
            depth_radius=2,
            bias=1.0,
            alpha=1e-4 / 5,
            beta=0.75,
        )
        return tf.cast(normalized, features.dtype)


class StackLearners(tf.keras.layers.Layer):
    """M tensors `[batch, ...]`, one a learner, become `[batch, M, ...]`."""

    def call(self, learners: list[tf.Tensor]) -> tf.Tensor:
        """Stacks along a new second axis."""
        # Keras may hand a list of one over as its only element.
        return tf.stack(tf.nest.flatten(learners), axis=1)


class AttendAndFold(tf.keras.layers.Layer):
    """Every learner's view of the features, folded into the batch.

    Features `[batch, height, width, channels]` times masks
    `[batch, M, height, width, channels]` give `[batch * M, height, width, channels]`,
    so that the shared G runs once for all learners.
    """

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        features, masks = inputs
        attended = features[:, tf.newaxis] * masks
        return tf.reshape(attended, [-1, *attended.shape[2:]])


class UnfoldLearners(tf.keras.layers.Layer):
    """`[batch * M, dim]` becomes `[batch, M, dim]`."""

    def __init__(self, num_learners: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_learners = num_learners

    def call(self, embeddings: tf.Tensor) -> tf.Tensor:
        """Unfolds the batch."""
        return tf.reshape(embeddings, [-1, self.num_learners, embeddings.shape[-1]])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_learners": self.num_learners}


class FillUp(tf.keras.layers.Layer):
    """Vectors along the last axis get zeros behind them, up to so many numbers.

    Args:
      dim: Number of numbers then.
    """

    def __init__(self, dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dim = dim

    def call(self, vectors: tf.Tensor) -> tf.Tensor:
        """`[batch, d]` to `[batch, dim]`."""
        return tf.pad(vectors, [[0, 0], [0, self.dim - vectors.shape[-1]]])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "dim": self.dim}


class SeededDropout(tf.keras.layers.Layer):
    """Dropout that is told what it draws from.

    Keras' own draws from a state that no checkpoint holds and that replicas do not
    share. This one draws for the global batch, and each replica takes its part. XLA
    would draw other numbers: whoever trains does not compile it.

    Args:
      rate: Share of the numbers that become 0 in training.
      number: Tells this layer's draws from those of others.

    Attributes:
      seed: Gives `[2]` int64, seed and step; whoever trains sets it. Nothing is dropped
        without it.
    """

    def __init__(self, rate: float, number: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate, self.number = rate, number
        self.seed: Callable[[], tf.Tensor] | None = None

    def call(self, values: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Drops of `[batch, dim]` and scales up what is left; only in training."""
        if not training or self.seed is None:
            return values
        replica = tf.distribute.get_replica_context()
        batch, dim = tf.unstack(tf.shape(values))
        seed = self.seed() + tf.constant([self.number, 0], tf.int64) * _PRIME
        drawn = tf.random.stateless_uniform(
            [batch * replica.num_replicas_in_sync, dim], seed
        )
        first = batch * replica.replica_id_in_sync_group
        kept = drawn[first : first + batch] >= self.rate
        scaled = values / (1 - self.rate)
        return tf.where(kept, scaled, tf.zeros_like(scaled))

    def get_config(self) -> dict[str, Any]:
        own = {"rate": self.rate, "number": self.number}
        return {**super().get_config(), **own}


class LearnerLengths(tf.keras.layers.Layer):
    """Learners of unit length get the lengths that say how much they count.

    Args:
      dims: Dimensions of each, without what fills up.
      lengths: Lengths, as in `Layout`.
    """

    def __init__(
        self, dims: Sequence[int], lengths: Sequence[float], **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.layout = Layout(tuple(dims), tuple(lengths))

    def call(self, learners: tf.Tensor) -> tf.Tensor:
        """Scales `[batch, learners, dim]`."""
        return learners * tf.constant(self.layout.lengths)[:, tf.newaxis]

    def get_config(self) -> dict[str, Any]:
        layout = self.layout
        own = {"dims": list(layout.dims), "lengths": list(layout.lengths)}
        return {**super().get_config(), **own}


class UnitLength(tf.keras.layers.Layer):
    """Vectors along the last axis become unit length, in float32 under any policy."""

    def call(self, vectors: tf.Tensor) -> tf.Tensor:
        """Normalises `[..., dim]`."""
        return tf.math.l2_normalize(tf.cast(vectors, tf.float32), axis=-1)
