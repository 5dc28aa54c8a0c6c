"""Losses on one footing: tried alike, chosen on held-out classes, measured once."""

import dataclasses
import json

import numpy as np
import pytest

from abe_tf.config.compare import SETTINGS, CompareConfig
from abe_tf.config.data import DataConfig
from abe_tf.config.loss import LossConfig
from abe_tf.config.model import ModelConfig
from abe_tf.data.examples import Examples, Splits
from abe_tf.errors import InputError
from abe_tf.figures.ablation import SweepRow
from abe_tf.runs import measurements
from abe_tf.runs.flags import RunFlags
from abe_tf.sweeps import comparing, tables
from tests.conftest import SMALL

START = RunFlags(
    ModelConfig(ensemble="abe", num_learners=4, embedding_dim=64),
    DataConfig(validation_classes=0.5),
)


@pytest.mark.parametrize("loss", SETTINGS)
def test_every_loss_has_as_many_tries(tmp_path, loss):
    name, values = SETTINGS[loss]
    assert getattr(LossConfig(), name) in values
    tried = comparing.Comparison(str(tmp_path), START, CompareConfig()).tries(loss)
    # Three rates and three settings; the flags' own are one run.
    assert len(tried) == 6
    assert len({trial.point.workdir for trial in tried}) == 5
    for trial in tried:
        assert trial.flags.loss.metric_loss == loss
        assert trial.flags.model.num_learners == 1
        assert trial.flags.loss.lambda_div == 0
        assert trial.point.split == "validation"
    rates = [trial.flags.training.learning_rate for trial in tried]
    assert rates == [3e-4, 1e-3, 3e-3, 1e-3, 1e-3, 1e-3]
    settings = [getattr(trial.flags.loss, name) for trial in tried[3:]]
    assert tuple(settings) == values


def test_what_was_chosen_is_trained_on_all_classes_and_measured_on_the_test_classes(
    tmp_path,
):
    comparison = comparing.Comparison(str(tmp_path), START, CompareConfig(seeds=2))
    chosen = {"learning_rate": "0.003", "margin_beta": "0.8"}
    by_network = comparison.measured("margin", chosen)
    assert list(by_network) == ["none", "abe"]
    assert comparison.start.loss.lambda_div == 1
    heads = dataclasses.replace(comparison, asked=CompareConfig(ensembles=("heads",)))
    (of_heads,) = heads.measured("margin", chosen).values()
    assert {trial.flags.loss.lambda_div for trial in of_heads} == {0}
    for ensemble, learners in (("none", 1), ("abe", 4)):
        runs = by_network[ensemble]
        assert [trial.flags.training.seed for trial in runs] == [0, 1]
        for trial in runs:
            assert trial.flags.model.ensemble == ensemble
            assert trial.flags.model.num_learners == learners
            assert trial.flags.loss.lambda_div == (ensemble == "abe")
            assert trial.flags.data.validation_classes == 0
            assert trial.flags.training.learning_rate == 3e-3
            assert trial.flags.loss.margin_beta == 0.8
            assert trial.point.split == "test"


@pytest.mark.parametrize(
    "given",
    [
        {"losses": ()},
        {"losses": ("margin", "margin")},
        {"losses": ("cosine",)},
        {"ensembles": ("abe", "abe")},
        {"rate_factors": (1.0, 1.0)},
        {"rate_factors": (-1.0,)},
        {"seeds": 0},
    ],
)
def test_what_cannot_be_compared_is_refused(given):
    (name,) = given
    with pytest.raises(InputError, match=f"--{name} must"):
        CompareConfig(**given)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metric_loss": "margin"}, "Leave --metric_loss out"),
        ({"init_from": "runs/mine"}, "--init_from=runs/mine"),
        ({"num_learners": 1}, "--ensembles=abe needs --num_learners of 2"),
        ({"margin_contrastive": 0.7}, "is tried at 0.5, 1.0, 1.5 for contrastive"),
        ({"learning_rate": 0}, "must be rates that differ. Received: 0.0"),
        ({"batches": "uniform"}, "uniform.*--losses has npairs"),
    ],
)
def test_flags_that_a_comparison_sets_itself_are_refused(tmp_path, changes, message):
    start = START.changed(changes)
    comparison = comparing.Comparison(str(tmp_path), start, CompareConfig())
    with pytest.raises(InputError, match=message):
        comparison.check()
        comparison.plan()


META = START.changed(
    {
        "normalization": "batch_instance",
        "meta": True,
        "meta_images": 2,
        "margin_hard": 0.5,
        "rho_learning_rate": 0.1,
        "domains_per_batch": 3,
        "classes_per_batch": 6,
        "images_per_class": 4,
        "steps": 100,
        "decay_steps": 50,
        "warmup_steps": 10,
    }
)
NORMALIZED = CompareConfig(rows="normalizations", seeds=1)


