"""Makes photos of several places out of photos of one.

    python -m benchmarks.elsewhere --data_dir=GROCERY --out=elsewhere

Reads one folder a class, and writes `domain/class/photo.jpg`, as
`--domains=folder` reads it. Photo number n of a class is taken in place n modulo the
number of places that train, and every photo in the place of `--elsewhere` too, which is
for testing. What a place does to a photo is drawn from its name alone:

    shop      nothing
    evening   warm and dim light, darker towards the corners, noise of the sensor
    neon      greenish light with a dull contrast, and a soft lens
    window    harsh light from one side, burnt out where it falls
    wide      a wide lens: straight lines bend, colours part towards the edge
    leaflet   printed: few inks in dots on yellowish paper, photographed a little askew
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable

import numpy as np
from absl import app, flags
from PIL import Image, ImageFilter, ImageOps

from abe_tf.storage.files import write_atomically

_DATA = flags.DEFINE_string("data_dir", None, "one folder a class", required=True)
_OUT = flags.DEFINE_string("out", None, "where the places go", required=True)
_ELSEWHERE = flags.DEFINE_string("elsewhere", "leaflet", "the place that tests")
_SIZE = flags.DEFINE_integer("size", 192, "longer side of what is written")
_QUALITY = 90


def shop(photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As it is."""
    return photo


def evening(photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A lamp, and a sensor that has too little light."""
    tint = np.array([1.0, 0.78, 0.5]) * rng.uniform(0.5, 0.65)
    noise = rng.normal(0, 0.04, photo.shape)
    return photo**1.15 * tint * (1 - 0.5 * _radius(photo) ** 2) + noise


def neon(photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Tubes on the ceiling."""
    soft = _blurred(photo, rng.uniform(1.0, 1.8))
    return (0.25 + 0.6 * soft) * np.array([0.88, 1.05, 0.92])


def window(photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The sun, from one side."""
    y, x = _places(photo)
    angle = rng.uniform(0, 2 * np.pi)
    light = 1.25 + 0.75 * (x * np.cos(angle) + y * np.sin(angle))
    return ((photo - 0.5) * 1.4 + 0.5) * light[..., np.newaxis]


def wide(photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A lens that bends."""
    bend = rng.uniform(0.25, 0.4)
    channels = [
        _bent(photo[..., channel], bend + parting)
        for channel, parting in enumerate((-0.03, 0.0, 0.03))
    ]
    return np.stack(channels, -1) * (1 - 0.3 * _radius(photo) ** 2)


def leaflet(photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Dots of ink on paper."""
    y, x = np.mgrid[: photo.shape[0], : photo.shape[1]]
    paper, printed = np.array([0.96, 0.92, 0.8]), np.empty_like(photo)
    for channel, angle in enumerate((0.26, 1.31, 0.0)):
        turned = np.cos(angle) * x + np.sin(angle) * y
        across = np.cos(angle) * y - np.sin(angle) * x
        dots = 0.5 + 0.25 * (np.cos(1.6 * turned) + np.cos(1.6 * across))
        printed[..., channel] = photo[..., channel] > 0.15 + 0.7 * dots
    printed = _blurred(0.15 + 0.75 * printed, 0.8) * paper
    image = _image(printed).rotate(
        rng.uniform(-6, 6), Image.Resampling.BILINEAR, fillcolor=(200, 192, 170)
    )
    return np.asarray(image, np.float64) / 255


PLACES: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    place.__name__: place for place in (shop, evening, neon, window, wide, leaflet)
}


def _places(photo: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Height and width of each place, -1 to 1 from edge to edge."""
    return np.meshgrid(*(np.linspace(-1, 1, n) for n in photo.shape[:2]), indexing="ij")


def _radius(photo: np.ndarray) -> np.ndarray:
    y, x = _places(photo)
    return np.hypot(x, y)[..., np.newaxis] / np.sqrt(2)


def _blurred(photo: np.ndarray, radius: float) -> np.ndarray:
    blurred = _image(photo).filter(ImageFilter.GaussianBlur(radius))
    return np.asarray(blurred, np.float64) / 255


def _bent(channel: np.ndarray, bend: float) -> np.ndarray:
    """Barrel distortion, which leaves the corners where they are."""
    y, x = _places(channel)
    scale = (1 + bend * (x**2 + y**2)) / (1 + 2 * bend)
    rows, columns = (
        np.clip(np.rint((v * scale + 1) / 2 * (n - 1)), 0, n - 1).astype(int)
        for v, n in zip((y, x), channel.shape, strict=True)
    )
    return channel[rows, columns]


def _image(values: np.ndarray) -> Image.Image:
    return Image.fromarray(np.rint(255 * values.clip(0, 1)).astype(np.uint8))


def taken(path: str, place: str) -> bytes:
    """A photo as it would have been taken in a place, as JPEG."""
    with Image.open(path) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
    upright.thumbnail((_SIZE.value, _SIZE.value), Image.Resampling.LANCZOS)
    named = f"{os.path.basename(path)} {place}".encode()
    seed = int.from_bytes(hashlib.sha256(named).digest()[:8], "big")
    photo = np.asarray(upright, np.float64) / 255
    written = io.BytesIO()
    changed = _image(PLACES[place](photo, np.random.default_rng(seed)))
    changed.save(written, "JPEG", quality=_QUALITY)
    return written.getvalue()


def main(_: list[str]) -> None:
    """Writes every place."""
    if _ELSEWHERE.value not in PLACES:
        raise app.UsageError(
            f"--elsewhere must be one of {', '.join(PLACES)}. "
            f"Received: {_ELSEWHERE.value}."
        )
    train = [place for place in PLACES if place != _ELSEWHERE.value]
    counts = dict.fromkeys(PLACES, 0)
    for name in sorted(os.listdir(_DATA.value)):
        folder = os.path.join(_DATA.value, name)
        for number, photo in enumerate(sorted(os.listdir(folder))):
            for place in (train[number % len(train)], _ELSEWHERE.value):
                out = os.path.join(_OUT.value, place, name)
                os.makedirs(out, exist_ok=True)
                to = os.path.join(out, f"{os.path.splitext(photo)[0]}.jpg")
                write_atomically(to, taken(os.path.join(folder, photo), place))
                counts[place] += 1
    for place, count in counts.items():
        print(f"{place:10}{count:8,} photos")


if __name__ == "__main__":
    app.run(main)
