"""How sure distances make lies with a checkpoint, its export, an index by either."""

import json
import os
import shutil

import numpy as np

import abe_tf
from abe_tf.config.index import SourceConfig
from abe_tf.photo_index import database
from abe_tf.retrieval.calibration import Calibration
from tests.photo_index.conftest import Index


def calibration_of(folder):
    (path,) = folder.glob("step-*/calibration.json")
    return Calibration.parse(path.read_text())


def test_training_measures_its_best_checkpoint(trained):
    workdir, *_ = trained
    fitted = calibration_of(workdir / "best")
    assert abe_tf.load(str(workdir)).calibration == fitted
    # Two of five classes, of five photos each, were held out.
    assert fitted.about["photos"] == 10
    assert fitted.about["kinds"] == 2
    assert fitted.about["pairs_of_one_kind"] == 2 * 10
    assert fitted.about["pairs_of_two_kinds"] == 25 + 10 * 15
    assert fitted.about["pairs_of_kinds"] == 1 + 2 * 3
    # The last checkpoint was evaluated too; the one before it was not.
    checkpoints = workdir / "checkpoints"
    with_it = {path.parent.name for path in checkpoints.glob("*/calibration.json")}
    assert with_it == {"step-6"}


def test_evaluation_measures_it_again(trained, run_command, tmp_path, capsys):
    workdir = tmp_path / "run"
    shutil.copytree(trained[0], workdir)
    before = calibration_of(workdir / "best")
    (path,) = (workdir / "best").glob("step-*/calibration.json")
    path.write_text("torn")
    assert abe_tf.load(str(workdir)).calibration is None
    assert "--split=validation --checkpoint=" in capsys.readouterr().err
    flags = f"--workdir={workdir}", "--split=validation", "--noclustering"
    said = run_command("abe_tf.evaluate", *flags).stdout
    assert "P(same kind): counted on 20 pairs of one and 175 of two" in said
    after = calibration_of(workdir / "best")
    assert after.about == before.about
    np.testing.assert_allclose(after.distances, before.distances, atol=1e-3)
    np.testing.assert_allclose(after.log_ratios, before.log_ratios, atol=1e-6)
    # On the test classes nothing is calibrated.
    path.unlink()
    run_command("abe_tf.evaluate", f"--workdir={workdir}", "--noclustering")
    assert not path.exists()


def test_an_export_has_it_and_an_index_by_either(trained, exported, photos, tmp_path):
    models, _ = exported
    fitted = calibration_of(trained[0] / "best")
    kept = Calibration.parse((models / "1/calibration.json").read_text())
    assert kept == fitted
    index = Index(str(tmp_path / "index"), SourceConfig(model_dir=str(models)))
    index.update(photos / "class_0", labels="none")

    def stated():
        with database.opened(index.folder) as connection:
            return database.about(connection).get("calibration")

    assert Calibration.parse(stated()) == fitted
    # One of before has none; the next update finds what was measured since.
    with (
        database.opened(index.folder, write=True) as connection,
        database.transaction(connection),
    ):
        connection.execute("DELETE FROM about WHERE key = 'calibration'")
    assert stated() is None
    index.update()
    assert Calibration.parse(stated()) == fitted
    bare = tmp_path / "models"
    shutil.copytree(models, bare)
    os.remove(bare / "1/calibration.json")
    index.update(source=SourceConfig(model_dir=str(bare)))
    # What was known stays, since the model is the same.
    assert Calibration.parse(stated()) == fitted
    assert json.loads(stated())["format"] == 1