def test_normalisations_are_those_of_any_network(tmp_path):
    boosted = {"ensemble": "bier", "num_learners": 3, "lambda_div": 0}
    start = META.changed({**boosted, "metric_loss": "triplet_hard"})
    comparison = comparing.Comparison(str(tmp_path), start, NORMALIZED)
    comparison.check()
    for tried in comparison.plan().values():
        assert {trial.flags.model.ensemble for trial in tried} == {"bier"}
        assert {trial.flags.loss.margin_hard for trial in tried} == {0.5}


def test_normalisations_see_as_many_images_those_of_the_meta_step_counted(tmp_path):
    comparison = comparing.Comparison(str(tmp_path), META, NORMALIZED)
    comparison.check()
    planned = comparison.plan()
    assert list(planned) == ["batch", "instance_half", "batch_instance", "meta"]
    for name, tried in planned.items():
        (runs,) = comparison.measured(name, {"learning_rate": "0.01"}).values()
        assert runs[0].flags.data.validation_classes == 0
        assert runs[0].flags.training.learning_rate == 0.01
        assert len(tried) == 3
        for trial in [*tried, *runs]:
            model, training = trial.flags.model, trial.flags.training
            # A batch of 6 x 4, and with the meta step one of 3 x 4 x 2 more.
            steps, images = (100, 24 + 24) if name == "meta" else (200, 24)
            assert (training.steps, training.meta) == (steps, name == "meta")
            assert steps * images == 4800
            # As far in the training.
            assert (training.decay_steps, training.warmup_steps) == (
                steps / 2,
                steps / 10,
            )
            instance = name in ("batch_instance", "meta")
            assert training.rho_learning_rate == (0.1 if instance else None)
            mixed = "batch_instance" if instance else name
            assert model == dataclasses.replace(META.model, normalization=mixed)
    # What only the meta step has is kept for it alone.
    assert planned["meta"][0].flags.loss.margin_hard == 0.5
    assert planned["batch"][0].flags.loss.margin_hard == LossConfig().margin_hard


def placed(classes):
    """Four images of each of so many classes in each domain."""
    pairs = [
        (d, c) for d, count in classes.items() for c in range(count) for _ in "four"
    ]
    labels = np.array([c for _, c in pairs])
    names = np.array([d for d, _ in pairs])
    none = [""] * len(pairs)
    numbers = np.arange(len(pairs))
    return Examples(numbers, labels, none, ("a",) * 9, lambda key: key, domains=names)


@pytest.mark.parametrize(("batches", "needed"), [("classes", 4), ("domains", 6)])
def test_a_domain_that_only_measured_runs_see_is_looked_at_first(
    tmp_path, batches, needed
):
    """Four classes for the second update, six for the first where it is of domains."""
    flags = {"batches": batches, "meta_classes": 4, "validation_domains": "last"}
    comparison = comparing.Comparison(str(tmp_path), META.changed(flags), NORMALIZED)
    train, none = placed(dict.fromkeys("xyz", 8)), placed({})
    # However few of its classes the tries hold out.
    tries = Splits(train, placed({"last": 2}), none)
    whole = {"x": 8, "y": 8, "z": 8}
    comparison.fitted(tries, placed({**whole, "last": needed}))
    with pytest.raises(InputError, match="at most the classes of each domain that"):
        comparison.fitted(tries, placed({**whole, "last": needed - 1}))


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (START, "Received: no --meta"),
        (
            dataclasses.replace(
                META, data=dataclasses.replace(META.data, domains_per_batch=None)
            ),
            "no --domains_per_batch",
        ),
        (
            dataclasses.replace(
                META, data=dataclasses.replace(META.data, images_per_class=None)
            ),
            "no --images_per_class",
        ),
        (META.changed({"init_from": "runs/mine"}), "--init_from=runs/mine"),
    ],
)
def test_normalisations_are_compared_at_images_that_are_counted(
    tmp_path, start, message
):
    comparison = comparing.Comparison(str(tmp_path), start, NORMALIZED)
    with pytest.raises(InputError, match=message):
        comparison.check()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rows": "normalizations", "ensembles": ("abe",)}, "Leave it out"),
        ({"rows": "ensembles", "normalizations": ("batch",)}, "with ensembles"),
        ({"rows": "normalizations", "losses": ("margin",)}, "goes with --rows=losses"),
        ({"rows": "normalizations", "normalizations": ()}, "must name something"),
    ],
)
def test_lists_of_other_rows_are_refused(given, message):
    with pytest.raises(InputError, match=message):
        CompareConfig(**given)


