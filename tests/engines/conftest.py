"""An index, and what hands it over."""

import pytest

from abe_tf.config.bulk import HandOverConfig
from abe_tf.engines.handing_over import hand_over
from abe_tf.layout import Layout
from tests.helpers.synthetic import SyntheticIndex

# Sizes and lengths as those of BIER.
UNEVEN = Layout.weighted([3, 5, 8], [3, 5, 8])
# For tests of an index of equal and one of unequal learners.
both_layouts = pytest.mark.parametrize(
    "index", [None, UNEVEN], indirect=True, ids=["equal", "uneven"]
)


@pytest.fixture
def index(tmp_path, request):
    layout = getattr(request, "param", None)
    return SyntheticIndex(tmp_path / "index", 300, layout=layout)


@pytest.fixture
def handed(index):
    """Hands the index over."""

    def hand(to, at, **options):
        return hand_over(
            index.folder, HandOverConfig(to=to, at=str(at), quiet=True, **options)
        )

    return hand
