"""Files of a run folder taken as they are found: torn, cut, edited, outgrown."""

import dataclasses
import json

import numpy as np
import pytest

from abe_tf.config.data import DataConfig
from abe_tf.data import datasets
from abe_tf.data.examples import Splits, from_paths
from abe_tf.data.photos import normalised
from abe_tf.errors import InputError
from abe_tf.reports import pictures
from abe_tf.runs import records
from abe_tf.runs.flags import RunFlags
from abe_tf.runs.folder import RunFolder
from abe_tf.runs.held_out import HeldOut
from tests.helpers.images import class_folders

FLAGS = RunFlags()


@pytest.fixture
def folder(tmp_path):
    found = RunFolder(str(tmp_path))
    found.write_record(FLAGS, ["a", "b"], [])
    return found


def test_the_torn_last_line_of_a_killed_run_is_left_out(folder):
    with open(folder.metrics, "w") as file:
        file.write('{"step": 1}\n{"step": 2}\n{"ste')
    assert [line["step"] for line in records.read_metrics(folder.metrics)] == [1, 2]


@pytest.mark.parametrize("line", ["{", "[1]", "null"])
def test_another_line_that_is_none_is_named(folder, line):
    with open(folder.metrics, "w") as file:
        file.write(f'{{"step": 1}}\n{line}\n{{"step": 2}}\n')
    with pytest.raises(InputError, match="line 2"):
        records.read_metrics(folder.metrics)


def test_a_session_that_goes_on_drops_lines_that_are_none(folder):
    lines = [b'{"step": 1}', b"[1]", b"null", b"3", b"{}", b'{"step": "x"}', b"\xff"]
    lines += [b'{"step": 2}', b'{"step": 3}', b'{"ste']
    with open(folder.metrics, "wb") as file:
        file.write(b"\n".join(lines))
    records.cut_metrics(folder.metrics, 2)
    with open(folder.metrics) as file:
        assert file.read() == '{"step": 1}\n{"step": 2}\n'
    records.cut_metrics(f"{folder.metrics}.none", 2)


@pytest.mark.parametrize("name", ["\u2028", "\x0c", "\x0b", "\x85", "\r", "\udcff"])
def test_flags_of_any_path_are_read_again_as_they_were(tmp_path, name):
    flags = FLAGS.changed({"data_dir": f"/p{name}q"})
    found = RunFolder(str(tmp_path))
    found.write_record(flags, [f"a{name}b", "c"], [])
    found.write_domains([f"d{name}"])
    assert found.flags() == flags
    found.check_classes([normalised(f"a{name}b"), "c"])
    found.check_domains([f"d{name}"])


def test_a_flag_of_several_lines_is_refused():
    with pytest.raises(InputError, match="--data_dir must be one line"):
        RunFlags(data=DataConfig(data_dir="/p\nq"))


