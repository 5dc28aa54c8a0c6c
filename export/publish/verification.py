"""Lets an export answer, in a process of its own, and compares with evaluation."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile

import numpy as np

from abe_tf.errors import InputError
from export.publish.photos import ReferencePhotos
from export.publish.signatures import SearchGallery

BATCHES = (1, 3, 32)
MEASURED = (1, 2, 4, 8, 16, 32)
# Of one number of an embedding in float32; of the cosine to float32 in bfloat16.
_TOLERANCE, _COSINE = 1e-4, 0.999
# Of distances, which near 0 are roots of rounding errors; of masks and distances in
# bfloat16.
_OF_DISTANCES, _COARSE = 2e-3, 0.05
# Outputs that follow from the distances of the same signature.
_FOLLOW = ("neighbors", "labels")


def verify(
    path: str,
    photos: ReferencePhotos,
    warmup: list[bytes],
    gallery: SearchGallery | None,
    precision: str,
) -> dict[int, float]:
    """Lets every signature answer for real photos, and compares with evaluation.

    Args:
      path: The version's folder.
      photos: What it is asked, and what evaluation makes of it in float32.
      warmup: Image files of the warmup records, with which speed is measured.
      gallery: Gallery of the signature `search`.
      precision: What the export computes in.

    Returns:
      Images a second of `serving_default` by batch size.

    Raises:
      InputError: It does not load, holds a forbidden operation, or answers otherwise.
    """
    with tempfile.TemporaryDirectory() as folder:
        answers = os.path.join(folder, "answers.npz")
        np.save(os.path.join(folder, "pixels.npy"), photos.pixels)
        flags = [
            f"--photos={_write(folder, 'photos', photos.encoded)}",
            f"--warmup={_write(folder, 'warmup', warmup)}",
            f"--pixels={os.path.join(folder, 'pixels.npy')}",
            f"--answers={answers}",
            f"--batches={','.join(map(str, BATCHES))}",
            f"--measure={','.join(map(str, MEASURED))}",
        ]
        said = _check(path, *flags)
        with np.load(answers) as answered:
            for name in answered.files:
                _compare(name, answered[name], photos, gallery, precision == "float32")
    return {int(size): rate for size, rate in said["rates"].items()}


def _check(path: str, *flags: str) -> dict:
    result = subprocess.run(
        [sys.executable, "-m", "export.runtime.check", f"--model={path}", *flags],
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        lines = result.stderr.strip().splitlines() or ["no message"]
        raise InputError(
            "An export must answer through TensorFlow's C API before it is published. "
            f"Received: status {result.returncode}: {lines[-1]}"
        )
    return json.loads(result.stdout.splitlines()[-1])


def _write(folder: str, name: str, encoded: list[bytes]) -> str:
    photos = os.path.join(folder, name)
    os.mkdir(photos)
    for number, image in enumerate(encoded):
        with open(os.path.join(photos, f"{number:06}"), "wb") as file:
            file.write(image)
    return photos


def _compare(
    name: str,
    answer: np.ndarray,
    photos: ReferencePhotos,
    gallery: SearchGallery | None,
    exact: bool,
) -> None:
    _, output, size = name.split("/")
    shown = np.arange(int(size)) % len(photos.learner_embeddings)
    wanted = photos.learner_embeddings[shown]
    if output in ("embedding", "learner_embeddings"):
        given = answer
        if output == "embedding":
            given = photos.layout.apart(answer)
        if exact:
            _close(name, np.abs(given - wanted).max(), _TOLERANCE)
            return
        _similar(name, given, wanted)
    elif output == "masks" and photos.masks is not None:
        tolerance = _TOLERANCE if exact else _COARSE
        _close(name, np.abs(answer - photos.masks[shown]).max(), tolerance)
    elif output == "parts" and not exact:
        _similar(name, answer.sum((2, 3)) + photos.bias[shown], wanted)
        # And place by place, all of an image's at once; learners with hidden layers
        # have none.
        parts = photos.parts[shown]
        flat = (*answer.shape[:2], -1)
        split = np.any(photos.parts, (0, 2, 3, 4))
        _close(name, float(np.abs(answer[:, ~split]).max(initial=0)), 0.0)
        given, theirs = (x.reshape(flat)[:, split] for x in (answer, parts))
        _similar(name, given, theirs)
    elif output in ("parts", "bias"):
        tolerance = _TOLERANCE if exact else _COARSE
        _close(name, np.abs(answer - getattr(photos, output)[shown]).max(), tolerance)
    elif output == "distances" and gallery is not None:
        nearest = np.sort(_distances(wanted, gallery))[:, : answer.shape[1]]
        tolerance = _OF_DISTANCES if exact else _COARSE
        _close(name, np.abs(answer - nearest).max(), tolerance)
    elif output not in _FOLLOW:
        # Nothing is published that was compared with nothing.
        raise NotImplementedError(f"{name} is compared with nothing")


def _distances(queries: np.ndarray, gallery: SearchGallery) -> np.ndarray:
    """The paper's ensemble distance, in float64; `[queries, images]`."""
    theirs = gallery.learner_embeddings
    squares = -2 * np.einsum("qmd,imd->mqi", queries, theirs, dtype=np.float64)
    squares += np.square(queries.astype(np.float64)).sum(-1).T[:, :, np.newaxis]
    squares += np.square(theirs.astype(np.float64)).sum(-1).T[:, np.newaxis]
    return np.sqrt(np.maximum(squares, 0)).mean(0)


def _similar(name: str, given: np.ndarray, wanted: np.ndarray) -> None:
    lengths = np.linalg.norm(given, axis=-1) * np.linalg.norm(wanted, axis=-1)
    worst = float(((given * wanted).sum(-1) / lengths).min())
    if not worst >= _COSINE:
        raise _different(name, f"have a cosine of at least {_COSINE} to", worst)


def _close(name: str, worst: float, tolerance: float) -> None:
    if not worst <= tolerance:
        raise _different(name, f"differ by at most {tolerance} from", float(worst))


def _different(name: str, rule: str, worst: float) -> InputError:
    signature, output, size = name.split("/")
    return InputError(
        f"The export's {output} must {rule} evaluation's. Received: {worst} by "
        f"{signature} at batch {size}."
    )
