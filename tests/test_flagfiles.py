"""Every flagfile can be read, says what it is, and is what its name says."""

import pathlib

import numpy as np
import pytest
from absl import flags

from abe_tf.config import groups
from abe_tf.config.benchmarks import BENCHMARKS
from abe_tf.config.compare import SETTINGS
from abe_tf.config.data import DataConfig
from abe_tf.config.loss import LossConfig
from abe_tf.config.model import ModelConfig
from abe_tf.config.training import TrainingConfig
from abe_tf.data import samplers
from abe_tf.data.examples import Examples
from abe_tf.models.build import build
from abe_tf.models.cost import cost
from abe_tf.paper import COSTS
from abe_tf.runs.flags import RunFlags
from abe_tf.summary import model_of
from tests.conftest import ROOT

COMMON = "_common.cfg"
FILES = sorted((ROOT / "flags").rglob("*.cfg"))
RUN = [path for path in FILES if not path.name.endswith(COMMON)]
GROUPS = [ModelConfig, DataConfig, LossConfig, TrainingConfig]
OF_BENCHMARKS = [path for path in RUN if path.parent.name in BENCHMARKS]
ROWS = [path for path in OF_BENCHMARKS if "_compared_" in path.stem]
ENSEMBLES = [path for path in ROWS if path.stem.endswith(("_hdc", "bier"))]
COMPARED = [path for path in ROWS if path not in ENSEMBLES]
OF_PEOPLE = [path for path in RUN if path.parent.name == "reidentification"]
FOOTED = [path for path in RUN if path.parent.name == "compared" and "_" in path.stem]
PAPER = [path for path in OF_BENCHMARKS if path not in ROWS]


def read(path, monkeypatch):
    """As a command started in the checkout reads it."""
    monkeypatch.chdir(ROOT)
    values = flags.FlagValues()
    for group in GROUPS:
        groups.define(group, values)
    values(["train", f"--flagfile={path.relative_to(ROOT)}"])
    return [groups.read(group, values) for group in GROUPS]


@pytest.mark.parametrize("path", RUN, ids=lambda path: path.stem)
def test_a_flagfile_opens_with_its_command_and_is_legal(path, monkeypatch):
    lines = path.read_text().splitlines()
    comment = [line for line in lines if line.startswith("#")]
    assert lines[: len(comment)] == comment
    relative = path.relative_to(ROOT)
    footing = path.parent.name == "compared" and "_" not in path.stem
    command = "compare" if footing else "train"
    assert comment[0].startswith(
        ("# make demo", f"# python -m abe_tf.{command} --flagfile={relative}")
    )
    assert "2026-" in path.read_text() or "Not measured here." in path.read_text()
    read(path, monkeypatch)


def test_no_two_flagfiles_share_a_run_folder():
    assert len({path.stem for path in FILES}) == len(FILES)


@pytest.mark.parametrize("path", PAPER, ids=lambda path: path.stem)
def test_the_papers_rows_follow_the_papers_protocol(path, monkeypatch):
    model, data, loss, training = read(path, monkeypatch)
    assert data.dataset == path.parent.name
    assert (data.image_size, data.scaled_size, data.batch_size) == (224, 256, 64)
    assert data.images_per_slot == (2,) * 16 + (1,) * 32
    assert (model.encoder, model.encoder_weights) == ("googlenet", "imagenet")
    assert (model.mask_bias, model.attention_at) == (0, None)
    assert (loss.distance, loss.loss_reduction) == ("squared", "published")
    assert (loss.margin_contrastive, loss.margin_divergence) == (1, 1)
    alone = model.num_learners == 1 or model.ensemble == "heads"
    assert loss.lambda_div == (0 if alone or "no_div" in path.stem else 1)
    assert (training.optimizer, training.momentum) == ("sgd", 0.9)


@pytest.mark.parametrize("path", ENSEMBLES, ids=lambda path: path.stem)
def test_compared_ensembles_are_what_their_names_say(path, monkeypatch):
    model, data, loss, training = read(path, monkeypatch)
    run = RunFlags(model, data, loss, training)
    name = path.stem.partition("_compared_")[2]
    assert path.stem == f"{data.dataset}_compared_{name}"
    ensemble = name.removeprefix("a_")
    assert (model.ensemble, run.loss.metric_loss) == (ensemble, ensemble)
    assert (model.num_learners, loss.lambda_div) == (3, 0)
    assert model.encoder == "googlenet"
    sizes = {"hdc": (128, 128, 128), "bier": (96, 160, 256)}
    assert model.layout.dims == sizes[ensemble]
    assert bool(loss.adversarial_weight) == name.startswith("a_")


