import dataclasses
import json
import os
import pathlib
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.saved_model import fingerprinting_utils
from tensorflow_serving.apis import prediction_log_pb2

from abe_tf.config.data import DataConfig
from abe_tf.config.evaluation import CheckpointConfig, RunConfig, SplitConfig
from abe_tf.config.model import ModelConfig
from abe_tf.data.pixels.decoding import decode
from abe_tf.data.pixels.preprocessing import Preprocessing
from abe_tf.errors import InputError
from abe_tf.models.build import build
from abe_tf.models.ensemble import layout_of
from abe_tf.models.lower_precision import in_bfloat16
from abe_tf.retrieval import archive
from abe_tf.retrieval.embedded import Embedded
from abe_tf.runs.folder import RunFolder
from abe_tf.runs.trained import TrainedModel
from abe_tf.storage.locks import LOCK
from export import saved_model
from export.config.export import ExportConfig
from export.publish import (
    galleries,
    serving_files,
    unoptimized,
    verification,
    warmup_photos,
)
from export.publish.photos import ReferencePhotos, masks_of, parts_of
from export.publish.signatures import ServingModule
from export.saved_model import publish
from tests.conftest import ROOT, black_png
from tests.helpers.images import PHOTO, save

MARK = "47.3769 N, 8.5417 E"


@pytest.fixture(scope="module")
def model():
    tf.keras.utils.set_random_seed(0)
    network = build(ModelConfig(num_learners=2, embedding_dim=16), image_size=32)
    return TrainedModel(network, Preprocessing(32, 37, True), DataConfig(), "ckpt-0")


