"""Normalisation by batch and by image, in place of an encoder's batch normalisation.

An image that was taken elsewhere differs in light and contrast, which its own
statistics take away, and with them something that tells things apart.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf

_PLACES = [1, 2]
_ORDER = (
    *("gamma", "beta", "instance_gamma", "instance_beta", "rho"),
    *("moving_mean", "moving_variance"),
)


class _Mixing(threading.local):
    """What a meta step looks at instead; each replica is traced in its own thread."""

    held = False
    others: dict[int, tf.Tensor] = {}  # noqa: RUF012


_MIXING = _Mixing()


@contextlib.contextmanager
def mixing(rhos: Sequence[tf.Variable], others: Sequence[tf.Tensor]) -> Iterator[None]:
    """Inside, running averages stay, and some mixtures are others.

    Args:
      rhos: Variables of `BatchInstanceNormalization`, or none.
      others: What is looked at in their place, `[channels]` each.
    """
    before = _MIXING.held, _MIXING.others
    _MIXING.held = True
    _MIXING.others = {id(rho): other for rho, other in zip(rhos, others, strict=True)}
    try:
        yield
    finally:
        _MIXING.held, _MIXING.others = before


class BatchAndInstance(tf.keras.layers.Layer):
    """What the two kinds share: an affine form of a channel by batch, one by image.

    Both need the moments of each image's channels alone: those of the batch follow
    from them. So every kind is one multiplication and one addition, in training and
    after it, and keeps nothing else for the gradient.

    Args:
      momentum: Momentum of the running averages of the batch's moments.
      epsilon: What is added to variances.
      freeze_batch: Whether the batch's part stays as it is: its running averages are
        used in training too, and its affine form does not train.
    """

    def __init__(
        self, momentum: float, epsilon: float, freeze_batch: bool, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.momentum, self.epsilon = momentum, epsilon
        self.freeze_batch = freeze_batch

    def _channels(self, channels: int) -> tuple[int, int]:
        """How many are normalised by batch, and how many by image."""
        raise NotImplementedError

    def build(self, shape: tf.TensorShape) -> None:
        """Makes the variables, float32 under any policy."""
        by_batch, by_image = self._channels(shape[-1])
        trains = not self.freeze_batch
        self.gamma = self._weight("gamma", by_batch, "ones", trains)
        self.beta = self._weight("beta", by_batch, "zeros", trains)
        if by_image:
            self.instance_gamma = self._weight("instance_gamma", by_image, "ones")
            self.instance_beta = self._weight("instance_beta", by_image, "zeros")
        self.moving_mean, self.moving_variance = (
            self.add_weight(
                name=name,
                shape=[by_batch],
                initializer=initial,
                trainable=False,
                dtype="float32",
                synchronization=tf.VariableSynchronization.ON_READ,
                aggregation=tf.VariableAggregation.MEAN,
                experimental_autocast=False,
            )
            for name, initial in (("moving_mean", "zeros"), ("moving_variance", "ones"))
        )
        super().build(shape)

    @property
    def weights(self) -> list[tf.Variable]:
        """In one order, whether the batch's part trains or not."""
        return [getattr(self, name) for name in _ORDER if hasattr(self, name)]

    def _weight(
        self, name: str, size: int, initial: str, trains: bool = True
    ) -> tf.Variable:
        return self.add_weight(
            name=name,
            shape=[size],
            initializer=initial,
            trainable=trains,
            dtype="float32",
            experimental_autocast=False,
        )

    def call(self, features: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Normalises `[batch, height, width, channels]`, dtype kept."""
        values = tf.cast(features, tf.float32)
        mean, variance = tf.nn.moments(values, _PLACES, keepdims=True)
        scale, shift = self._affine(mean, variance, bool(training))
        return tf.cast(values * scale + shift, features.dtype)

    def _affine(
        self, mean: tf.Tensor, variance: tf.Tensor, training: bool
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """What images are multiplied with, and what is added.

        Args:
          mean: `[batch, 1, 1, channels]`.
          variance: As `mean`.
          training: Whether the batch's own moments count.
        """
        raise NotImplementedError

    def by_batch(
        self, mean: tf.Tensor, variance: tf.Tensor, training: bool
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The affine form by batch, `[channels]`; training moves the averages.

        Of several replicas, the moments are those of all parts of the batch.
        """
        if training and self.trainable and not self.freeze_batch:
            mean, variance = _of_batch(mean, variance)
            if not _MIXING.held:
                self._average(self.moving_mean, mean)
                self._average(self.moving_variance, variance)
        else:
            mean, variance = self.moving_mean, self.moving_variance
        return self._form(mean, variance, self.gamma, self.beta)

    def by_image(
        self, mean: tf.Tensor, variance: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The affine form by image, `[batch, 1, 1, channels]`."""
        return self._form(mean, variance, self.instance_gamma, self.instance_beta)

    def _form(
        self, mean: tf.Tensor, variance: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        scale = gamma * tf.math.rsqrt(variance + self.epsilon)
        return scale, beta - mean * scale

    def _average(self, moving: tf.Variable, value: tf.Tensor) -> None:
        moving.assign_sub((moving - tf.stop_gradient(value)) * (1 - self.momentum))

    def take(self, gamma: Any, beta: Any, mean: Any, variance: Any) -> None:
        """Fills in what a batch normalisation of the same channels has learnt."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """What another of its kind is made from."""
        own = {
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "freeze_batch": self.freeze_batch,
        }
        return {**super().get_config(), **own}


class OnePlace(BatchAndInstance):
    """By batch alone: of one number an image has nothing to normalise."""

    def _channels(self, channels: int) -> tuple[int, int]:
        return channels, 0

    def _affine(
        self, mean: tf.Tensor, variance: tf.Tensor, training: bool
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return self.by_batch(mean, variance, training)

    def take(self, gamma: Any, beta: Any, mean: Any, variance: Any) -> None:
        """All is as it was."""
        self.gamma.assign(gamma)
        self.beta.assign(beta)
        self.moving_mean.assign(mean)
        self.moving_variance.assign(variance)


class InstanceHalf(BatchAndInstance):
    """The first half of the channels by image, the others by batch.

    IBN-Net's layer (Pan et al., "Two at Once", ECCV 2018), a row of MetaBIN's ablation.
    """

    def _channels(self, channels: int) -> tuple[int, int]:
        return channels - channels // 2, channels // 2

    def _affine(
        self, mean: tf.Tensor, variance: tf.Tensor, training: bool
    ) -> tuple[tf.Tensor, tf.Tensor]:
        half = mean.shape[-1] // 2
        of_images = self.by_image(mean[..., :half], variance[..., :half])
        of_batch = self.by_batch(mean[..., half:], variance[..., half:], training)
        scale, shift = (
            tf.concat([image, tf.broadcast_to(batch, _shape_like(image, batch))], -1)
            for image, batch in zip(of_images, of_batch, strict=True)
        )
        return scale, shift

    def take(self, gamma: Any, beta: Any, mean: Any, variance: Any) -> None:
        """Each half keeps its affine form, the second its averages."""
        half = len(gamma) // 2
        self.instance_gamma.assign(gamma[:half])
        self.instance_beta.assign(beta[:half])
        self.gamma.assign(gamma[half:])
        self.beta.assign(beta[half:])
        self.moving_mean.assign(mean[half:])
        self.moving_variance.assign(variance[half:])


class BatchInstanceNormalization(OnePlace):
    """`y = rho * BN(x) + (1 - rho) * IN(x)`, rho in [0, 1] by channel.

    From "Meta Batch-Instance Normalization" (Choi et al., CVPR 2021), with an affine
    form of each part, as its authors released it. It starts at rho = 1: as the batch
    normalisation whose place it takes.

    Attributes:
      rho: `[channels]`; whoever trains it keeps its bounds.
    """

    def _channels(self, channels: int) -> tuple[int, int]:
        return channels, channels

    def build(self, shape: tf.TensorShape) -> None:
        """Makes rho beside the others."""
        super().build(shape)
        self.rho = self._weight("rho", shape[-1], "ones")

    def _affine(
        self, mean: tf.Tensor, variance: tf.Tensor, training: bool
    ) -> tuple[tf.Tensor, tf.Tensor]:
        of_batch = self.by_batch(mean, variance, training)
        of_images = self.by_image(mean, variance)
        rho = _MIXING.others.get(id(self.rho), self.rho)
        scale, shift = (
            rho * batch + (1 - rho) * image
            for batch, image in zip(of_batch, of_images, strict=True)
        )
        return scale, shift


def _of_batch(mean: tf.Tensor, variance: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Moments of a batch from those of its images, `[batch, 1, 1, channels]`."""
    of_all = _over_replicas(tf.reduce_mean(mean, [0, 1, 2]))
    spread = variance + tf.square(mean - of_all)
    return of_all, _over_replicas(tf.reduce_mean(spread, [0, 1, 2]))


def _over_replicas(value: tf.Tensor) -> tf.Tensor:
    """The mean over the replicas, whose parts are of one size."""
    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1:
        return value
    return replica.all_reduce(tf.distribute.ReduceOp.MEAN, value)


def _shape_like(images: tf.Tensor, channels: tf.Tensor) -> tf.Tensor:
    return tf.concat([tf.shape(images)[:-1], tf.shape(channels)], 0)
