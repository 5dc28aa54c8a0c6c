"""An index, and what hands it over."""

import pytest

from abe_tf.config.bulk import HandOverConfig
from abe_tf.engines.handing_over import hand_over
from tests.helpers.synthetic import SyntheticIndex


@pytest.fixture
def index(tmp_path):
    return SyntheticIndex(tmp_path / "index", 300)


@pytest.fixture
def handed(index):
    """Hands the index over."""

    def hand(to, at, **options):
        return hand_over(
            index.folder, HandOverConfig(to=to, at=str(at), quiet=True, **options)
        )

    return hand