@pytest.mark.parametrize("content", ["{", "[]", "3", "[" * 100_000])
def test_a_record_that_is_none_is_named(folder, tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(InputError, match=r"run\.json must be what training wrote"):
        records.read_record(folder.record)
    (tmp_path / "run.json").unlink()
    assert records.read_record(folder.record) == {}


@pytest.mark.parametrize(
    "line",
    [
        *("-embedding_dim=3", " --embedding_dim=3", "embedding_dim=3", "", "# note"),
        *("--flagfile=/etc/passwd", "--embedding_dim 3", "--no_such_flag=1"),
        *("--norandom_flip", "--undefok=x"),
    ],
)
def test_each_line_of_the_flagfile_is_a_flag_or_is_refused(folder, line):
    with open(folder.flagfile, "a") as file:
        file.write(f"{line}\n")
    with pytest.raises(InputError, match=r"Each line of flags\.cfg must be"):
        folder.flags()


@pytest.mark.parametrize(
    "flags",
    [
        {"steps": 601},
        {"cache_dir": "/elsewhere", "max_pixels": 5, "check": "decode"},
    ],
)
def test_a_run_goes_on_with_more_steps_and_what_means_the_same(folder, flags):
    assert FLAGS.changed(flags).differing(folder.flags()) == []
    folder.check_may_train(FLAGS.changed(flags))


@pytest.mark.parametrize(
    "flags", [{"steps": 599}, {"images_per_class": 8}, {"min_images_per_class": 3}]
)
def test_a_run_does_not_go_on_with_other_flags(folder, flags):
    with pytest.raises(InputError, match="goes on with the flags"):
        folder.check_may_train(FLAGS.changed(flags))


def test_batches_that_followed_the_data_stay_as_they_were(tmp_path):
    folder = RunFolder(str(tmp_path))
    assert folder.data(DataConfig()).classes_per_batch is None
    batches = FLAGS.changed({"classes_per_batch": 8, "images_per_class": 3})
    folder.write_record(batches, ["a"], [])
    # Left out, or stated as they were printed.
    folder.check_may_train(FLAGS)
    folder.check_may_train(batches)
    data = folder.data(DataConfig(image_size=32))
    assert (data.classes_per_batch, data.images_per_class) == (8, 3)
    assert data.image_size == 32


def test_more_steps_are_recorded_and_nothing_else_is(folder):
    assert folder.go_on_to(600) is None
    assert folder.go_on_to(900) == 600
    training = dataclasses.replace(FLAGS.training, steps=900)
    assert folder.flags() == dataclasses.replace(FLAGS, training=training)


def test_a_run_of_three_photos_looks_among_those_that_train_when_there_are_more(
    tmp_path, capsys
):
    photos = tmp_path / "photos"

    def loaded(count):
        class_folders(photos, ("a", "b"), count, "png")
        return datasets.load(DataConfig("image_folder", str(photos)))

    held_out = HeldOut(str(tmp_path), str(photos))
    three = loaded(3)
    held_out.record(three)
    for count in (3, 4, 8):
        kept = held_out.keep(loaded(count))
        assert kept.gallery.names == kept.train.names
        assert not {*kept.train.names} & {*three.test.names}
        assert not {*kept.test.names} & {*three.train.names}
    assert held_out.keep(three).test.names == three.test.names
    # A run whose photos were looked for among each other stays so, too.
    held_out.record(loaded(8))
    assert held_out.keep(three).gallery is None
    assert "held out from training and would train" in capsys.readouterr().err


def test_held_out_photos_never_train_whatever_comes_or_goes(tmp_path, capsys):
    names = [f"a/{number}.png" for number in range(12)]

    def splits(present):
        every = [str(tmp_path / "photos" / name) for name in present]
        all_of_them = from_paths(every, [0] * len(every), ("a",))
        tests = np.arange(len(every)) % 4 == 1
        train, test = all_of_them.where(~tests), all_of_them.where(tests)
        return Splits(
            train,
            train.where(np.zeros(len(train), bool)),
            test,
            None,
            known_classes=True,
        )

    held_out = HeldOut(str(tmp_path), str(tmp_path / "photos"))
    held_out.record(splits(names))
    whole = held_out.keep(splits(names))
    assert (len(whole.train), len(whole.test)) == (9, 3)
    # One less: positions shift, and what trained would test.
    fewer = held_out.keep(splits(names[1:]))
    assert not {*fewer.test.names} & {*whole.train.names}
    assert not {*fewer.train.names} & {*whole.test.names}
    assert "held out from training and would train" in capsys.readouterr().err


def test_runs_that_differ_in_seed_and_places_alone_are_repetitions(tmp_path):
    settings = []
    for number, flags in enumerate(
        [
            {"seed": 0},
            {"seed": 1, "log_every": 3, "manual_dir": "/a", "keep": 9},
            {"seed": 0, "learning_rate": 0.5},
        ]
    ):
        folder = RunFolder(str(tmp_path / str(number)))
        benchmark = FLAGS.changed({"dataset": "cars196", **flags})
        folder.write_record(benchmark, ["a"], [])
        settings.append(folder.flags().settings())
    assert settings[0] == settings[1] != settings[2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"x/../../../out": []}', "must name flags of a run"),
        ("[]", "must be what abe_tf.sweep wrote"),
        ('{"lambda_div": [{"value": 1}]}', "must be what abe_tf.sweep wrote"),
        ("{", "must be what abe_tf.sweep wrote"),
        ("[" * 100_000, "must be what abe_tf.sweep wrote"),
        (
            '{"lambda_div": [{"value": "1", "ensemble": ["x"], "individual": [], '
            '"self_pair_cosine": []}]}',
            "must be what abe_tf.sweep wrote",
        ),
    ],
)
def test_a_sweeps_file_writes_nowhere_else(tmp_path, content, message):
    (tmp_path / "sweep.json").write_text(content)
    with pytest.raises(InputError, match=message):
        pictures.factors_of(str(tmp_path))
    row = {"value": "1", "ensemble": [50.0], "individual": [40.0]}
    row["self_pair_cosine"] = [0.3]
    (tmp_path / "sweep.json").write_text(json.dumps({"lambda_div": [row]}))
    factors = pictures.factors_of(str(tmp_path))
    (drawn,) = pictures.of_sweep(str(tmp_path), factors)
    assert drawn.name == "ablation_lambda_div"
