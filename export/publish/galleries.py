"""The images that the signature `search` looks among."""

from __future__ import annotations

import os

from abe_tf.data import photos
from abe_tf.data.unreadable import UnreadableImageError
from abe_tf.errors import InputError
from abe_tf.retrieval import archive
from abe_tf.runs.trained import TrainedModel
from export.publish.signatures import SearchGallery


def load(path: str, model: TrainedModel) -> SearchGallery:
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
    return SearchGallery(side.learner_embeddings, names, labels)


def _of_folder(path: str, model: TrainedModel) -> SearchGallery:
    listed = photos.find(path)
    photos.tell_left_out(listed.left_out, path)
    if not listed.paths:
        raise InputError(f"--gallery must hold photos. Received: {path!r} without any.")
    ids = [photos.readable(os.path.relpath(photo, path)) for photo in listed.paths]
    folders = [one.partition(os.sep)[0] if os.sep in one else "" for one in ids]
    names = photos.Names("folders of --gallery")
    labels = [names(one) for one in folders]
    names.tell()
    try:
        embeddings = model.embed(listed.paths)
    except UnreadableImageError as error:
        advice = f"leave it out of --gallery={path}"
        raise UnreadableImageError(error.bad, advice) from None
    return SearchGallery(embeddings, ids, labels)