@pytest.fixture(scope="module", autouse=True)
def short_measurement():
    """Half a second for each of six batch sizes would be much of the time here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verification, "MEASURED", (1, 4))
        yield


@pytest.fixture(scope="module")
def shown(model, photos, tmp_path_factory):
    folder, paths = tmp_path_factory.mktemp("shown"), []
    for number, path in enumerate(sorted(photos.glob("*/*.jpg"))[:8]):
        paths.append(str(folder / f"{number}.jpg"))
        pathlib.Path(paths[-1]).write_bytes(marked(path.read_bytes()))
    pixels = np.stack(
        [model.preprocessing.for_evaluation(tf.io.read_file(p)) for p in paths]
    )
    encoded = [pathlib.Path(path).read_bytes() for path in paths]
    masks = masks_of(model.network, pixels)
    parts = parts_of(model.network, pixels)
    layout = layout_of(model.network)
    return ReferencePhotos(encoded, pixels, model.embed(paths), layout, masks, *parts)


def marked(jpeg):
    """The same photo, with where it was taken written into it."""
    tags = Image.Exif()
    tags[0x010F] = MARK
    content = tags.tobytes()
    segment = b"\xff\xe1" + (len(content) + 2).to_bytes(2, "big") + content
    return jpeg[:2] + segment + jpeg[2:]


def to(folder, **options):
    return ExportConfig(export_dir=str(folder), **options)


@pytest.fixture(scope="module")
def version(model, shown, photos, tmp_path_factory):
    options = to(tmp_path_factory.mktemp("models") / "abe", top_k=3)
    gallery = galleries.load(str(photos), model)
    return publish(model, shown, options, gallery, {"name": "test"})


@pytest.fixture(scope="module")
def loaded(version):
    return tf.saved_model.load(version).signatures


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_every_signature_gives_evaluations_numbers(model, loaded, shown, batch):
    expected = shown.learner_embeddings[:batch]
    files = tf.constant(shown.encoded[:batch])
    joined = expected.reshape(batch, -1)
    answer = loaded["serving_default"](image_bytes=files)["embedding"]
    np.testing.assert_allclose(answer, joined, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(answer, axis=1), np.sqrt(2), atol=1e-4)
    answer = loaded["pixels"](pixels=tf.constant(shown.pixels[:batch]))["embedding"]
    np.testing.assert_allclose(answer, joined, atol=1e-4)
    answer = loaded["learners"](image_bytes=files)["learner_embeddings"]
    np.testing.assert_allclose(answer, expected, atol=1e-4)
    answer = loaded["parts"](pixels=tf.constant(shown.pixels[:batch]))
    assert answer["parts"].shape == (batch, 2, 4, 4, 8)
    whole = tf.reduce_sum(answer["parts"], [2, 3]) + answer["bias"]
    np.testing.assert_allclose(whole, expected, atol=1e-4)
    masks = model.network.get_layer("attention_masks").output
    masks = tf.keras.Model(model.network.input, masks)(shown.pixels[:batch])
    answer = loaded["attention"](image_bytes=files)["masks"]
    np.testing.assert_allclose(answer, np.mean(masks, -1), atol=1e-4)


def test_only_decoding_is_kept_from_the_graph_optimizer(version):
    file = pathlib.Path(version, "saved_model.pb")
    (meta,) = saved_model_pb2.SavedModel.FromString(file.read_bytes()).meta_graphs
    functions = meta.graph_def.library.function
    marked = {one.signature.name for one in functions if unoptimized.MARK in one.attr}

    def with_operation(*operations):
        return {
            one.signature.name
            for one in functions
            if any(node.op in operations for node in one.node_def)
        }

    network, decoders = with_operation("Conv2D"), with_operation("DecodePng")
    assert network
    assert decoders
    assert not marked & network
    assert decoders <= marked


def test_the_fingerprint_is_of_the_graph_as_it_lies_there(version, tmp_path):
    copy = shutil.copytree(version, tmp_path / "copy")
    fingerprinting_utils.write_fingerprint(str(copy))
    ours, of_copy = (
        tf.saved_model.experimental.read_fingerprint(str(path))
        for path in (version, copy)
    )
    assert ours.saved_model_checksum == of_copy.saved_model_checksum


def test_search_ranks_by_ensemble_distance(loaded, shown, model, photos):
    paths = sorted(str(path.relative_to(photos)) for path in photos.glob("*/*.*"))
    gallery = model.embed([photos / path for path in paths])
    distances = np.linalg.norm(
        shown.learner_embeddings[:, np.newaxis] - gallery, axis=-1
    ).mean(-1)
    answer = loaded["search"](image_bytes=tf.constant(shown.encoded))
    order = distances.argsort(1)[:, :3]
    found = [[text.decode() for text in row] for row in answer["neighbors"].numpy()]
    assert found == [[paths[place] for place in row] for row in order]
    labels = [[text.decode() for text in row] for row in answer["labels"].numpy()]
    assert labels == [[path.split("/")[0] for path in row] for row in found]
    nearest = np.take_along_axis(distances, order, 1)
    np.testing.assert_allclose(answer["distances"], nearest, atol=2e-3)


def test_every_batch_dimension_is_open_and_what_comes_out_is_float32(loaded):
    for name in ("serving_default", "learners", "attention", "pixels", "parts"):
        for spec in loaded[name].structured_input_signature[1].values():
            assert spec.shape[0] is None
        for output in loaded[name].structured_outputs.values():
            assert output.shape[0] is None
            assert output.dtype in (tf.float32, tf.string)


def test_an_empty_batch_gives_an_empty_answer(loaded):
    answer = loaded["serving_default"](image_bytes=tf.constant([], tf.string))
    assert answer["embedding"].shape == [0, 16]


def test_warmup_records_hold_a_real_image_at_each_allowed_size(version, shown):
    path = os.path.join(version, "assets.extra", "tf_serving_warmup_requests")
    card = json.loads(pathlib.Path(version, "model_card.json").read_text())
    sizes = []
    for record in tf.data.TFRecordDataset(path):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        fed = tf.make_ndarray(log.predict_log.request.inputs["image_bytes"])
        for number, encoded in enumerate(fed):
            # The photo, written anew: without what a camera wrote into it.
            original = shown.encoded[number % len(shown.encoded)]
            pixels, wanted = decode(encoded), decode(tf.constant(original))
            assert pixels.shape == wanted.shape
            greys = [image.numpy().mean(-1).ravel() for image in (pixels, wanted)]
            assert np.corrcoef(greys)[0, 1] > 0.7
            assert MARK.encode() in original
            assert MARK.encode() not in encoded and b"Exif" not in encoded
        sizes.append(len(fed))
    assert sizes == card["allowed_batch_sizes"]
    assert card["sha256"] == serving_files.checksum(version)


@pytest.mark.parametrize("side", [11_000, 23_000])
def test_an_image_of_too_many_pixels_is_refused_undecoded(version, tmp_path, side):
    bomb = black_png(side)
    assert len(bomb) < 200_000
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "0").write_bytes(bomb)
    code = (
        "import re, export.runtime.check as c; from absl import flags\n"
        f"photos = {str(tmp_path / 'photos')!r}\n"
        f"flags.FLAGS(['x', '--model={version}', '--photos', photos,"
        " '--warmup', photos, '--batches=1'])\n"
        "try:\n c.main([])\nfinally:\n"
        " print(re.search('VmHWM:\\s*(.*) kB', open('/proc/self/status').read())[1])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert result.returncode == 1
    assert "1 to 120000000 pixels" in result.stderr
    # The larger one would be 1.6 GB, decoded.
    assert int(result.stdout.split()[-1]) < 1_000_000


def test_the_card_tells_the_recall_of_what_is_exported(tmp_path, model):
    folder = RunFolder(str(tmp_path))
    pathlib.Path(folder.flagfile).write_text("--num_learners=2\n")
    results = {
        "split": "test",
        "checkpoint": "step-9",
        "ensemble": {"recall@1": 90.0},
        "concatenated": {"recall@1": 80.0},
        "by_checkpoint": {
            "best": {"checkpoint": "step-9", "ensemble": {"recall@1": 90.0}},
            "last": {"checkpoint": "step-10", "ensemble": {"recall@1": 70.0}},
        },
    }

    def recall(checkpoint):
        exported = dataclasses.replace(model, checkpoint=checkpoint)
        options = to(tmp_path)
        return serving_files.model_card(folder, exported, options, None)["recall"]

    assert recall("step-9") is None
    pathlib.Path(folder.results).write_text(json.dumps(results))
    assert recall("step-9")["concatenated"] == {"recall@1": 80.0}
    assert recall("step-10")["ensemble"] == {"recall@1": 70.0}
    assert recall("step-11") is None


def test_bfloat16_is_close_to_float32(shown, tmp_path, model):
    other = dataclasses.replace(model, network=in_bfloat16(model.network))
    options = to(tmp_path, precision="bfloat16")
    path = publish(other, shown, options, None, {})
    answer = tf.saved_model.load(path).signatures["learners"]
    found = answer(image_bytes=tf.constant(shown.encoded))["learner_embeddings"]
    cosines = np.sum(found * shown.learner_embeddings, -1)
    assert cosines.min() > 0.999
    assert np.abs(found - shown.learner_embeddings).max() > 1e-5


def test_an_export_that_answers_otherwise_is_not_published(model, shown, tmp_path):
    wrong = dataclasses.replace(
        shown, learner_embeddings=shown.learner_embeddings + 0.001
    )
    with pytest.raises(InputError, match="must differ by at most"):
        publish(model, wrong, to(tmp_path), None, {})
    assert os.listdir(tmp_path) == [LOCK]


def test_a_graph_that_calls_python_is_refused(tmp_path, shown):
    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")])
    def call(image_bytes):
        found = tf.py_function(lambda x: tf.strings.length(x), [image_bytes], tf.int32)
        return {"embedding": tf.ensure_shape(found, [None])}

    tf.saved_model.save(module, str(tmp_path), signatures={"serving_default": call})
    with pytest.raises(InputError, match="forbidden operations: EagerPyFunc"):
        verification.verify(str(tmp_path), shown, shown.encoded, None, "float32")


def test_a_graph_that_xla_must_compile_is_refused(tmp_path, shown):
    module = tf.Module()
    compiled = tf.function(lambda x: 2 * x, jit_compile=True)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def call(x):
        return {"y": compiled(x)}

    tf.saved_model.save(module, str(tmp_path), signatures={"serving_default": call})
    with pytest.raises(InputError, match="forbidden operations: _XlaMustCompile"):
        verification.verify(str(tmp_path), shown, shown.encoded, None, "float32")


@pytest.fixture(scope="module")
def gallery(photos, model):
    return galleries.load(str(photos), model)


@pytest.fixture(scope="module")
def asked_once(version, shown, gallery, tmp_path_factory):
    """The export's answers, and what else it said: they take most of a verification."""
    kept, said, ask = tmp_path_factory.mktemp("kept") / "x.npz", [], verification._check

    def once(path, *flags):
        assert path == version
        (file,) = [flag for flag in flags if flag.startswith("--answers=")]
        file = file.removeprefix("--answers=")
        if said:
            shutil.copy(kept, file)
        else:
            said.append(ask(path, *flags))
            shutil.copy(file, kept)
        return said[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verification, "_check", once)
        # Against what evaluation gave they are right.
        verification.verify(version, shown, shown.encoded, gallery, "float32")
    return once


