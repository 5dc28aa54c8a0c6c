"""What a session feeds a trainer, before the first step."""

import numpy as np
import pytest

from abe_tf.config.evaluation import EvaluationConfig
from abe_tf.config.model import ModelConfig
from abe_tf.config.training import SessionConfig, TrainingConfig
from abe_tf.errors import InputError
from abe_tf.runs.flags import RunFlags
from abe_tf.runs.folder import RunFolder
from abe_tf.session.flags import SessionFlags
from abe_tf.session.session import Session
from tests.data.test_domains import config, places

SIZE = 32


def test_a_step_with_the_meta_update_has_two_batches(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "photos"
    folder.mkdir()
    run = RunFolder(str(tmp_path / "run"))
    flags = RunFlags(
        ModelConfig(num_learners=2, embedding_dim=8, normalization="batch_instance"),
        config(places(folder), image_size=SIZE, batches="domains"),
        training=TrainingConfig(meta=True, meta_classes=2, meta_images=2, steps=1),
    )
    session = Session(run, SessionFlags(flags, EvaluationConfig(), SessionConfig()))
    given = []

    def fit(batches, **_):
        given.extend(batches)
        raise InputError("seen")

    monkeypatch.setattr(session._trainer, "fit", fit)
    with pytest.raises(InputError, match="^seen$"):
        session.train()
    # One step, of two batches: drawn by two samplers, cropped from two seeds.
    (step,) = given
    train = session._splits.train
    sampled = [sampler.batch(0) for sampler in session._samplers()]
    assert len(step) == len(sampled) == 2
    for (pixels, labels), positions in zip(step, sampled, strict=True):
        assert pixels.shape == [len(positions), SIZE, SIZE, 3]
        np.testing.assert_array_equal(labels, train.labels[positions])
    # Of each of the domains two classes of two images, domains in turn.
    domains = train.domains[sampled[1]].reshape(-1, len(train.domain_names()))
    assert domains.shape == (4, 4)
    assert (domains == domains[0]).all()
    names = {str(train.names[one]) for positions in sampled for one in positions}
    assert set(session._names_of_batch(0)) == names
    with open(run.domains, encoding="utf-8") as file:
        assert file.read().splitlines() == train.domain_names()
    said = capsys.readouterr().out
    assert "number of domains 4: north, south, west, zoo" in said
