"""Looks at a data set: counts, sizes, and one batch as the network sees it.

python -m abe_tf.data --dataset=digits --show=16
python -m abe_tf.data --dataset=digits --save_images=FOLDER --split=test
"""

from __future__ import annotations

from abe_tf.config import command
from abe_tf.config.data import DataConfig
from abe_tf.config.show import ShowConfig
from abe_tf.errors import InputError


def main(data: DataConfig, show: ShowConfig) -> None:
    """Prints the counts and writes the contact sheet, or the images themselves."""
    data.check_paths()
    # From here on TensorFlow is needed, which takes seconds to import.
    import tensorflow as tf

    from abe_tf.data import contact_sheet, datasets, samplers, saving
    from abe_tf.data.pipeline import Loader, training_batches
    from abe_tf.data.pixels.preprocessing import Preprocessing
    from abe_tf.data.unreadable import unreadable_images_named
    from abe_tf.storage.files import write_atomically

    splits = datasets.load(data)
    if show.save_images:
        examples = getattr(splits, show.split)
        count = saving.save(examples, show.save_images, data.max_pixels)
        print(f"{count:,} {show.split} images: {show.save_images}")
        return
    data = datasets.fitted(data, splits)
    train = splits.train
    loader = Loader(train, Preprocessing.of(data))
    sampler = samplers.create(data, train, show.seed)
    with unreadable_images_named(loader):
        for name in ("train", "validation", "test", "gallery"):
            examples = getattr(splits, name)
            if examples is not None:
                print(contact_sheet.describe(name, examples))
        print(contact_sheet.describe_sizes(train, data.max_pixels))
        ((pixels, _),) = training_batches(loader, sampler, show.seed, 0, 1)
    if show.show > len(pixels):
        raise InputError(
            f"--show must be at most the images of a batch. Received: {show.show}, "
            f"with batches of {len(pixels)}."
        )
    sheet = contact_sheet.contact_sheet(pixels[: show.show].numpy())
    write_atomically(show.sheet, tf.io.encode_png(sheet).numpy())
    print(f"Contact sheet of the first training batch: {show.sheet}")


if __name__ == "__main__":
    command.run(main, DataConfig, ShowConfig)
