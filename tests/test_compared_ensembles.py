"""HDC, BIER and A-BIER through every command: one embedding everywhere."""

import base64
import collections
import json

import numpy as np
import pytest
import requests

import abe_tf

# isort: split
import tensorflow as tf

from tests.conftest import SMALL
from tests.helpers.served import Served

KINDS = {
    "hdc": ("--ensemble=hdc", "--embedding_dim=24"),
    # Of images that are not square, by statistics of their own too.
    "a_bier": (
        *("--ensemble=bier", "--embedding_dim=32", "--adversarial_weight=1e-4"),
        *("--image_size=40x32", "--normalization=batch_instance"),
        # Within two steps far from where they began.
        "--rho_learning_rate=50",
    ),
    "bier": ("--ensemble=bier", "--embedding_dim=32"),
}
# Weights of the learners, and their sizes.
WEIGHTS = {"hdc": (1, 2, 3), "a_bier": (6, 10, 16), "bier": (6, 10, 16)}
DIMS = {"hdc": (8, 8, 8), "a_bier": (6, 10, 16), "bier": (6, 10, 16)}


@pytest.mark.parametrize(
    "kind",
    [
        "a_bier",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("hdc", "bier")),
    ],
)
def test_one_photo_has_one_embedding_everywhere(kind, run_command, photos, tmp_path):
    workdir, models, index = (tmp_path / name for name in ("run", "models", "index"))
    flags = [*SMALL, *KINDS[kind], "--num_learners=3", f"--data_dir={photos}"]
    flags += ["--train_classes=0:5", "--steps=2", "--eval_every=2"]
    run_command("abe_tf.train", *flags, f"--workdir={workdir}")
    saved = tmp_path / "test.npz"
    said = run_command(
        "abe_tf.evaluate", f"--workdir={workdir}", f"--save_embeddings={saved}"
    ).stdout
    assert "weighted" in said
    results = json.loads((workdir / "results.json").read_text())["results"]
    (measured,) = results.values()
    assert len(measured["learners"]) == 3
    again = run_command("abe_tf.evaluate", f"--embeddings={saved}").stdout
    assert recalls(again) == recalls(said) != []
    report = tmp_path / "report"
    run_command("abe_tf.report", f"--workdir={workdir}", f"--report_dir={report}")
    page = (report / "report.html").read_text()
    assert "learners weighted" in page
    run_command(
        *("export.saved_model", f"--workdir={workdir}", f"--export_dir={models}"),
        f"--gallery={saved}",
    )
    paths = sorted(map(str, photos.glob("class_7/*")))
    loaded = abe_tf.load(str(workdir))
    ours = loaded.embed(paths)
    assert ours.shape == (5, 3, max(DIMS[kind]))
    assert_exported_is_the_network(kind, models, loaded.network)
    row = np.concatenate([ours[:, m, :d] for m, d in enumerate(DIMS[kind])], 1)
    server = Served(models)
    try:
        given = tmp_path / "answers.npz"
        run_command("export.client", f"--url={server.url}", f"--npy={given}", *paths)
        files = [{"b64": encoded(path)} for path in paths]
        body = {"signature_name": "learners", "instances": files}
        answer = requests.post(f"{server.url}:predict", json=body, timeout=60)
        body = {"signature_name": "search", "instances": files[:1]}
        search = requests.post(f"{server.url}:predict", json=body, timeout=60)
    finally:
        server.stop()
    with np.load(given) as found:
        np.testing.assert_allclose(found["answers"], row, atol=1e-4)
    np.testing.assert_allclose(answer.json()["predictions"], ours, atol=1e-4)
    assert_ranked_as_published(kind, ours, row)
    with np.load(saved) as found:
        gallery = found["learner_embeddings"]
    (hits,) = search.json()["predictions"]
    both = ensemble_distances(kind, np.concatenate([ours[:1], gallery]))
    nearest = np.sort(both[0, 1:])[: len(hits["distances"])]
    np.testing.assert_allclose(hits["distances"], nearest, atol=2e-3)

    run_command("abe_tf.index", f"--index={index}", f"--model_dir={models}", photos)
    asked = ("abe_tf.search", f"--index={index}", "--json", paths[0])
    answered = run_command(*asked, f"--html={tmp_path / 'page.html'}")
    # Hidden layers leave nothing that belongs to a place.
    assert ("without learners 1, 2" in answered.stderr) == (kind == "hdc")
    hits = json.loads(answered.stdout)
    everything = sorted(map(str, photos.glob("*/*")))
    distances = ensemble_distances(kind, abe_tf.load(str(workdir)).embed(everything))
    query = everything.index(paths[0])
    nearest = np.sort(distances[query])[: len(hits)]
    np.testing.assert_allclose([hit["distance"] for hit in hits], nearest, atol=2e-3)
    copies = run_command("abe_tf.duplicates", f"--index={index}", "--max_distance=1e-3")
    assert "0 sets" in copies.stdout
    shards, handed = tmp_path / "shards" / "photos", tmp_path / "handed.npz"
    for to, at in (("parquet", shards), ("npz", handed)):
        run_command("abe_tf.hand_over", f"--index={index}", f"--to={to}", f"--at={at}")
    with np.load(handed) as found:
        assert found["learner_embeddings"].shape == (40, 3, max(DIMS[kind]))
    from abe_tf.retrieval.shards import Shards

    _, embeddings = Shards(str(shards)).read(0)
    assert embeddings.shape == (40, 3, max(DIMS[kind]))


