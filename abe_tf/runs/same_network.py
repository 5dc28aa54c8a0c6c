"""Whether a run's weights fit the network that flags describe."""

from __future__ import annotations

import os

from abe_tf.config.model import ModelConfig
from abe_tf.errors import InputError
from abe_tf.runs.folder import RunFolder


def check_same_network(model: ModelConfig, workdir: str) -> None:
    """Refuses to start a network from the weights of a run of another one.

    As far as flags tell; layers are compared when the weights are copied.

    Raises:
      InputError: The folder holds no run, or one of another network.
    """
    folder = RunFolder(workdir)
    if not os.path.isfile(folder.flagfile):
        raise InputError(
            "--init_from must be a run folder that training wrote. "
            f"Received: {workdir!r}, without flags.cfg."
        )
    theirs = folder.flags().model
    names = (
        *("encoder", "mobilenet_alpha", "attention_at", "attention_depth"),
        *("normalization", "ensemble", "num_learners", "embedding_dim"),
    )
    differing = [
        f"--{name}={getattr(model, name)} (there {getattr(theirs, name)})"
        for name in names
        if getattr(model, name) != getattr(theirs, name)
    ]
    if not differing and model.layout.dims != theirs.layout.dims:
        ours, others = (",".join(map(str, one.layout.dims)) for one in (model, theirs))
        differing = [f"--learner_dims={ours} (there {others})"]
    if model.hdc_taps and theirs.hdc_taps and model.hdc_taps != theirs.hdc_taps:
        ours, others = (",".join(one.hdc_taps) for one in (model, theirs))
        differing.append(f"--hdc_taps={ours} (there {others})")
    if differing:
        raise InputError(
            "--init_from must be a run of the same network. "
            f"Received: {workdir!r}, but {', '.join(differing)}."
        )
