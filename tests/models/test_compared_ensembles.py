import numpy as np
import pytest
import tensorflow as tf

from abe_tf.config.model import ModelConfig
from abe_tf.errors import InputError
from abe_tf.models import ensemble
from abe_tf.models.build import build, encoder
from abe_tf.models.cascade import usual_taps
from abe_tf.models.cost import cost
from abe_tf.models.layers import SeededDropout
from abe_tf.models.lower_precision import in_bfloat16
from abe_tf.models.places import PlacesNetwork

SIZE = 32


def network(name, dim=48, **flags):
    tf.keras.utils.set_random_seed(1)
    flags = {"ensemble": name, "num_learners": 3, "embedding_dim": dim, **flags}
    return build(ModelConfig(**flags), SIZE)


def pixels(count=4):
    drawn = np.random.default_rng(0).integers(0, 256, [count, SIZE, SIZE, 3])
    return drawn.astype(np.uint8)


@pytest.mark.parametrize(
    ("name", "dims", "weights"),
    [("hdc", (16, 16, 16), (1, 2, 3)), ("bier", (9, 15, 24), (9, 15, 24))],
)
def test_learners_have_the_lengths_of_their_weights(name, dims, weights):
    net = network(name)
    layout = ensemble.layout_of(net)
    assert layout.dims == dims
    learners = net(pixels()).numpy()
    assert learners.shape == (4, 3, max(dims))
    lengths = np.linalg.norm(learners, axis=-1)
    np.testing.assert_allclose(
        lengths, np.tile(np.array(weights) / np.mean(weights), [4, 1]), rtol=1e-5
    )
    for learner, dim in enumerate(dims):
        assert not learners[:, learner, dim:].any()
    # What the losses see.
    unit = ensemble.before_lengths(net, unit=True)(pixels())
    np.testing.assert_allclose(np.linalg.norm(unit, axis=-1), 1, rtol=1e-5)
    free = ensemble.before_lengths(net, unit=False)(pixels())
    np.testing.assert_allclose(
        tf.math.l2_normalize(free, -1), unit, rtol=1e-5, atol=1e-6
    )


def test_weights_may_be_given_for_every_ensemble():
    net = network("heads", num_learners=2, learner_weights=(1.0, 3.0))
    lengths = np.linalg.norm(net(pixels()), axis=-1)
    np.testing.assert_allclose(lengths, np.tile([0.5, 1.5], [4, 1]), rtol=1e-5)
    assert ensemble.before_lengths(network("abe"), unit=True).name == "abe_3"


@pytest.mark.parametrize("learners", [2, 3, 4, 8, 13, 24])
def test_sizes_of_bier_grow(learners):
    model = ModelConfig(ensemble="bier", num_learners=learners, embedding_dim=512)
    dims = model.layout.dims
    assert sum(dims) == 512 and min(dims) > 0
    shares = np.arange(1, learners + 1) / (learners * (learners + 1) / 2)
    off = 32 if learners == 3 else 1
    assert np.abs(np.array(dims) - 512 * shares).max() <= off
    assert dims == (96, 160, 256) if learners == 3 else dims == tuple(sorted(dims))


def test_bier_has_one_network_and_a_linear_layer_a_learner():
    net, plain = network("bier"), network("none", num_learners=1)
    # Equal in sum: 48 outputs of the same features.
    assert net.count_params() == plain.count_params()
    assert cost(net).multiply_adds == cost(plain).multiply_adds