def recalls(said):
    rows = ("ensemble ", "concatenated ", "learner ")
    return [line for line in said.splitlines() if line.startswith(rows)]


def assert_exported_is_the_network(kind, models, network):
    """All its weights, and no regressors; rho as learnt."""
    (card,) = models.rglob("model_card.json")
    told = json.loads(card.read_text())
    assert told["dims"] == list(DIMS[kind])
    mean = np.mean(WEIGHTS[kind])
    np.testing.assert_allclose(told["lengths"], np.array(WEIGHTS[kind]) / mean)
    assert "weighted" in told["distances"]
    (file,) = models.rglob("variables.index")
    held = tf.train.list_variables(str(file).removesuffix(".index"))
    shapes = collections.Counter(tuple(shape) for _, shape in held if shape)
    weights = collections.Counter(tuple(w.shape) for w in network.get_weights())
    assert not weights - shapes
    if kind == "a_bier":
        rhos = [w for w in network.weights if "rho" in w.name]
        assert min(float(tf.reduce_min(rho)) for rho in rhos) < 0.9
        # As many as a regressor has inside.
        assert not any(512 in shape for shape in shapes)


def encoded(path):
    with open(path, "rb") as file:
        return base64.b64encode(file.read()).decode()


def ensemble_distances(kind, learners):
    """The paper's: sum of w D over the sum of w, D between vectors of unit length."""
    unit = learners / np.linalg.norm(learners, axis=-1, keepdims=True)
    each = np.linalg.norm(unit[:, None].astype(np.float64) - unit, axis=-1)
    return each @ WEIGHTS[kind] / np.sum(WEIGHTS[kind])


def assert_ranked_as_published(kind, learners, row):
    """By the exported row as by vectors of unit length times the weights."""
    unit = learners / np.linalg.norm(learners, axis=-1, keepdims=True)
    whole = unit * np.array(WEIGHTS[kind])[:, None]
    flat = whole.reshape(len(whole), -1).astype(np.float64)
    published = np.linalg.norm(flat[:, None] - flat, axis=-1)
    plain = np.linalg.norm(row[:, None].astype(np.float64) - row, axis=-1)
    mean = np.mean(WEIGHTS[kind])
    np.testing.assert_allclose(plain * mean, published, rtol=1e-4, atol=1e-5)
    for ours, theirs in zip(plain, published, strict=True):
        assert np.argsort(ours).tolist() == np.argsort(theirs).tolist()
