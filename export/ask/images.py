"""The images that a server is asked about."""

from __future__ import annotations

import os
from collections.abc import Sequence

from abe_tf.data import photos
from abe_tf.errors import InputError


def find_images(paths: Sequence[str]) -> list[str]:
    """Files as given, and all photos below folders.

    What is left out in folders is named and counted on standard error.

    Raises:
      InputError: A path does not exist, a folder cannot be read, or there is no image.
    """
    images: list[str] = []
    for path in paths:
        if os.path.isdir(path):
            try:
                below = photos.find(path)
            except OSError as error:
                raise InputError(
                    f"Folders must be readable. Received: {error.filename!r}: "
                    f"{error.strerror}."
                ) from error
            photos.tell_left_out(below.left_out, path)
            images += below.paths
        elif os.path.exists(path):
            images.append(path)
        else:
            raise InputError(
                f"Images must exist. Received: {path!r}. Correct the path."
            )
    if not images:
        raise InputError(
            f"There must be an image. Received: {', '.join(paths) or 'no path'}."
        )
    return images
