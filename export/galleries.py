"""The images that the signature `search` looks among."""

from __future__ import annotations

import os

from abe_tf.config.data import IMAGE_ENDINGS
from abe_tf.errors import InputError
from abe_tf.retrieval import archive
from abe_tf.runs import TrainedModel
from export.signatures import Gallery


def load(path: str, model: TrainedModel) -> Gallery:
    """Reads embeddings that evaluation saved, or embeds a folder's photos.

    Args:
      path: An .npz file, or a folder of photos, or of one folder a class.
      model: What embeds.

    Raises:
      InputError: There is no image, or the file is of another model.
    """
    if os.path.isdir(path):
        return _of_folder(path, model)
    saved = archive.load(path)
    ours, theirs = model.fingerprint(), saved.about.get("fingerprint")
    if theirs != ours:
        raise InputError(
            "--gallery must be embedded by the model that is exported (fingerprint "
            f"{ours}). Received: {path!r} of {theirs or 'another tool'}. Save its "
            "embeddings again, or give the folder of photos."
        )
    side = saved.gallery or saved.queries
    names = [side.name(image) for image in range(len(side))]
    labels = [saved.class_names[label] for label in side.labels]
    return Gallery(side.learner_embeddings, names, labels)


def _of_folder(path: str, model: TrainedModel) -> Gallery:
    found = []
    for folder, _, names in sorted(os.walk(path)):
        found += [
            os.path.join(folder, name)
            for name in sorted(names)
            if name.lower().endswith(IMAGE_ENDINGS)
        ]
    if not found:
        raise InputError(
            f"--gallery must hold photos ({', '.join(IMAGE_ENDINGS)}). "
            f"Received: {path!r} without any."
        )
    ids = [os.path.relpath(photo, path) for photo in found]
    return Gallery(model.embed(found), ids, [os.path.dirname(one) for one in ids])
