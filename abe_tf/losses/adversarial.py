"""What keeps BIER's learners apart (Opitz et al., "Deep Metric Learning with BIER").

Of learners' linear outputs f_1, f_2, ... on the pooled features, through which no
gradient passes: for each pair i < j either (`adversarial`, A-BIER)

    L = -mean((f_i * R_ij(f_j))^2)      R_ij two layers, d_j -> 512 ReLU -> d_i

where f_i and f_j pass gradient reversal, so that R_ij makes the product large and the
learners make it small; or (`activation`)

    L = mean over images, k and l of (f_i[k] f_j[l])^2

Without a bound the game would have no end: matrices are drawn towards rows of unit
length (columns with `activation`), the biases of R_ij to at most unit length.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import tensorflow as tf

from abe_tf.config.loss import LossConfig
from abe_tf.losses.metric import LinearLayers

_HIDDEN = 512


@tf.custom_gradient
def reversed_gradient(values: tf.Tensor) -> tuple:
    """The same values; what flows back changes its sign."""
    return tf.identity(values), lambda gradient: -gradient


class Independence(tf.Module):
    """The term that a network of linear learners adds to its loss.

    Args:
      config: Form and weights.
      dims: Dimensions of each learner.
    """

    def __init__(self, config: LossConfig, dims: Sequence[int]) -> None:
        super().__init__()
        self._weight = config.adversarial_weight
        self._norm_weight = config.adversarial_norm_weight
        self._regressors: dict[str, Regressor] = {}
        if config.adversarial_form == "adversarial":
            for i, j in itertools.combinations(range(len(dims)), 2):
                self._regressors[f"{i}_{j}"] = Regressor(dims[j], dims[i])

    def __call__(self, linear: LinearLayers) -> tf.Tensor:
        """The term of a global batch; it may be negative.

        Args:
          linear: Features and matrices of the learners.
        """
        features = tf.stop_gradient(linear.features)
        outputs = [tf.matmul(features, kernel) for kernel in linear.kernels]
        pairs = itertools.combinations(range(len(outputs)), 2)
        if not self._regressors:
            total = sum(activation(outputs[i], outputs[j]) for i, j in pairs)
            matrices, along = list(linear.kernels), 0
        else:
            reverse = [reversed_gradient(output) for output in outputs]
            total = -sum(
                tf.reduce_mean(
                    tf.square(reverse[i] * self._regressors[f"{i}_{j}"](reverse[j]))
                )
                for i, j in pairs
            )
            regressors = list(self._regressors.values())
            matrices = [*linear.kernels, *(m for r in regressors for m in r.matrices)]
            along = 1
            for bias in (bias for r in regressors for bias in r.biases):
                long = tf.nn.relu(tf.reduce_sum(tf.square(bias)) - 1)
                total += self._norm_weight * long
        for matrix in matrices:
            squares = tf.reduce_sum(tf.square(matrix), along)
            total += self._norm_weight * tf.reduce_mean(tf.square(squares - 1))
        return self._weight * total


class Regressor(tf.Module):
    """From one learner's outputs to another's, with a hidden layer.

    Args:
      given: Dimensions of the one.
      wanted: Dimensions of the other.
    """

    def __init__(self, given: int, wanted: int) -> None:
        super().__init__()
        sizes = ((given, _HIDDEN), (_HIDDEN, wanted))
        self.matrices = [
            tf.Variable(_start(size), name=f"matrix_{number}")
            for number, size in enumerate(sizes)
        ]
        self.biases = [
            tf.Variable(tf.zeros(size[1]), name=f"bias_{number}")
            for number, size in enumerate(sizes)
        ]

    def __call__(self, outputs: tf.Tensor) -> tf.Tensor:
        """`[batch, given]` to `[batch, wanted]`."""
        first, second = zip(self.matrices, self.biases, strict=True)
        hidden = tf.nn.relu(tf.matmul(outputs, first[0]) + first[1])
        return tf.matmul(hidden, second[0]) + second[1]


def _start(size: tuple[int, int]) -> tf.Tensor:
    """As Glorot and Bengio (2010) begin, uniform; from the run's seed."""
    limit = (6 / sum(size)) ** 0.5
    return tf.random.uniform(size, -limit, limit)


def activation(one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """Mean square of all products of two learners' outputs for an image.

        >>> one, other = tf.constant([[1.0, 2.0]]), tf.constant([[2.0, 0.0]])
        >>> float(activation(one, other))
        5.0

    Args:
      one: `[batch, dims]` float32.
      other: `[batch, other dims]` float32.
    """
    means = [tf.reduce_mean(tf.square(outputs), 1) for outputs in (one, other)]
    return tf.reduce_mean(means[0] * means[1])
