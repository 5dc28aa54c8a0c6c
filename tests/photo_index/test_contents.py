"""What is read of a photo's file."""

import os

import pytest

from abe_tf.photo_index import walking
from abe_tf.photo_index.contents import BrokenPhotoError, content_of


def test_what_is_no_regular_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    for path in (str(tmp_path / "pipe.jpg"), "/dev/zero", str(tmp_path)):
        with pytest.raises(BrokenPhotoError, match="no regular file"):
            content_of(path)


@pytest.mark.parametrize("by", ["folders", "list"])
def test_labels_that_differ_in_what_cannot_be_seen_are_one_and_said(
    tmp_path, capsys, by
):
    rows, labels = ["path,label"], "folders"
    for name in ("caf\u00e9", "cafe\u0301", "b"):
        (tmp_path / "pile" / name).mkdir(parents=True)
        (tmp_path / "pile" / name / "1.jpg").write_bytes(b"\xff\xd8\xff\xe0 a photo")
        rows.append(f"{name}/1.jpg,{name}")
    if by == "list":
        labels = str(tmp_path / "labels.csv")
        (tmp_path / "labels.csv").write_text("\n".join(rows), encoding="utf-8")
    root = walking.Root(str(tmp_path / "pile"), labels)
    lying, _ = walking.find(root, {})
    assert sorted(one.label for one in lying) == ["b", "caf\u00e9", "caf\u00e9"]
    assert "These labels differ only" in capsys.readouterr().err


def test_a_file_is_read_whole(tmp_path):
    (tmp_path / "a").write_bytes(bytes(range(256)))
    assert content_of(str(tmp_path / "a")) == bytes(range(256))
