"""From a run folder to TensorFlow Serving."""

from abe_tf import keras_2 as keras_2  # before TensorFlow, as a command begins
