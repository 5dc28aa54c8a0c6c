"""What a SavedModel answers: bytes of image files in, embeddings out."""

from __future__ import annotations

import tensorflow as tf

from abe_tf.data.preprocessing import Preprocessing


class ServingModule(tf.Module):
    """A network with its preprocessing, as TensorFlow Serving calls it.

    Args:
      network: uint8 RGB `[batch, image_size, image_size, 3]` to learner embeddings.
      preprocessing: The evaluation's.
    """

    def __init__(self, network: tf.keras.Model, preprocessing: Preprocessing) -> None:
        super().__init__(name="abe")
        # The variables and not the network: Keras would otherwise trace each of its
        # layers again, and the file would hold them twice.
        self.network_variables = network.variables
        self._untracked = lambda: (network, preprocessing)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def serving_default(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """Embeds image files.

        Args:
          image_bytes: `[batch]` strings, each a JPEG, PNG, BMP or GIF file.

        Returns:
          "embedding", float32 `[batch, learners * dim]`: the learners side by side,
          each of unit length, so the whole has length sqrt(learners).
        """
        network, preprocessing = self._untracked()
        pixels = tf.map_fn(
            preprocessing.for_evaluation,
            image_bytes,
            fn_output_signature=tf.TensorSpec(network.inputs[0].shape[1:], tf.uint8),
        )
        # TensorFlow's convolutions on CPUs refuse an empty batch.
        count = tf.shape(image_bytes)[0]
        pixels = tf.pad(pixels, [[0, tf.cast(count == 0, tf.int32)], *[[0, 0]] * 3])
        learners = network(pixels, training=False)[:count]
        size = learners.shape[1] * learners.shape[2]
        return {"embedding": tf.reshape(learners, [-1, size])}


def serving_signatures(module: ServingModule) -> dict[str, tf.Tensor]:
    """The signatures by name."""
    return {"serving_default": module.serving_default}
