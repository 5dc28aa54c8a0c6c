"""Images of a data set, written as files and told of."""

import os

import tensorflow as tf

from abe_tf.data import contact_sheet, saving
from abe_tf.data.examples import from_paths
from abe_tf.data.pixels import decoding
from tests.conftest import black_png
from tests.helpers.images import PHOTO, save


def test_classes_of_any_name_stay_inside_the_folder(tmp_path):
    names = ("..", ".", "a/b", "a\0b", "...", "plain")
    photo = tmp_path / "photo.png"
    photo.write_bytes(save(PHOTO, "PNG"))
    labels = list(range(len(names)))
    examples = from_paths([str(photo)] * len(names), labels, names)
    out = tmp_path / "beside" / "out"
    assert saving.save(examples, str(out)) == len(names)
    written = {
        os.path.relpath(os.path.join(folder, name), tmp_path)
        for folder, _, found in os.walk(tmp_path)
        for name in found
    }
    folders = ("__", "_", "a_b", "a_b", "...", "plain")
    assert written == {"photo.png"} | {
        f"beside/out/{folder}/{key:06d}.png" for key, folder in enumerate(folders)
    }


def test_sizes_are_told_of_images_as_large_as_was_allowed(tmp_path):
    photo = tmp_path / "photo.png"
    photo.write_bytes(black_png(11_000))
    examples = from_paths([str(photo)], [0], ("a",))
    said = contact_sheet.describe_sizes(examples, 200_000_000)
    assert "11000 to 11000 wide (median 11000), 11000 to 11000 high" in said


def test_photos_of_a_telephone_are_read_by_default():
    """108 megapixels, of which some have cameras."""
    size = decoding.read_header(tf.constant(black_png(10_390))).size
    assert size.numpy().tolist() == [10_390, 10_390]
