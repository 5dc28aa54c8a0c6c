"""Makes a data set on disk, where another process may be making the same one."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow_datasets as tfds


def prepare(
    make_builder: Callable[[], tfds.core.DatasetBuilder],
    settings: tfds.download.DownloadConfig | None = None,
) -> tfds.core.DatasetBuilder:
    """A builder whose data set is on disk.

    TensorFlow Datasets writes beside and renames: of two processes that begin together
    the slower one finds the folder taken. What lies there then is whole, and is used.

    Args:
      make_builder: Gives the builder; a second one reads what the other process made.
      settings: Where archives lie; `None` for a data set without.

    Raises:
      Exception: What the data set cannot be made for, where no other process made it.
    """
    builder = make_builder()
    try:
        builder.download_and_prepare(download_config=settings)
    except Exception:
        made_elsewhere = make_builder()
        if not made_elsewhere.is_prepared():
            raise
        return made_elsewhere
    return builder
