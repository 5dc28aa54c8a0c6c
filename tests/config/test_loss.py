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
            ({"metric_loss": name, flag: value}, f"does not go with --{flag}={value}")
            for name in ("angular", "clustering", "margin")
            for flag, value in (("jit", "on"), ("strategy", "tpu"))
        ),
        ({"metric_loss": "angular", "batches": "uniform"}, "takes neighbours"),
        ({"loss_optimizer": "sgd"}, "--loss_optimizer goes with --metric_loss=proxy"),
        ({"optimizer": "sgd", "optimizer_epsilon": 1.0}, "--optimizer_epsilon goes"),
        ({"metric_loss": "npairs", "batches": "uniform"}, "takes neighbours"),
        ({"loss_learning_rate": 0.1}, "--loss_learning_rate goes with"),
    ],
)
def test_what_does_not_go_together_is_refused(flags, said):
    with pytest.raises(InputError, match=said):
        RunFlags().changed(flags)
