"""Flags that say which photos, which classes, at what size, in what batches."""

from __future__ import annotations

import dataclasses
import os

from abe_tf.config.groups import Group, option
from abe_tf.errors import InputError

DATASETS = ("digits", "image_folder")
# The paper scales to 256 and crops 224.
_RESIZE_TO_CROP = 256 / 224


@dataclasses.dataclass(frozen=True)
class DataConfig(Group):
    """Data set, classes, preprocessing and batches."""

    dataset: str = option(
        "digits",
        "digits (two-digit numbers composed from scikit-learn's handwritten digits; "
        "needs no download) or image_folder (one folder a class below --data_dir)",
        choices=DATASETS,
    )
    data_dir: str | None = option(
        None,
        "image_folder: the folder of class folders; digits: where TensorFlow Datasets "
        "keeps them (its own default where none is given)",
    )
    train_classes: str | None = option(
        None,
        "classes that train, as FIRST:END of the sorted classes, END left out; the "
        "first half where none is given",
    )
    test_classes: str | None = option(
        None,
        "classes that test, as FIRST:END; all classes behind the training classes "
        "where none is given",
    )
    validation_classes: float = option(
        0.0,
        "share of the training classes held out from training, evenly spaced; "
        "evaluation during training and the choice of the best checkpoint use these",
        lower=0,
        upper=0.9,
    )
    max_images_per_class: int | None = option(
        None,
        "use the first so many images of a class; all where none is given",
        lower=1,
    )
    image_size: int = option(
        224, "side of the square that the network sees", lower=16, upper=4096
    )
    resize_size: int | None = option(
        None,
        "length that an image's longer side is scaled to before the crop; 256/224 of "
        "--image_size, as in the paper, where none is given",
        lower=16,
        upper=8192,
    )
    random_flip: bool = option(
        True, "flip training images from left to right at random"
    )
    classes_per_batch: int = option(
        16, "P, classes in a batch of P x K images", lower=2
    )
    images_per_class: int = option(4, "K, images of each class in a batch", lower=2)

    def check(self) -> None:
        """Refuses ranges that overlap and crops larger than the image."""
        if self.scaled_size < self.image_size:
            raise InputError(
                "--resize_size must be at least --image_size. "
                f"Received: {self.resize_size} and {self.image_size}."
            )
        train = parse_range("train_classes", self.train_classes)
        test = parse_range("test_classes", self.test_classes)
        if train and test and max(train[0], test[0]) < min(train[1], test[1]):
            raise InputError(
                "--train_classes and --test_classes must not share a class. "
                f"Received: {self.train_classes} and {self.test_classes}."
            )

    def check_paths(self) -> None:
        """Refuses a folder that is missing.

        Apart from `check`, because an export needs no photos.

        Raises:
          InputError: No folder was given, or it does not exist.
        """
        if self.dataset != "image_folder":
            return
        if not self.data_dir:
            raise InputError(
                "--dataset=image_folder needs --data_dir, the folder of class folders. "
                "Received: none."
            )
        if not os.path.isdir(self.data_dir):
            raise InputError(
                "--data_dir must be an existing folder with one folder a class. "
                f"Received: {self.data_dir!r}."
            )

    @property
    def scaled_size(self) -> int:
        """Length of the longer side before the crop, in pixels."""
        return self.resize_size or round(self.image_size * _RESIZE_TO_CROP)

    @property
    def batch_size(self) -> int:
        """Images in a batch, over all replicas."""
        return self.classes_per_batch * self.images_per_class


def parse_range(name: str, text: str | None) -> tuple[int, int] | None:
    """Reads `FIRST:END`.

    Raises:
      InputError: The text has another form, or the range is empty.
    """
    if text is None:
        return None
    first, colon, end = text.partition(":")
    if not (colon and first.isdigit() and end.isdigit() and int(first) < int(end)):
        raise InputError(
            f"--{name} must be FIRST:END with FIRST < END, such as 0:41. "
            f"Received: {text!r}."
        )
    return int(first), int(end)
