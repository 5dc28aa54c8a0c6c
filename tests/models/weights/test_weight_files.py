"""Weight files of strangers: nothing outside them is read, and nothing unasked."""

import os
import subprocess
import sys
import tarfile

import h5py
import numpy as np
import pytest
import tensorflow as tf

from abe_tf.errors import InputError
from abe_tf.models.weights import inception
from abe_tf.models.weights.pretrained import load_h5
from tests.conftest import ROOT


def network():
    pixels = tf.keras.Input([3])
    x = tf.keras.layers.Dense(4, name="first")(pixels)
    return tf.keras.Model(pixels, tf.keras.layers.Dense(2, name="second")(x))


@pytest.fixture
def saved(tmp_path):
    path = str(tmp_path / "weights.h5")
    network().save_weights(path)
    return path


KERNEL = "first/first/kernel:0"


def external_link(file, tmp_path):
    with h5py.File(tmp_path / "secret.h5", "w") as secret:
        secret["data"] = np.full([3, 4], 7, np.float32)
    del file[KERNEL]
    file[KERNEL] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "data")


def link_of_a_group(file, tmp_path):
    with h5py.File(tmp_path / "secret.h5", "w") as secret:
        secret[KERNEL.removeprefix("first/")] = np.full([3, 4], 7, np.float32)
    del file["first"]
    file["first"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "/")


def soft_link(file, tmp_path):
    kernel = file[KERNEL][()]
    del file[KERNEL]
    file["elsewhere"] = kernel
    file[KERNEL] = h5py.SoftLink("/elsewhere")


def external_storage(file, tmp_path):
    (tmp_path / "secret").write_bytes(np.full([3, 4], 7, np.float32).tobytes())
    del file[KERNEL]
    outside = [(str(tmp_path / "secret"), 0, 48)]
    file["first/first"].create_dataset("kernel:0", (3, 4), "f4", external=outside)


def virtual_storage(file, tmp_path):
    with h5py.File(tmp_path / "secret.h5", "w") as secret:
        secret["data"] = np.full([3, 4], 7, np.float32)
    layout = h5py.VirtualLayout((3, 4), "f4")
    layout[...] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "data", (3, 4))
    del file[KERNEL]
    file["first/first"].create_virtual_dataset("kernel:0", layout)


def text_of_a_gigabyte(file, tmp_path):
    del file[KERNEL]
    file["first/first"].create_dataset("kernel:0", (3, 4), "S100000000")


def no_name(file, tmp_path):
    file["first"].attrs["weight_names"] = [b"."]


def no_text(file, tmp_path):
    file["first"].attrs["weight_names"] = [b"\xff\xfe"]


@pytest.mark.parametrize("change", [text_of_a_gigabyte, no_name, no_text])
def test_what_is_no_weight_is_refused(saved, tmp_path, change):
    with h5py.File(saved, "r+") as file:
        change(file, tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        load_h5(network(), saved)


@pytest.mark.parametrize(
    "change",
    [external_link, link_of_a_group, soft_link, external_storage, virtual_storage],
)
def test_bytes_of_other_files_are_not_read(saved, tmp_path, change):
    with h5py.File(saved, "r+") as file:
        change(file, tmp_path)
    untouched = network()
    before = untouched.get_weights()
    with pytest.raises(InputError, match=r"cannot be read.*(link|another file)"):
        load_h5(untouched, saved)
    assert all(map(np.array_equal, before, untouched.get_weights()))


READ = """
import resource, sys
from abe_tf.errors import InputError
from abe_tf.models.weights.pretrained import load_h5
from tests.models.weights.test_weight_files import network
built = network()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    load_h5(built, sys.argv[1])
except InputError as error:
    print(error, file=sys.stderr)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_small_file_that_declares_much_takes_no_memory(saved):
    with h5py.File(saved, "r+") as file:
        del file[KERNEL]
        file["first/first"].create_dataset(
            "kernel:0", (30_000, 10_000), "f4", chunks=(1000, 1000), compression="gzip"
        )
    assert os.path.getsize(saved) < 50_000
    result = subprocess.run(
        [sys.executable, "-c", READ, saved],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "weights of shape [(30000, 10000), (4,)]" in result.stderr
    assert int(result.stdout) * 1024 < 200e6


def test_weights_come_back(saved):
    written, read = network(), network()
    written.load_weights(saved)
    load_h5(read, saved)
    assert all(map(np.array_equal, written.get_weights(), read.get_weights()))


def test_an_archive_gives_its_checkpoint_and_nothing_else(tmp_path):
    """Of TF-Slim's archive; whatever else it holds is not unpacked."""
    (tmp_path / "other").write_bytes(b"x")
    with tarfile.open(tmp_path / "slim.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "other", "other")
    with (
        pytest.raises(OSError, match="holds no inception_v1.ckpt"),
        inception._unpacked(str(tmp_path / "slim.tar.gz")),
    ):
        pass