def test_hdc_counts_one_network_and_its_towers():
    net, plain = network("hdc"), network("none", num_learners=1, dim=16)
    towers = 0
    for tap in ("inception_3a", "inception_4a"):
        height, width, channels = encoder(ModelConfig(), SIZE, "none").shape_at(tap)
        places = ((height - 5) // 3 + 1) * ((width - 5) // 3 + 1)
        towers += (channels + 1) * 128 + (places * 128 + 1) * 1024 + 1025 * 16
    assert net.count_params() == plain.count_params() + towers


@pytest.mark.parametrize(
    ("name", "size", "taps"),
    [
        ("googlenet", 64, ("inception_4a", "inception_4d")),
        ("inception_bn", 64, ("inception_4a", "inception_4d")),
        ("mobilenet", 32, ("conv_pw_4_relu", "conv_pw_9_relu")),
        ("inception_small", 32, ("inception_3a", "inception_4a")),
    ],
)
def test_taps_are_the_papers_or_at_thirds_of_the_way(name, size, taps):
    backbone = encoder(ModelConfig(encoder=name), size, "none")
    assert usual_taps(backbone, 3) == taps


def test_every_number_of_learners_has_taps_in_order():
    backbone = encoder(ModelConfig(), SIZE, "none")
    blocks = len(backbone.places) + 1
    for learners in range(2, blocks + 1):
        taps = usual_taps(backbone, learners)
        assert len(set(taps)) == learners - 1
        assert [p for p in backbone.places if p in taps] == list(taps)
    with pytest.raises(InputError, match=f"at most the number of blocks.*{blocks + 1}"):
        usual_taps(backbone, blocks + 1)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"ensemble": "hdc", "num_learners": 1}, "2 or more. Received: 1"),
        ({"ensemble": "bier", "learner_dims": (8, 8, 8)}, "Received: 8,8,8 of 48"),
        ({"ensemble": "bier", "embedding_dim": 3}, "a number for each learner of bier"),
        ({"learner_weights": (1.0, 1.0, 101.0)}, "not count more than 100 times"),
        ({"ensemble": "bier", "learner_dims": (8, 40)}, "must be 3 with"),
        ({"ensemble": "hdc", "learner_dims": (8, 8, 32)}, "goes with --ensemble=bier"),
        ({"ensemble": "abe", "hdc_taps": ("a", "b")}, "goes with --ensemble=hdc"),
        ({"ensemble": "hdc", "hdc_taps": ("inception_3a",)}, "must be 2 with"),
        ({"learner_weights": (1.0, 0.0, 1.0)}, "must be at least"),
        ({"ensemble": "hdc", "embedding_dim": 50}, "multiple of --num_learners"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(flags, says):
    with pytest.raises(InputError, match=says):
        ModelConfig(**{"num_learners": 3, "embedding_dim": 48, **flags})


def test_taps_must_be_places_in_order():
    with pytest.raises(InputError, match="hdc_taps must be a layer where a block ends"):
        network("hdc", hdc_taps=("inception_3a", "inception_4a_3x3"))
    with pytest.raises(InputError, match="in the order of the network"):
        network("hdc", hdc_taps=("inception_4a", "inception_3a"))
    net = network("hdc", hdc_taps=("pool2", "inception_4a"))
    assert net(pixels()).shape == (4, 3, 16)


@pytest.mark.parametrize("name", ["hdc", "bier", "heads", "abe"])
@pytest.mark.parametrize("weights", [(), (1.0, 2.0, 5.0)])
def test_parts_and_bias_are_the_learner_embeddings(name, weights):
    net = network(name, learner_weights=weights)
    parts, bias = PlacesNetwork(net)(tf.constant(pixels()))
    learners = net(pixels())
    whole = tf.reduce_sum(parts, [2, 3]) + bias
    np.testing.assert_allclose(whole, learners, atol=2e-6)
    # Hidden layers leave nothing that belongs to a place.
    split = [bool(one) for one in np.any(parts.numpy(), (0, 2, 3, 4))]
    assert split == ([False, False, True] if name == "hdc" else [True] * 3)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", ["hdc", "bier", "abe"])
def test_lengths_are_exact_in_lower_precision(name, precision):
    net = network(name, precision=precision, learner_weights=(1.0, 2.0, 3.0))
    learners = net(pixels())
    assert learners.dtype == tf.float32
    lengths = np.linalg.norm(learners, axis=-1)
    np.testing.assert_allclose(lengths, np.tile([0.5, 1, 1.5], [4, 1]), rtol=1e-5)


@pytest.mark.parametrize("name", ["hdc", "bier"])
def test_in_bfloat16_they_are_nearly_the_same(name):
    net = network(name)
    exact, coarse = net(pixels()).numpy(), in_bfloat16(net)(pixels()).numpy()
    assert np.abs(exact - coarse).max() < 0.05
    kinds = {
        layer.compute_dtype
        for layer in in_bfloat16(net).submodules
        if isinstance(layer, tf.keras.layers.Conv2D)
    }
    assert kinds == {"float32", "bfloat16"}


def test_dropout_draws_from_what_it_is_told():
    layer = SeededDropout(0.7, 1)
    x = tf.ones([200, 50])
    np.testing.assert_array_equal(layer(x, training=True), x)
    step = tf.Variable(0, dtype=tf.int64)
    layer.seed = lambda: tf.stack([tf.constant(5, tf.int64), step])
    np.testing.assert_array_equal(layer(x, training=False), x)
    first, again = layer(x, training=True), layer(x, training=True)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_allclose(np.unique(first), [0, 1 / 0.3], rtol=1e-6)
    assert np.mean(first == 0) == pytest.approx(0.7, abs=0.02)
    step.assign_add(1)
    assert np.mean(layer(x, training=True).numpy() != first.numpy()) > 0.3
    other = SeededDropout(0.7, 2)
    other.seed = layer.seed
    step.assign(0)
    assert np.mean(other(x, training=True).numpy() != first.numpy()) > 0.3
