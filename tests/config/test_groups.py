import dataclasses
import re

import pytest
from absl import flags

from abe_tf.config import groups
from abe_tf.config.bulk import EmbedConfig
from abe_tf.config.data import MAX_PIXELS, DataConfig, parse_range
from abe_tf.config.evaluation import (
    PLACES,
    EvaluationConfig,
    ReportConfig,
    SplitConfig,
)
from abe_tf.config.index import UpdateConfig
from abe_tf.config.listing import ListingConfig
from abe_tf.config.loss import LossConfig
from abe_tf.config.model import ModelConfig
from abe_tf.config.sweep import SweepConfig
from abe_tf.config.training import TrainingConfig
from abe_tf.errors import InputError
from abe_tf.runs.flags import _MAY_CHANGE
from export.config.client import ClientConfig

ALL = [ModelConfig, DataConfig, LossConfig, TrainingConfig, EvaluationConfig]


def test_a_flagfile_gives_the_same_groups_again():
    written = [
        ModelConfig(num_learners=8, embedding_dim=512, mask_bias=-1.5),
        DataConfig(
            data_dir="/photos of mine",
            random_flip=False,
            train_classes="0:3",
            classes_per_batch=2,
        ),
        LossConfig(lambda_div=0.1, distance="plain"),
        TrainingConfig(steps=7, deterministic=True, init_from=None),
        EvaluationConfig(recall_at=(1, 10, 100)),
    ]
    assert groups.read_flagfile(groups.write_flagfile(written), ALL) == written


def test_how_deep_photos_are_looked_for_is_said():
    values = flags.FlagValues()
    groups.define(DataConfig, values)
    assert "to the bottom" in values["data_dir"].help


@pytest.mark.parametrize("group", [DataConfig, UpdateConfig, EmbedConfig, ClientConfig])
def test_one_bound_of_pixels_holds_everywhere(group):
    fields = {field.name: field.default for field in dataclasses.fields(group)}
    assert fields["max_pixels"] == MAX_PIXELS
    # What a phone of today makes.
    assert MAX_PIXELS >= 108_000_000


def test_places_are_told_to_every_command_after_training():
    names = {name for name in _MAY_CHANGE if name.endswith(("_dir", "_list"))}
    assert names <= set(PLACES)
    assert {"on_bad_image", "max_pixels"} <= set(PLACES)
    assert set(PLACES) <= _MAY_CHANGE
    moved = SplitConfig(manual_dir="/elsewhere").moved(DataConfig("omniglot"))
    assert moved.manual_dir == "/elsewhere"


def test_every_default_is_legal_and_every_flag_has_help():
    values = flags.FlagValues()
    for group in ALL:
        groups.define(group, values)
    values(["program"])
    for group in ALL:
        assert groups.read(group, values) == group()
    assert all(values[name].help for name in values)


@pytest.mark.parametrize(
    ("group", "values", "message"),
    [
        (ModelConfig, {"encoder": "vgg"}, "--encoder must be one of googlenet"),
        (ModelConfig, {"embedding_dim": 100, "num_learners": 3}, "Use 99 or 102"),
        (ModelConfig, {"embedding_dim": 2, "num_learners": 3}, "Use 3."),
        (ModelConfig, {"ensemble": "none"}, "--ensemble=none has one learner"),
        (ModelConfig, {"embedding_dim": 0}, "goes with --ensemble=none"),
        (ModelConfig, {"encoder_weights": "imagenet"}, "starts from random weights"),
        (ModelConfig, {"attention_depth": -1}, "at least 0. Received: -1"),
        (ListingConfig, {"encoders": ("googlenet", "vgg")}, "Received: 'vgg'"),
        (SweepConfig, {"vary": ("lambda_div",)}, "must be FLAG=V1,V2"),
        (SweepConfig, {"vary": ("lambda_div=1,1",)}, "different values"),
        (SweepConfig, {"vary": ("seed=1,2",)}, "not the seed"),
        (SweepConfig, {"vary": ("steps=1", "steps=2")}, "each factor once"),
        (
            ModelConfig,
            {
                "encoder": "mobilenet",
                "encoder_weights": "imagenet",
                "mobilenet_alpha": 0.3,
            },
            "0.25, 0.5, 0.75, 1.0. Received: 0.3",
        ),
        (LossConfig, {"lambda_div": float("nan")}, "--lambda_div must be finite"),
        (LossConfig, {"lambda_div": -1}, "--lambda_div must be at least 0"),
        (DataConfig, {"image_size": 8}, "--image_size must be at least 16"),
        (DataConfig, {"resize_size": 100}, "--resize_size must be at least"),
        (DataConfig, {"train_classes": "3:1"}, "FIRST < END"),
        (DataConfig, {"test_classes": "-1:2"}, "FIRST < END"),
        (
            DataConfig,
            {"train_classes": "0:5", "test_classes": "4:9"},
            "must not share a class",
        ),
        (DataConfig, {"validation_classes": 1.0}, "must be at most 0.9"),
        (EvaluationConfig, {"recall_at": (1, 0)}, "--recall_at must be at least 1"),
    ],
)
def test_a_broken_rule_is_told_with_the_value(group, values, message):
    with pytest.raises(InputError, match=re.escape(message)):
        group(**values)


def test_a_list_of_words_is_no_list_of_numbers():
    with pytest.raises(InputError, match="Received: '1,two'"):
        groups.read_flagfile("--recall_at=1,two\n", [EvaluationConfig])


def test_a_flag_of_another_version_is_refused():
    with pytest.raises(InputError, match="no_such_flag"):
        groups.read_flagfile("--no_such_flag=1\n", [LossConfig])


def test_the_longer_side_keeps_the_papers_ratio_to_the_crop():
    assert DataConfig(image_size=224).scaled_size == 256
    assert DataConfig(image_size=224, resize_size=224).scaled_size == 224


def test_ranges():
    assert parse_range("train_classes", "0:41") == (0, 41)
    assert parse_range("train_classes", None) is None


def test_a_tilde_is_the_home_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    values = flags.FlagValues()
    groups.define(DataConfig, values)
    values(["x", "--dataset=image_folder", "--data_dir=~/photos", "--cache_dir=/a~b"])
    found = groups.read(DataConfig, values)
    assert (found.data_dir, found.cache_dir) == ("/home/somebody/photos", "/a~b")
    values = flags.FlagValues()
    groups.define(ReportConfig, values)
    values(["x", "--workdir=~/a", "--workdir=b"])
    assert groups.read(ReportConfig, values).workdir == ("/home/somebody/a", "b")