@pytest.mark.parametrize("wrong", ["masks", "distances", "parts", "bias"])
def test_masks_and_neighbours_must_be_evaluations_too(
    shown, gallery, version, asked_once, monkeypatch, wrong
):
    monkeypatch.setattr(verification, "_check", asked_once)
    if wrong == "masks":
        shown = dataclasses.replace(shown, masks=shown.masks + 0.001)
    elif wrong in ("parts", "bias"):
        other = {wrong: getattr(shown, wrong) + 0.001}
        shown = dataclasses.replace(shown, **other)
    else:
        turned = np.roll(gallery.learner_embeddings, 1, axis=-1)
        gallery = dataclasses.replace(gallery, learner_embeddings=turned)
    with pytest.raises(InputError, match=f"The export's {wrong} must differ by at"):
        verification.verify(version, shown, shown.encoded, gallery, "float32")


def test_a_version_that_exists_is_never_touched(model, shown, tmp_path):
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "mine").write_text("mine")
    assert publish(model, shown, to(tmp_path), None, {}) == str(tmp_path / "8")
    assert sorted(os.listdir(tmp_path)) == [LOCK, "7", "8"]
    assert os.listdir(tmp_path / "7") == ["mine"]
    with pytest.raises(InputError, match="--version must be one that does not exist"):
        publish(model, shown, to(tmp_path, version=7), None, {})