def splits(*counts, held_out):
    """Images of classes 0, 1, ..., of which the last ones are held out."""
    labels = np.repeat(np.arange(len(counts)), counts)
    names = tuple(f"class {number}" for number in range(len(counts)))
    images = Examples(
        np.arange(len(labels)), labels, labels.astype(str), names, lambda key: key
    )
    held = labels >= len(counts) - held_out
    return Splits(
        train=images.where(~held),
        validation=images.where(held),
        test=images.where(labels < 0),
    ), images


def test_batches_left_to_the_data_are_alike_in_tries_and_measured_runs(tmp_path):
    comparison = comparing.Comparison(str(tmp_path), START, CompareConfig())
    # Nine classes train in the end, six in the tries; a held-out one has two images.
    fitted = comparison.fitted(*splits(*(5,) * 8, 2, held_out=3))
    (runs, _) = fitted.measured("margin", {}).values()
    for trial in [*fitted.tries("margin"), *runs]:
        assert trial.flags.data.classes_per_batch == 6
        assert trial.flags.data.images_per_class == 2


def test_batches_that_a_held_out_class_cannot_fill_are_refused_at_once(tmp_path):
    start = START.changed({"classes_per_batch": 2, "images_per_class": 3})
    comparison = comparing.Comparison(str(tmp_path), start, CompareConfig())
    with pytest.raises(InputError, match="Received: 3; class class 3 has 2"):
        comparison.fitted(*splits(5, 5, 5, 2, held_out=2))
    kept = comparison.fitted(*splits(5, 5, 5, 3, held_out=2))
    assert kept.start.data == start.data


def test_pairs_and_uniform_batches_are_left_alone(tmp_path):
    start = START.changed({"batches": "pairs"})
    comparison = comparing.Comparison(str(tmp_path), start, CompareConfig())
    assert comparison.fitted(*splits(5, 5, 5, 1, held_out=2)) is comparison


def test_a_call_with_other_losses_keeps_the_rows_of_before(tmp_path):
    path = tmp_path / "compared.json"
    npairs, margin, again = (row({}, "", [x], [x]) for x in (90.0, 80.0, 70.0))
    tables.write(str(path), {"1-head": {"npairs": npairs}})
    tables.write(str(path), {"1-head": {"margin": margin}, "ABE-4": {}})
    tables.write(str(path), {"1-head": {"margin": again}})
    content = json.loads(path.read_text())
    recalls = {name: one["recall@1"] for name, one in content["1-head"].items()}
    assert recalls == {"npairs": [90.0], "margin": [70.0]}
    assert content["ABE-4"] == {}


@pytest.mark.parametrize("text", ["{", "[]", '{"1-head": []}'])
def test_a_damaged_table_is_named_and_kept(tmp_path, text):
    path = tmp_path / "compared.json"
    path.write_text(text)
    rows = {"1-head": {"npairs": row({}, "", [90.0], [90.0])}}
    with pytest.raises(InputError, match=r"Remove it and run the same command"):
        tables.write(str(path), rows)
    assert path.read_text() == text


def row(chosen, name, ensemble, individual, queries=9):
    measured = SweepRow(name, ensemble, individual, [])
    return tables.Row(chosen, measured, frozenset({(queries, queries)}))


def test_a_table_is_of_one_test_set():
    same = row({}, "npairs", [90.0], [75.0])
    tables.check_one_test_set([same, same])
    with pytest.raises(InputError, match="7 and 9 queries"):
        tables.check_one_test_set([same, row({}, "margin", [90.0], [75.0], 7)])


def test_ensembles_have_tries_of_their_own(tmp_path):
    asked = CompareConfig(rows="ensembles", seeds=2)
    start = START.changed({"embedding_dim": 64, "num_learners": 4})
    comparison = comparing.Comparison(str(tmp_path), start, asked)
    comparison.check()
    planned = comparison.plan()
    learners = {"none": 1, "heads": 4, "abe": 4, "hdc": 3, "bier": 3, "a_bier": 3}
    assert list(planned) == list(learners)
    # The same number of tries: the rate of the flagfile and its factors.
    assert {len(tried) for tried in planned.values()} == {3}
    for name, tried in planned.items():
        runs = comparison.measured(name, {"learning_rate": "0.003"})
        assert list(runs) == [name]
        assert [trial.flags.training.seed for trial in runs[name]] == [0, 1]
        for trial in (*tried, *runs[name]):
            model, loss = trial.flags.model, trial.flags.loss
            assert model.ensemble == name.removeprefix("a_")
            assert model.num_learners == learners[name]
            assert model.embedding_dim == (63 if name == "hdc" else 64)
            own = {"hdc": "hdc", "bier": "bier", "a_bier": "bier"}
            assert loss.metric_loss == own.get(name, "contrastive")
            assert loss.lambda_div == (name == "abe")
            assert bool(loss.adversarial_weight) == (name == "a_bier")
        assert runs[name][0].flags.training.learning_rate == 0.003
        assert runs[name][0].flags.data.validation_classes == 0


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"ensembles": ("none", "hdc")}, "--ensembles=hdc has a loss of its own"),
        ({"rows": "ensembles", "losses": ("margin",)}, "goes with --rows=losses"),
    ],
)
def test_losses_and_ensembles_are_compared_apart(given, says):
    with pytest.raises(InputError, match=says):
        CompareConfig(**given)


