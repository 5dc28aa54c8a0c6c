"""Images of a data set, written as files."""

import os

from abe_tf.data import saving
from abe_tf.data.examples import from_paths
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
