"""Flags that say which photos, which classes, at what size, in what batches."""

from __future__ import annotations

import dataclasses
import os

from abe_tf.config.benchmarks import BENCHMARKS, RECALL_AT, STRETCHED, is_prepared
from abe_tf.config.domains import DomainsConfig
from abe_tf.config.groups import option
from abe_tf.config.sizes import ImageSize, as_size, as_text, sides
from abe_tf.errors import InputError

# The paper scales to 256 and crops 224.
_RESIZE_TO_CROP = 256 / 224
# Those whose photos lie in --data_dir as they are.
_FOLDERS = {
    "image_folder": "one folder a class",
    "grocery_store": "the repository marcusklasson/GroceryStoreDataset",
}
DATASETS = ("digits", *_FOLDERS, *BENCHMARKS)
ON_BAD_IMAGE = ("error", "skip")
# Phones take 108 million; decoded, those are a third of a gigabyte, and several times
# that while something is laid over white.
MAX_PIXELS = 120_000_000
CHECKS = ("header", "decode")


@dataclasses.dataclass(frozen=True)
class DataConfig(DomainsConfig):
    """Data set, classes, preprocessing and batches."""

    dataset: str = option(
        "digits",
        "digits (two-digit numbers composed from scikit-learn's handwritten digits; "
        "needs no download), image_folder (one folder a class below --data_dir, or "
        "--image_list), grocery_store (photos of 81 products, as the repository "
        "marcusklasson/GroceryStoreDataset has them), or a public benchmark, made once "
        "from its archives",
        choices=DATASETS,
    )
    data_dir: str | None = option(
        None,
        "image_folder: the folder of class folders, each a class with all photos in it "
        "and in the folders below it, to the bottom (folders train and test of the "
        "same classes are merged), or what the paths of --image_list are relative "
        "to; grocery_store: the clone of its repository; all others: where TensorFlow "
        "Datasets keeps them (its own default where none is given)",
    )
    image_list: str | None = option(
        None,
        "image_folder: a CSV file with the columns path, label and optionally split "
        "(train, test, query or gallery), domain, camera, and x1, y1, x2, y2, instead "
        "of folders",
    )
    manual_dir: str | None = option(
        None, "benchmarks: the folder with the archives, packed or unpacked"
    )
    download: bool = option(
        False, "benchmarks: let TensorFlow Datasets download what it can"
    )
    cropped: bool = option(
        False,
        "use only the bounding box of each image: stretched to the square (cars196), "
        "or padded (all others)",
    )
    on_bad_image: str = option(
        "error",
        "what to do with images that cannot be read: stop at the first (error), or "
        "decode all before the first step and leave those out (skip)",
        choices=ON_BAD_IMAGE,
    )
    check: str = option(
        "header",
        "how all images are checked before the first step: their beginnings and ends "
        "are looked at and what looks broken is decoded (header), or all are decoded",
        choices=CHECKS,
    )
    cache: str = option(
        "none",
        "what is kept in memory: none, the files (encoded), or the scaled and padded "
        "pixels (decoded)",
        choices=("none", "encoded", "decoded"),
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
    cache_dir: str | None = option(
        None,
        "where WebP, TIFF, AVIF, HEIC and old BMP files are kept as the PNG files that "
        "they are converted to, by content; ~/.cache/abe_tf/converted where none is "
        "given",
    )
    cache_gb: float = option(
        10.0,
        "how large that folder may become before the oldest files are removed from it",
        lower=0,
    )
    max_pixels: int = option(
        MAX_PIXELS, "images of more pixels are refused before they are decoded", lower=1
    )
    min_images_per_class: int | None = option(
        None,
        "leave out, by name, classes of fewer images than this; a class of one is left "
        "out always",
        lower=2,
    )
    max_images_per_class: int | None = option(
        None,
        "use the first so many images of a class; all where none is given",
        lower=1,
    )
    image_size: ImageSize = option(
        224,
        "what the network sees: the side of a square, or HEIGHTxWIDTH",
        lower=16,
        upper=4096,
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
    random_resized_crop: bool = option(
        False,
        "train on parts of random area (a fifth at least) and aspect, stretched to "
        "the square, instead of the paper's crops",
    )
    color_jitter: float = option(
        0.0,
        "change brightness, contrast and saturation of training images at random by "
        "up to this share",
        lower=0,
        upper=1,
    )

    def check_together(self) -> None:
        """Refuses ranges that overlap and crops larger than the image."""
        longer = max(sides(self.image_size))
        if self.resize_size and self.resize_size < longer:
            raise InputError(
                "--resize_size must be at least the longer side of --image_size. "
                f"Received: {self.resize_size} and {as_text(self.image_size)}."
            )
        train = parse_range("train_classes", self.train_classes)
        test = parse_range("test_classes", self.test_classes)
        if train and test and max(train[0], test[0]) < min(train[1], test[1]):
            raise InputError(
                "--train_classes and --test_classes must not share a class. "
                f"Received: {self.train_classes} and {self.test_classes}."
            )
        self._check_dataset()
        self.check_domains()
        self._check_batches(train)

    def _check_batches(self, train: tuple[int, int] | None) -> None:
        """Refuses batches that the flags alone show to be impossible to fill."""
        most, fewest = self.max_images_per_class, self.min_images_per_class
        fixed = {"pairs": 2, "uniform": 1}
        each = fixed.get(self.batches, self.images_per_class or 2)
        if most is not None and most < each:
            raise InputError(
                "--images_per_class must be at most --max_images_per_class. "
                f"Received: {each} and {most}."
            )
        if fewest and most and most < fewest:
            raise InputError(
                "--min_images_per_class must be at most --max_images_per_class. "
                f"Received: {fewest} and {most}."
            )
        if self.batches in ("uniform", "domains"):
            return
        given = self.batches == "pairs" or self.classes_per_batch
        if given and train and train[1] - train[0] < len(self.images_per_slot):
            raise InputError(
                "A batch must not need more classes than --train_classes names. "
                f"Received: {len(self.images_per_slot)} and {self.train_classes}."
            )

    def _check_dataset(self) -> None:
        """Refuses flags that the data set has no use for."""
        folder, benchmark = self.dataset == "image_folder", self.dataset in BENCHMARKS
        rules = {
            "train_classes": not benchmark and not self.image_list,
            "test_classes": not benchmark and not self.image_list,
            "image_list": folder,
            "domains": folder and not self.image_list,
            "manual_dir": benchmark,
            "download": benchmark,
            "cropped": benchmark or bool(self.image_list),
        }
        for name, allowed in rules.items():
            if getattr(self, name) and not allowed:
                held = " with --image_list" if folder and self.image_list else ""
                raise InputError(
                    f"--{name} has no meaning for --dataset={self.dataset}{held}. "
                    f"Received: {getattr(self, name)}. Leave it out, or choose another "
                    "--dataset."
                )
        if self.cache == "decoded" and self.random_resized_crop:
            raise InputError(
                "--cache=decoded holds scaled images, of which --random_resized_crop "
                "could not cut a part. Received: both. Use --cache=encoded."
            )

    def check_paths(self) -> None:
        """Refuses a folder that is missing.

        Raises:
          InputError: No folder was given, or it does not exist.
        """
        if not self.is_prepared():
            self._check_folder("manual_dir", "the archives")
        if self.image_list and not os.path.isfile(self.image_list):
            raise InputError(
                "--image_list must be an existing CSV file. "
                f"Received: {self.image_list!r}."
            )
        if self.dataset not in _FOLDERS:
            return
        if not (self.data_dir or self.image_list):
            or_list = ", or --image_list" if self.dataset == "image_folder" else ""
            raise InputError(
                f"--dataset={self.dataset} needs --data_dir, a folder with "
                f"{_FOLDERS[self.dataset]}{or_list}. Received: none."
            )
        self._check_folder("data_dir", _FOLDERS[self.dataset])

    def is_prepared(self) -> bool:
        """Whether TensorFlow Datasets seems to hold the benchmark already."""
        return is_prepared(self.dataset, self.data_dir)

    def _check_folder(self, name: str, content: str) -> None:
        path = getattr(self, name)
        if path and not os.path.isdir(path):
            raise InputError(
                f"--{name} must be an existing folder with {content}. "
                f"Received: {path!r}."
            )

    @property
    def scaled_size(self) -> ImageSize:
        """What an image is scaled into before the crop, in pixels."""
        height, width = sides(self.image_size)
        longer = max(height, width)
        size = self.resize_size or round(longer * _RESIZE_TO_CROP)
        return as_size(round(size * height / longer), round(size * width / longer))

    @property
    def stretch(self) -> bool:
        """Whether images are stretched to the square and not padded."""
        return self.cropped and self.dataset in STRETCHED

    @property
    def recall_at(self) -> tuple[int, ...]:
        """The K of Recall@K that the paper has for the data set."""
        return RECALL_AT.get(self.dataset, (1, 2, 4, 8))


def parse_range(name: str, text: str | None) -> tuple[int, int] | None:
    """Reads `FIRST:END`.

    Raises:
      InputError: The text has another form, or the range is empty.
    """
    if text is None:
        return None
    first, colon, end = text.partition(":")
    numbers = all(part.isascii() and part.isdigit() for part in (first, end))
    if not (colon and numbers and int(first) < int(end)):
        raise InputError(
            f"--{name} must be FIRST:END with FIRST < END, such as 0:41. "
            f"Received: {text!r}."
        )
    return int(first), int(end)