def test_a_failed_export_leaves_nothing(model, shown, tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError("disk full")

    monkeypatch.setattr(tf.saved_model, "save", fail)
    with pytest.raises(RuntimeError, match="disk full"):
        publish(model, shown, to(tmp_path), None, {})
    assert os.listdir(tmp_path) == [LOCK]


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        tf.errors.ResourceExhaustedError(None, None, "No space left\non device"),
    ],
)
def test_a_full_disk_is_told_in_one_line(model, shown, tmp_path, monkeypatch, error):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(tf.saved_model, "save", fail)
    with pytest.raises(InputError, match="with room for the model") as told:
        publish(model, shown, to(tmp_path), None, {})
    assert "No space left" in str(told.value)
    assert "Nothing was published." in str(told.value)
    assert "\n" not in str(told.value)
    assert os.listdir(tmp_path) == [LOCK]


@pytest.mark.slow
def test_a_published_version_without_its_configuration_is_told(trained, tmp_path):
    """What stands in the way is a folder of that name."""
    (tmp_path / "models.config").mkdir()
    with pytest.raises(InputError, match=r"The version .*/1 is published; only the"):
        saved_model.main(
            RunConfig(workdir=str(trained[0])),
            CheckpointConfig(),
            SplitConfig(),
            to(tmp_path),
        )
    assert (tmp_path / "1" / "saved_model.pb").is_file()


def test_warmup_by_noise_shows_nothing_of_the_photos(shown):
    photos, noise = (
        warmup_photos.of(shown, kind, 10**8) for kind in ("photos", "noise")
    )
    for theirs, ours in zip(photos, noise, strict=True):
        one, other = (
            tf.cast(tf.io.decode_jpeg(file), tf.float32).numpy()
            for file in (theirs, ours)
        )
        assert one.shape == other.shape
        grey, greys = one.mean(-1).ravel(), other.mean(-1).ravel()
        assert abs(np.corrcoef(grey, greys)[0, 1]) < 0.3


def test_a_folder_that_cannot_be_written_is_refused(model, shown, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="--export_dir must be a folder"):
        publish(model, shown, to(tmp_path / "file" / "model"), None, {})


