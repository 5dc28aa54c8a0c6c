"""Images that are shown again and again, and what a network makes of them."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from abe_tf.data.examples import Examples
from abe_tf.data.pipeline import Loader
from abe_tf.figures import masks, neighbours
from abe_tf.models.ensemble import mask_network

# Images whose masks are shown, queries, and neighbours of each.
_MASKS, QUERIES, NEIGHBOURS = 4, 6, 8
# Images of which it is counted how far masks are open.
_COUNTED = 32


def positions(examples: Examples, count: int = QUERIES) -> np.ndarray:
    """Positions of images, evenly spaced, the same at every time."""
    count = min(count, len(examples))
    return np.unique(np.linspace(0, len(examples) - 1, count).astype(int))


class Masks:
    """The attention masks of some images, drawn and counted.

    Args:
      network: The network, as it trains.
      loader: Gives the images.
    """

    def __init__(self, network: tf.keras.Model, loader: Loader) -> None:
        self._masks_of = None
        self._loader, self._pixels = loader, dict[int, np.ndarray]()
        self._strategy = network.distribute_strategy
        with self._strategy.scope():
            model = mask_network(network)
        if model is not None:
            # As a replica: averages of batch normalisation are then read where they
            # are, and not collected from all workers.
            self._masks_of = tf.function(
                lambda pixels: self._strategy.run(model, args=(pixels,)),
                # Traced once, for any number of images.
                input_signature=[
                    tf.TensorSpec([None, *model.input_shape[1:]], model.input.dtype)
                ],
                autograph=False,
            )

    def draw(self) -> dict[str, bytes]:
        """PNG files: one "channel" of each mask, and their "mean"; none without."""
        if self._masks_of is None:
            return {}
        pixels = self._pixels_of(_MASKS)
        values = self._masks(pixels)
        return {
            "channel": masks.draw_channels(pixels[0], values[0]),
            "mean": masks.draw_means(pixels, values),
        }

    def open_shares(self) -> list[float]:
        """By learner, the share of its masks' values above a half; none without."""
        if self._masks_of is None:
            return []
        pixels = self._pixels_of(_COUNTED)
        # The masks of a few images are many numbers.
        shares = [
            (self._masks(pixels[first : first + _MASKS]) > 0.5).mean((2, 3, 4))
            for first in range(0, len(pixels), _MASKS)
        ]
        return np.concatenate(shares).mean(0).tolist()

    def _pixels_of(self, count: int) -> np.ndarray:
        """The same images each time, read once."""
        if count not in self._pixels:
            chosen = positions(self._loader.examples, count)
            self._pixels[count] = self._loader.pixels(chosen)
        return self._pixels[count]

    def _masks(self, pixels: np.ndarray) -> np.ndarray:
        """`[images, learners, h, w, channels]`, float32."""
        assert self._masks_of is not None
        result = self._strategy.experimental_local_results(self._masks_of(pixels))
        return np.asarray(result[0], np.float32)


def draw_neighbours(
    queries: Loader,
    chosen: np.ndarray,
    gallery: Loader,
    nearest: np.ndarray,
) -> bytes:
    """Some queries and their nearest images.

    Args:
      queries: Gives the queries.
      chosen: Positions of those that are shown.
      gallery: Gives the nearest images.
      nearest: `[chosen, neighbours]` their positions.

    Returns:
      A PNG file.
    """
    rows = []
    for query, image, places in zip(
        chosen, queries.pixels(chosen), nearest, strict=True
    ):
        label = queries.examples.labels[query]
        right = gallery.examples.labels[places] == label
        title = queries.examples.class_names[label]
        images = list(gallery.pixels(places))
        rows.append(neighbours.QueryRow(title, image, images, [bool(r) for r in right]))
    return neighbours.draw(rows)
