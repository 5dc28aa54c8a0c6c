"""Attention-based ensembles for deep metric learning (ABE-M, ECCV 2018).

Importing this package imports nothing heavy: TensorFlow comes in when a model is
loaded, so that a command with a bad flag fails at once. Import it before TensorFlow, of
which it has Keras 2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from abe_tf import keras_2

__version__ = "0.1.0"

if TYPE_CHECKING:
    from abe_tf.runs.trained import TrainedModel

keras_2.choose()


def load(workdir: str, checkpoint: str = "best") -> TrainedModel:
    """Loads what `python -m abe_tf.train` left in a run folder.

        >>> model = load("runs/mine")
        >>> model.embed(["a.jpg", "b.jpg"]).shape
        (2, 2, 8)

    Args:
      workdir: The run folder.
      checkpoint: "best" (by Recall@1 on the validation classes; the last one where
        the run held none out) or "last".

    Returns:
      A model whose `embed(paths)` gives learner embeddings, float32
      `[len(paths), learners, dim]`, of unit length or as long as they count.

    Raises:
      InputError: The folder holds no such run or checkpoint.
    """
    from abe_tf.runs import trained

    return trained.load(workdir, checkpoint)
