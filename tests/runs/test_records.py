"""What a training leaves behind: TensorBoard, the projector, metrics, the record."""

import json
import os

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from abe_tf.figures import projector
from abe_tf.runs.folder import RunFolder


def read_scalars(workdir):
    """Values of TensorBoard's event files by tag and step."""
    return {
        tag: {step: float(value) for step, value in values.items()}
        for tag, values in read_events(workdir).items()
        if all(np.ndim(value) == 0 for value in values.values())
    }


def read_events(workdir):
    """What the event files hold, by tag and step."""
    found = {}
    for path in sorted((workdir / "tensorboard").glob("events*")):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                plugin = value.metadata.plugin_data
                held = tf.make_ndarray(value.tensor)
                if plugin.plugin_name == "hparams":
                    held = np.array([plugin.content])
                found.setdefault(value.tag, {})[event.step] = held
    return found


def test_tensorboard_holds_every_term(trained):
    scalars = read_scalars(trained[0])
    for tag in (
        *("loss/total", "loss/metric", "loss/divergence"),
        *("loss/metric/learner_1", "loss/metric/learner_2"),
        *("loss/divergence_to_metric", "distance/positive", "distance/negative"),
        *("gradient_norm/all", "gradient_norm/S", "gradient_norm/trunk"),
        *("gradient_norm/masks", "gradient_norm/G", "gradient_norm/embedding"),
        *("similarity/self_pair", "pairs/active_negatives"),
        *("learning_rate/encoder", "learning_rate/new_layers", "images_per_second"),
    ):
        steps = [4, 6] if tag == "images_per_second" else [2, 4, 6]
        assert sorted(scalars[tag])[-len(steps) :] == steps, tag
    for tag in ("recall@1", "recall@1/concatenated", "recall@1/learner_2"):
        assert sorted(scalars[f"validation/{tag}"]) == [3, 6]
    for learner in (1, 2):
        ranks = scalars[f"validation/effective_rank/learner_{learner}"]
        shares = scalars[f"validation/masks/open/learner_{learner}"]
        assert sorted(ranks) == sorted(shares) == [3, 6]
        # 10 images lie in 9 directions at most.
        assert all(1 <= rank <= 9 for rank in ranks.values())
        assert all(0 < share < 1 for share in shares.values())
    for step in (2, 4, 6):
        total = scalars["loss/metric"][step] + scalars["loss/divergence"][step]
        assert scalars["loss/total"][step] == pytest.approx(total, rel=1e-5)
        parts = ("S", "trunk", "masks", "G", "embedding")
        norm = np.linalg.norm([scalars[f"gradient_norm/{p}"][step] for p in parts])
        assert scalars["gradient_norm/all"][step] == pytest.approx(norm, rel=1e-5)


def test_tensorboard_holds_histograms_and_hyperparameters(trained):
    events = read_events(trained[0])
    # 10 images of 2 classes, 2 learners: pairs of one class, of two, of learners.
    for kind, pairs in (("positive", 40), ("negative", 50), ("self_pair", 10)):
        for step in (3, 6):
            buckets = events[f"validation/similarity/{kind}"][step]
            assert buckets[:, 2].sum() == pairs
    (session,) = events["_hparams_/session_start_info"].values()
    listed = session[0]
    assert b"lambda_div" in listed
    # Batches as they were, which the data may have made smaller than the flags.
    flags = RunFolder(str(trained[0])).flags().data
    for name in ("classes_per_batch", "images_per_class"):
        value = HParamsPluginData.FromString(listed).session_start_info.hparams[name]
        assert value.number_value == getattr(flags, name)


def test_tensorboard_shows_masks_and_neighbours_of_probe_images(trained):
    events = read_events(trained[0])
    for name in ("masks/channel", "masks/mean", "nearest"):
        for step in (3, 6):
            width, height, png = events[f"validation/{name}"][step]
            pixels = tf.io.decode_png(png).numpy()
            assert pixels.shape[:2] == (int(height), int(width))
            assert pixels.std() > 10


def test_the_projector_has_a_row_and_a_picture_for_each_image(trained):
    folder = trained[0] / "tensorboard"
    vectors = np.loadtxt(folder / "embeddings.tsv")
    np.testing.assert_allclose(np.square(vectors).sum(axis=1), [2] * 10, rtol=1e-4)
    header, *rows = (folder / "metadata.tsv").read_text().splitlines()
    assert header == "class\timage"
    assert len(rows) == 10
    sprite = tf.io.decode_png((folder / "sprite.png").read_bytes()).numpy()
    assert sprite.shape == (4 * 32, 4 * 32, 3)
    assert (
        'tensor_path: "embeddings.tsv"'
        in (folder / "projector_config.pbtxt").read_text()
    )


def test_pictures_of_the_projector_have_the_shape_of_the_images(tmp_path):
    pixels = np.zeros([3, 64, 40, 3], np.uint8)
    pixels[2, :, :20] = 255
    vectors = np.ones([3, 2, 4], np.float32)
    projector.write(str(tmp_path), vectors, list("abc"), list("abc"), pixels)
    sprite = tf.io.decode_png((tmp_path / "sprite.png").read_bytes()).numpy()
    # Two rows and columns of 32 x 20.
    assert sprite.shape == (64, 40, 3)
    assert sprite[32:, :9].min() == 255 and sprite[32:, 11:].max() == 0
    config = (tmp_path / "projector_config.pbtxt").read_text()
    assert "single_image_dim: 20\n    single_image_dim: 32" in config


def test_metrics_are_lines_of_json(trained):
    workdir, _, _ = trained
    lines = [*map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines())]
    assert [line["step"] for line in lines] == [2, 3, 4, 6, 6]
    scalars = read_scalars(workdir)
    for line in lines:
        for tag, value in line.items():
            if tag != "step":
                logged = scalars[tag][line["step"]]
                assert value == pytest.approx(logged, rel=1e-6), tag


def test_the_run_folder_repeats_the_run(trained):
    workdir, _, _ = trained
    flags = (workdir / "flags.cfg").read_text()
    assert "--num_learners=2\n" in flags
    assert "--seed=0\n" in flags
    record = json.loads((workdir / "run.json").read_text())
    assert record["versions"]["tensorflow"] == tf.__version__
    assert record["seed"] == 0
    assert record["machine"]["cpus"] == os.cpu_count()
    assert record["machine"]["devices"]