@pytest.mark.parametrize(
    "card", [None, "{", "{}", "[]", '{"allowed_batch_sizes": "many"}', "[" * 100_000]
)
def test_another_tools_version_costs_no_configuration(tmp_path, card):
    for number in (3, 9):
        (tmp_path / str(number)).mkdir()
    ours = tmp_path / "3"
    (ours / "model_card.json").write_text('{"allowed_batch_sizes": [1, 4]}')
    if card is not None:
        (tmp_path / "9" / "model_card.json").write_text(card)
    before = os.umask(0o077)
    try:
        serving_files.write_configurations(str(tmp_path), str(ours), "abe")
    finally:
        os.umask(before)
    batching = (tmp_path / "batching.config").read_text()
    assert "max_batch_size { value: 4 }" in batching
    assert 'key: "canary" value: 9' in (tmp_path / "models.config").read_text()
    for name in ("models.config", "batching.config", "monitoring.config"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o644


def test_a_gallery_that_is_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.npz")
    with pytest.raises(InputError, match=r"--gallery must be a folder .*neither"):
        to(tmp_path, gallery=str(tmp_path / "pipe.npz")).check_paths()


def test_a_gallery_is_found_as_training_finds_photos(model, tmp_path, capsys):
    """Converted, hidden, linked; names that differ in what cannot be seen are one."""
    gallery = tmp_path / "gallery"
    for name in ("b", "b "):
        (gallery / name).mkdir(parents=True)
    linked = tmp_path / "elsewhere"
    linked.mkdir()
    (gallery / "c").symlink_to(linked)
    for path, kind in (
        *((gallery / "b" / "0.png", "PNG"), (gallery / "b " / "1.webp", "WEBP")),
        *((gallery / "b" / "._0.png", "PNG"), (linked / "2.png", "PNG")),
    ):
        path.write_bytes(save(PHOTO, kind))
    (gallery / "b" / "notes.txt").write_text("none")
    found = galleries.load(str(gallery), model)
    assert list(zip(found.ids, found.labels, strict=True)) == [
        *(("b/0.png", "b"), ("b /1.webp", "b"), ("c/2.png", "c")),
    ]
    said = capsys.readouterr().err
    assert "notes.txt" in said
    assert "folders of --gallery" in said
    (gallery / "b" / "broken.png").write_bytes(save(PHOTO, "PNG")[:60])
    with pytest.raises(InputError, match=f"leave it out of --gallery={gallery}"):
        galleries.load(str(gallery), model)


def test_a_gallery_of_another_model_is_refused(model, shown, tmp_path):
    saved = archive.Archive(
        Embedded(shown.learner_embeddings, np.zeros(8, int)),
        None,
        ("a",),
        {"fingerprint": "0"},
    )
    archive.save(str(tmp_path / "x.npz"), saved)
    with pytest.raises(InputError, match="must be embedded by the model"):
        galleries.load(str(tmp_path / "x.npz"), model)


def test_the_docker_line_can_be_pasted():
    line = serving_files.docker_line("/models of mine/abe", "abe", None)
    words = shlex.split(line)
    assert f"tensorflow/serving:{tf.__version__}" in words
    assert words[words.index("-v") + 1] == "/models of mine/abe:/models/abe"
    # Without it the server does not start: nothing is loaded yet.
    assert "--allow_version_labels_for_unavailable_models" in words
    other = serving_files.docker_line("/models/abe", "abe", "mine:1")
    assert "mine:1" in shlex.split(other)
    assert "tensorflow/serving" not in other


def test_canary_is_named_only_where_there_are_two_versions():
    one = serving_files.models_config([1], "abe")
    assert 'key: "stable" value: 1' in one
    assert "canary" not in one
    two = serving_files.models_config([1, 4, 9], "abe")
    assert "latest { num_versions: 3 }" in two
    assert 'key: "stable" value: 4' in two
    assert 'key: "canary" value: 9' in two


def test_batches_end_where_they_bring_nothing_more():
    rates = {1: 50.0, 2: 80.0, 4: 97.0, 8: 100.0, 16: 99.0}
    sizes = serving_files.batch_sizes(rates)
    assert sizes == [1, 2, 4]
    config = serving_files.batching_config(sizes)
    assert "max_batch_size { value: 4 }" in config
    assert config.splitlines()[-1] == "allowed_batch_sizes: 4"


def test_the_module_takes_no_copy_of_the_network(model):
    module = ServingModule(model.network, model.preprocessing)
    assert len(module.variables) == len(model.network.variables)


def test_learners_that_belong_to_no_place_are_compared_as_such(shown):
    """As HDC's first ones in bfloat16, whose cosine would be of nothing."""
    parts = shown.parts.copy()
    parts[:, 0] = 0
    bias = shown.learner_embeddings - parts.sum((2, 3))
    photos = dataclasses.replace(shown, parts=parts, bias=bias)
    count = len(parts)
    verification._compare(f"parts/parts/{count}", parts, photos, None, False)
    wrong = parts.copy()
    # Nothing in sum.
    wrong[2, 0, 0, 0], wrong[2, 0, 0, 1] = 0.1, -0.1
    with pytest.raises(InputError, match="parts must differ by at most 0.0"):
        verification._compare(f"parts/parts/{count}", wrong, photos, None, False)
    with pytest.raises(InputError, match="parts must have a cosine"):
        verification._compare(f"parts/parts/{count}", -parts, photos, None, False)
