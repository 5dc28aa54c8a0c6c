"""Photos that moved or broke after the training: every command can be told."""

import importlib
import shutil

import pytest

from abe_tf.config.data import DataConfig
from abe_tf.config.evaluation import CheckpointConfig, RunConfig, SplitConfig
from abe_tf.errors import InputError
from export import saved_model
from export.config.export import ExportConfig
from tests.conftest import SMALL


@pytest.fixture
def listed(photos, tmp_path, run_command):
    """A run whose photos and list lie in a folder."""
    folder = tmp_path / "before"
    shutil.copytree(photos, folder)
    rows = [
        f"{path.relative_to(folder)},{path.parent.name},"
        f"{'train' if path.parent.name < 'class_5' else 'test'}"
        for path in sorted(folder.glob("*/*"))
    ]
    (folder / "list.csv").write_text("path,label,split\n" + "\n".join(rows) + "\n")
    flags = [
        *(*SMALL, f"--image_list={folder / 'list.csv'}", "--steps=0"),
        f"--workdir={tmp_path / 'run'}",
    ]
    run_command("abe_tf.train", *flags)
    return folder, tmp_path / "run", flags


@pytest.mark.parametrize(
    "module",
    [
        "abe_tf.evaluate",
        pytest.param("export.saved_model", marks=pytest.mark.slow),
        pytest.param("abe_tf.train", marks=pytest.mark.slow),
    ],
)
def test_photos_that_moved_and_broke(module, listed, tmp_path, run_command):
    folder, workdir, training = listed
    after = tmp_path / "after"
    folder.rename(after)
    (after / "class_7" / "1.jpg").write_bytes(b"broken")
    places = [f"--image_list={after / 'list.csv'}", "--on_bad_image=skip"]
    flags = {
        "abe_tf.evaluate": [f"--workdir={workdir}", "--noclustering"],
        "export.saved_model": [
            *(f"--workdir={workdir}", f"--export_dir={tmp_path / 'models'}")
        ],
        "abe_tf.train": [flag for flag in training if "image_list" not in flag],
    }[module]
    lines = [
        run_command(module, *flags, *given, check=False).stderr.strip()
        for given in (places[2:], places[:1])
    ]
    if module != "abe_tf.train":
        assert "--image_list must be an existing CSV file" in lines[0]
    assert "class_7/1.jpg" in lines[1]
    assert "--on_bad_image=skip" in lines[1]
    assert len(lines[1].splitlines()) == 1
    told = run_command(module, *flags, *places).stderr
    assert "Left out 1 of 40 images that cannot be read:" in told
    assert "class_7/1.jpg" in told


@pytest.mark.parametrize("module", ["evaluate", "report", "saved_model"])
def test_every_command_behind_a_training_takes_the_same_places(module):
    """They share the group of flags, and what it does with them."""
    room = "export" if module == "saved_model" else "abe_tf"
    main = importlib.import_module(f"{room}.{module}").main
    assert "SplitConfig" in main.__annotations__.values()


def test_the_exporter_shows_the_photos_where_they_are(trained, tmp_path, monkeypatch):
    given = []

    def shown(model, data, split):
        given.append((data.data_dir, data.on_bad_image, split))
        raise InputError("seen")

    monkeypatch.setattr("export.publish.photos.of_run", shown)
    flags = RunConfig(workdir=str(trained[0])), CheckpointConfig()
    moved = SplitConfig(data_dir=str(tmp_path), on_bad_image="skip")
    with pytest.raises(InputError, match="^seen$"):
        saved_model.main(*flags, moved, ExportConfig(export_dir=str(tmp_path / "m")))
    assert given == [(str(tmp_path), "skip", moved.split)]


def test_a_list_for_a_run_without_one_is_refused(trained, run_command, tmp_path):
    (tmp_path / "list.csv").write_text("path,label\n")
    flags = [f"--workdir={trained[0]}", f"--image_list={tmp_path / 'list.csv'}"]
    result = run_command("abe_tf.evaluate", *flags, check=False)
    assert result.returncode == 1
    assert "for a run without one. Leave it out" in result.stderr


@pytest.mark.parametrize("manual_dir", ["/gone", ""])
def test_archives_may_be_gone_once_a_benchmark_is_prepared(tmp_path, manual_dir):
    data = DataConfig("omniglot", data_dir=str(tmp_path), manual_dir=manual_dir)
    if manual_dir:
        with pytest.raises(InputError, match="--manual_dir must be an existing"):
            data.check_paths()
    made = tmp_path / "abe_omniglot" / "1.0.0"
    made.mkdir(parents=True)
    (made / "features.json").touch()
    data.check_paths()
