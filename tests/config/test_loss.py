"""Settings of one loss that another has no use for."""

import pytest

from abe_tf.config.loss import LossConfig
from abe_tf.errors import InputError
from abe_tf.runs.flags import RunFlags


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"proxy_scale": 2.0}, "--proxy_scale goes with --metric_loss=proxy_nca"),
        ({"norm_weight": 0.5, "metric_loss": "npairs"}, "--embedding_norm=free"),
        ({"embedding_norm": "free"}, "Received: --metric_loss=contrastive"),
        (
            {"metric_loss": "proxy_nca", "proxy_smoothing": 0.1},
            "goes with --proxy_positive=included",
        ),
    ],
)
def test_settings_without_a_use_are_refused(settings, said):
    with pytest.raises(InputError, match=said):
        LossConfig(**settings)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        *(
            ({"metric_loss": name, "jit": "on"}, "does not go with --jit=on")
            for name in ("angular", "clustering", "margin")
        ),
        ({"metric_loss": "angular", "batches": "uniform"}, "takes neighbours"),
        ({"optimizer": "sgd", "optimizer_epsilon": 1.0}, "--optimizer_epsilon goes"),
        ({"metric_loss": "npairs", "batches": "uniform"}, "takes neighbours"),
        ({"loss_learning_rate": 0.1}, "--loss_learning_rate goes with"),
    ],
)
def test_what_does_not_go_together_is_refused(flags, said):
    with pytest.raises(InputError, match=said):
        RunFlags().changed(flags)


@pytest.mark.parametrize("name", ["angular", "clustering", "margin"])
def test_a_tpu_does_not_train_what_is_not_compiled_and_its_folder_is_read(name):
    flags = RunFlags().changed({"metric_loss": name, "strategy": "tpu"})
    assert RunFlags.parse(flags.text()) == flags
    with pytest.raises(InputError, match="does not go with --strategy=tpu: .*Leave"):
        flags.check_devices()
    flags.changed({"strategy": "mirrored"}).check_devices()
