import numpy as np
import pytest

from abe_tf.config.model import ModelConfig
from abe_tf.errors import InputError
from abe_tf.models.build import build, encoder
from abe_tf.models.weights.pretrained import copy_in_order
from abe_tf.runs.flags import RunFlags
from abe_tf.runs.same_network import check_same_network


def model(**flags):
    return ModelConfig(
        **{"ensemble": "bier", "num_learners": 3, "embedding_dim": 512, **flags}
    )


@pytest.fixture
def run(tmp_path):
    def write(theirs):
        (tmp_path / "flags.cfg").write_text(RunFlags(model=theirs).text())
        return str(tmp_path)

    return write


def test_what_is_spelt_out_is_the_same(run):
    check_same_network(model(learner_dims=(96, 160, 256)), run(model()))


@pytest.mark.parametrize(
    ("ours", "theirs", "says"),
    [
        ({"learner_dims": (100, 156, 256)}, {}, "there 96,160,256"),
        ({"ensemble": "heads", "embedding_dim": 510}, {}, "--ensemble=heads"),
        (
            {"ensemble": "hdc", "embedding_dim": 384, "hdc_taps": ("a", "b")},
            {"ensemble": "hdc", "embedding_dim": 384, "hdc_taps": ("a", "c")},
            "--hdc_taps=a,b .there a,c",
        ),
    ],
)
def test_another_network_is_refused_by_name(run, ours, theirs, says):
    with pytest.raises(InputError, match=says):
        check_same_network(model(**ours), run(model(**theirs)))


def test_weights_of_other_layers_are_not_copied():
    """Taps that one run leaves to the encoder are known once it is built."""
    usual = model(ensemble="hdc", embedding_dim=24)
    (*_, last) = encoder(usual, 32, "none").places
    networks = [build(usual, 32), build(usual, 32)]
    first = encoder(usual, 32, "none").places[0]
    networks.append(
        build(model(ensemble="hdc", embedding_dim=24, hdc_taps=(first, last)), 32)
    )
    copy_in_order(*networks[:2])
    for one, other in zip(*(n.get_weights() for n in networks[:2]), strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(ValueError, match="differ"):
        copy_in_order(networks[0], networks[2])
