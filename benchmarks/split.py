"""Do the parts of a similarity add up to it, for every network?

    python -m benchmarks.split --photos=PHOTOS --mobilenet_weights=FILE

Encoders of `make test` with ABE-4, 4 heads and one head on some photos of a folder, two
by two: the learners' cosines beside the sum of what each place has in them and what the
bias adds. Weights are random, but MobileNet's, whose random ones give nothing to split.
Told is the largest difference of all pairs and learners, and what the cosines are like.
"""

from __future__ import annotations

import numpy as np
from absl import app, flags

from abe_tf.config.data import DataConfig
from abe_tf.config.model import ModelConfig
from abe_tf.data import photos
from abe_tf.data.pixels.preprocessing import Preprocessing
from abe_tf.models.build import build
from abe_tf.models.places import PlacesNetwork
from abe_tf.retrieval.embedding import FileEmbedder, FilePlaces
from abe_tf.retrieval.explanation import explain

_PHOTOS = flags.DEFINE_string("photos", None, "A folder of photos.", required=True)
_WEIGHTS = flags.DEFINE_string(
    "mobilenet_weights", None, "MobileNet's, of alpha 0.75.", required=True
)
_COUNT = flags.DEFINE_integer("count", 12, "Photos, evenly spaced.", lower_bound=2)
_SIZE = flags.DEFINE_integer("image_size", 128, "Side of the square.")
_ENCODERS = ("googlenet", "inception_bn", "inception_small", "mobilenet")


def main(_: list[str]) -> None:
    """Prints a line for each network."""
    paths = photos.find(_PHOTOS.value).paths
    paths = paths[:: max(1, len(paths) // _COUNT.value)][: _COUNT.value]
    data = DataConfig(image_size=_SIZE.value)
    preprocessing = Preprocessing.of(data)
    for encoder in _ENCODERS:
        for ensemble, learners in (("abe", 4), ("heads", 4), ("none", 1)):
            weights = _WEIGHTS.value if encoder == "mobilenet" else "none"
            config = ModelConfig(
                encoder=encoder,
                encoder_weights=weights,
                mobilenet_alpha=0.75 if encoder == "mobilenet" else 1.0,
                ensemble=ensemble,
                num_learners=learners,
                embedding_dim=512,
            )
            network = build(config, data.image_size)
            embeddings = FileEmbedder(network, preprocessing)(paths, 4)
            places = FilePlaces(PlacesNetwork(network), preprocessing)
            split = [places(path) for path in paths]
            worst, seen = 0.0, []
            for one in range(len(paths)):
                for other in range(one):
                    why = explain(split[one], split[other])
                    cosines = (embeddings[one] * embeddings[other]).sum(-1)
                    sums = why.sides[0].maps.sum((1, 2)) + why.sides[0].bias
                    worst = max(worst, np.abs(sums - cosines).max())
                    seen.append(cosines)
            print(
                f"{encoder}, {ensemble}: {len(seen)} pairs, largest difference "
                f"{worst:.1e}; cosines {np.min(seen):.3f} to {np.max(seen):.3f}",
                flush=True,
            )


if __name__ == "__main__":
    app.run(main)
