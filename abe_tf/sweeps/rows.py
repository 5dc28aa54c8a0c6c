"""What makes a row of a comparison: its flags, from those that all rows share."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from abe_tf.config.meta import MetaConfig

if TYPE_CHECKING:
    from abe_tf.config.model import ModelConfig
    from abe_tf.runs.flags import RunFlags

# Flags that count steps.
_COUNTED = ("steps", "decay_steps", "warmup_steps", "divergence_start_step")
# Changes of the flags. Of all but ABE nothing was published with a divergence loss.
_BIER = {
    "ensemble": "bier",
    "num_learners": "3",
    "lambda_div": "0",
}
_NETWORKS = {
    "none": {"ensemble": "none", "num_learners": "1", "lambda_div": "0"},
    "heads": {"ensemble": "heads", "lambda_div": "0"},
    "abe": {"ensemble": "abe"},
    "hdc": {
        "ensemble": "hdc",
        "num_learners": "3",
        "lambda_div": "0",
    },
    "bier": _BIER,
    "a_bier": {**_BIER, "adversarial_weight": "5e-05"},
}


def network(ensemble: str, model: ModelConfig) -> dict[str, str]:
    """Changes of the flags that make an ensemble.

    Args:
      ensemble: Name of it.
      model: What it is compared with.
    """
    dim = model.embedding_dim
    if ensemble == "learner":
        return {**_NETWORKS["none"], "embedding_dim": str(dim // model.num_learners)}
    changes = _NETWORKS[ensemble]
    if ensemble != "hdc":
        return changes
    # Its learners are of one size.
    return {**changes, "embedding_dim": str(dim - dim % 3)}


def one_learner(loss: str) -> dict[str, str]:
    """Changes of the flags that make a loss, with one learner."""
    return {**_NETWORKS["none"], "metric_loss": loss}


def lasting(start: RunFlags, times: float) -> dict[str, int]:
    """Changes of the flags that make a training so many times as long, all of it."""
    values = start.values()
    given = {name: values[name] for name in _COUNTED if values[name]}
    return {name: max(1, round(steps * times)) for name, steps in given.items()}


def normalized(start: RunFlags, name: str) -> RunFlags:
    """The same flags with another normalisation, at as many images seen.

    Args:
      start: With --meta, whose steps have two batches.
      name: `meta`, or of --normalization: as many steps more as have the images of the
        second batch in them, decay and warm-up likewise.
    """
    if name == "meta":
        return start
    data, training = start.data, start.training
    second = (data.domains_per_batch or 0) * training.meta_classes
    images = data.batch_size + second * training.meta_images
    fields = dataclasses.fields(MetaConfig)
    without: dict[str, Any] = {field.name: field.default for field in fields}
    start = start.changed(lasting(start, images / data.batch_size))
    model = dataclasses.replace(start.model, normalization="batch_instance")
    if name != "batch_instance":
        without["rho_learning_rate"] = None
        model = dataclasses.replace(model, normalization=name, instance_affine="unit")
    if data.batches != "domains":
        data = dataclasses.replace(data, domains_per_batch=None)
    loss = start.loss
    if loss.metric_loss != "triplet_hard":
        loss = dataclasses.replace(loss, margin_hard=type(loss)().margin_hard)
    return dataclasses.replace(
        start,
        model=model,
        data=data,
        loss=loss,
        training=dataclasses.replace(start.training, **without),
    )