@pytest.mark.parametrize("path", COMPARED, ids=lambda path: path.stem)
def test_compared_rows_are_of_one_learner_and_the_loss_of_their_name(path, monkeypatch):
    model, data, loss, training = read(path, monkeypatch)
    RunFlags(model, data, loss, training)
    name = path.stem.partition("_compared_")[2]
    assert path.stem == f"{data.dataset}_compared_{name}"
    assert (loss.metric_loss, loss.lambda_div) == (name, 0)
    assert (model.ensemble, model.num_learners) == ("none", 1)
    published = {"clustering": 64, "proxy_nca": 64, "contrastive": 128, "margin": 128}
    free = {"npairs": 512, "angular": 512, "lifted_struct": 64}
    if data.dataset == "stanford_online_products":
        free["lifted_struct"] = 512
    assert model.embedding_dim == (published | free)[name]
    assert (loss.embedding_norm == "free") == (name in free)


# Images of the smallest class that trains, as far as is known of the data.
SMALLEST = {"cars196": 50, "cub200_2011": 41}


@pytest.mark.parametrize("path", ROWS, ids=lambda path: path.stem)
def test_batches_of_the_compared_rows_can_be_filled(path, monkeypatch):
    _, data, _, training = read(path, monkeypatch)
    images = SMALLEST.get(data.dataset, 2)
    labels = np.repeat(np.arange(98), images)
    examples = Examples(
        np.arange(len(labels)), labels, [""] * len(labels), (), lambda key: key
    )
    fitted = data.fitted([images] * 98)
    sampler = samplers.create(fitted, examples, training.seed)
    assert len(sampler.batch(0)) == fitted.batch_size


@pytest.mark.parametrize("path", OF_PEOPLE, ids=lambda path: path.stem)
def test_recipes_of_metabin_go_together(path, monkeypatch):
    model, data, loss, training = read(path, monkeypatch)
    RunFlags(model, data, loss, training)
    assert (model.normalization, model.ensemble) == ("batch_instance", "none")
    assert data.image_size == (256, 128)
    assert (loss.metric_loss, loss.embedding_norm) == ("triplet_hard", "free")
    assert (loss.classifier_weight, loss.norm_weight) == (1, 0)
    assert (training.meta, training.meta_train_domains) == (True, 3)
    # A step of rho for the cycle's length, and a whole number of cycles.
    assert training.steps % training.meta_cycle_steps == 0
    assert training.rho_learning_rate in (0.1, 0.2)


@pytest.mark.parametrize("path", FOOTED, ids=lambda path: path.stem)
def test_rows_on_one_footing_differ_in_loss_rate_and_setting_alone(path, monkeypatch):
    footing = read(ROOT / "flags/compared/digits.cfg", monkeypatch)
    row = read(path, monkeypatch)
    RunFlags(*row)
    name = path.stem.removeprefix("digits_")
    assert row[2].metric_loss == name
    own = {SETTINGS[name][0], "metric_loss", "lambda_div", "learning_rate"}
    own |= {"ensemble", "num_learners", "validation_classes"}
    for ours, theirs in zip(row, footing, strict=True):
        assert {k: v for k, v in vars(ours).items() if k not in own} == {
            k: v for k, v in vars(theirs).items() if k not in own
        }


def test_every_benchmark_with_published_rows_has_them():
    by_folder = {}
    for path in ROWS:
        by_folder.setdefault(path.parent.name, []).append(path)
    # Seven losses and three ensembles; of In-shop Clothes the ensembles alone.
    assert {name: len(paths) for name, paths in by_folder.items()} == {
        "cars196": 10,
        "cub200_2011": 10,
        "stanford_online_products": 10,
        "in_shop": 3,
    }


def test_cars_has_a_file_for_each_row_of_the_table():
    names = {path.stem for path in PAPER if path.parent.name == "cars196"}
    expected = set()
    for row in COSTS:
        model = model_of(row.name)
        kind = "abe" if model.ensemble == "abe" else "heads"
        learners, dim = model.num_learners, model.embedding_dim
        expected.add(f"cars196_{kind}{learners}_{dim}")
    assert names == expected | {"cars196_abe8_512_no_divergence"}
    for dataset in set(BENCHMARKS) - {"cars196", "omniglot"}:
        found = {path.stem for path in PAPER if path.parent.name == dataset}
        assert found == {f"{dataset}_abe{m}" for m in (2, 4, 8)}


def test_the_papers_own_row_has_the_papers_parameters(monkeypatch):
    path = ROOT / "flags" / "cars196" / "cars196_abe8_512.cfg"
    model, data, _, _ = read(pathlib.Path(path), monkeypatch)
    counted = cost(build(model, data.image_size, load_pretrained=False))
    assert f"{counted.parameters / 1e7:.2f}" == "1.20"