def test_the_table_of_ensembles_has_what_they_cost():
    one = tables.Row({"learning_rate": "0.003"}, *measured("1-head^64", [80.0]))
    one = dataclasses.replace(one, cost=(650_000, 15_800_000))
    three = tables.Row({}, *measured("BIER^64", [90.0, 92.0], [0.1, 0.2]))
    three = dataclasses.replace(three, correlations=(0.3, 0.5), cost=(7, 9))
    rows = {"1-head^64": one, "BIER^64": three}
    _, first, second = tables.networks_as_text("ensembles", rows).splitlines()
    assert first.split()[:7] == [
        *("BIER^64", "91.0", "±", "1.41", "70.0", "0.15", "0.40")
    ]
    assert second.split() == [
        *("1-head^64", "80.0", "70.0", "-", "-", "650,000", "15,800,000"),
        "--learning_rate=0.003",
    ]
    assert three.content()["error_correlation"] == [0.3, 0.5]
    assert "parameters" not in row({}, "margin", [1.0], [1.0]).content()


def measured(name, ensemble, cosines=()):
    row = SweepRow(name, ensemble, [70.0], list(cosines))
    return row, frozenset({(9, 9)})


def test_the_table_begins_with_the_best():
    rows = {
        "triplet_semihard": row({}, "triplet_semihard", [], []),
        "margin": row({"learning_rate": "0.003"}, "margin", [80.0, 82.0], [70.0]),
        "npairs": row({}, "npairs", [90.0], [75.0]),
    }
    head, first, second, last = tables.as_text("ABE-4^64", rows).splitlines()
    assert last.split() == ["triplet_semihard", "diverged", "diverged"]
    assert head.split()[0] == "ABE-4^64"
    assert first.split() == ["npairs", "90.0", "75.0"]
    assert second.split() == [
        *("margin", "81.0", "±", "1.41", "70.0", "--learning_rate=0.003"),
    ]


def test_nothing_held_out_is_refused_before_the_first_run(
    photos, run_command, tmp_path
):
    folder = tmp_path / "compared"
    flags = [*SMALL, f"--data_dir={photos}", f"--workdir={folder}", "--steps=1"]
    result = run_command("abe_tf.compare", *flags, check=False)
    assert result.returncode == 1
    (line,) = result.stderr.strip().splitlines()
    assert "A comparison chooses on held-out training classes" in line
    assert not folder.exists()


@pytest.mark.slow
def test_losses_are_tried_chosen_and_measured_and_it_goes_on(
    photos, run_command, tmp_path
):
    folder = tmp_path / "compared"
    flags = [
        *(*SMALL, f"--data_dir={photos}", "--train_classes=0:6", "--steps=1"),
        *("--validation_classes=0.4", "--classes_per_batch=2", f"--workdir={folder}"),
        *("--losses=margin", "--rate_factors=1", "--seeds=1"),
    ]
    output = run_command("abe_tf.compare", *flags).stdout
    content = json.loads((folder / "compared.json").read_text())
    assert len(content) == 2
    for rows, ensemble in zip(content.values(), ("none", "abe"), strict=True):
        for loss, row in rows.items():
            swept = json.loads((folder / "tries" / loss / "sweep.json").read_text())
            name, _ = SETTINGS[loss]
            tried = {one["value"]: one["ensemble"] for one in swept[name]}
            assert tried[row["chosen"][name]] == max(tried.values())
            (run,) = [
                path
                for path in (folder / ensemble).iterdir()
                if path.name.startswith(f"metric_loss={loss},")
            ]
            (measured,) = measurements.read(str(run / "results.json")).values()
            assert measured["split"] == "test"
            assert row["recall@1"] == [measured["ensemble"]["recall@1"]]
            assert f"{row['recall@1'][0]:.1f}" in output
    kept = next(iter((folder / "abe").iterdir())) / "results.json"
    written = kept.stat().st_mtime_ns
    assert run_command("abe_tf.compare", *flags).stdout == output
    assert kept.stat().st_mtime_ns == written
