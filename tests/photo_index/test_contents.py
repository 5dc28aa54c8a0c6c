"""What is read of a photo's file."""

import os

import pytest

from abe_tf.photo_index.contents import BrokenPhotoError, content_of


def test_what_is_no_regular_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    for path in (str(tmp_path / "pipe.jpg"), "/dev/zero", str(tmp_path)):
        with pytest.raises(BrokenPhotoError, match="no regular file"):
            content_of(path)


def test_a_file_is_read_whole(tmp_path):
    (tmp_path / "a").write_bytes(bytes(range(256)))
    assert content_of(str(tmp_path / "a")) == bytes(range(256))
