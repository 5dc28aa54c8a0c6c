"""Names of Keras' optimizers that are not public; nothing else uses any.

Each function has a test by its name: another Keras breaks there, and not in silence.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf


def build_legacy(optimizer: Any, variables: Sequence[tf.Variable]) -> None:
    """Makes the slots of an optimizer of Keras' legacy kind, and its counter of steps.

    Args:
      optimizer: An optimizer of the kind that has no public `build`.
      variables: The variables that it will train.
    """
    optimizer._create_all_weights(variables)


def moving_average(optimizer: Any, variable: tf.Variable) -> tf.Variable | None:
    """The moving average that an optimizer keeps of a variable.

    Args:
      optimizer: Built, with `use_ema`.
      variable: A trained variable.

    Returns:
      `None` where the optimizer does not train it.
    """
    place = optimizer._index_dict.get(optimizer._var_key(variable))
    if place is None:
        return None
    return optimizer._model_variables_moving_average[place]
