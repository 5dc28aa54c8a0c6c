"""What tests share: small photos, and command lines run as a user runs them."""

import os
import pathlib
import struct
import zlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import abe_tf  # noqa: F401  (before TensorFlow: it chooses Keras 2)

# isort: split
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.commands import Commands, look_for_garbage_less_often

ROOT = pathlib.Path(__file__).parent.parent

look_for_garbage_less_often()

# Before TensorFlow first looks at its devices: some tests distribute over two.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * 2,
)

SMALL = (
    "--dataset=image_folder",
    "--image_size=32",
    "--encoder=inception_small",
    "--num_learners=2",
    "--embedding_dim=16",
    "--classes_per_batch=3",
    "--images_per_class=2",
    # They take a quarter of the time of so small a training.
    "--nopictures",
)


def black_png(side):
    """A PNG file of one bit a pixel: small, however large the picture."""

    def chunk(kind, content):
        body = kind + content
        return (
            struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))
        )

    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    row = bytes(1 + (side + 7) // 8)
    packing = zlib.compressobj(9)
    packed = b"".join(packing.compress(row) for _ in range(side)) + packing.flush()
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head)
    return start + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def pytest_addoption(parser):
    parser.addoption(
        "--server_url",
        help="a TensorFlow Serving that serves what contract_model.py writes as "
        "`contract`, such as http://localhost:8501; the local server by default",
    )


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """Eight classes of five photos each, told apart by colour; JPEG and PNG."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for label in range(8):
        colour = rng.integers(0, 256, 3)
        (folder / f"class_{label}").mkdir()
        for number in range(5):
            height, width = rng.integers(40, 70, 2)
            noise = rng.normal(0, 30, [height, width, 3])
            pixels = np.clip(colour + noise, 0, 255).astype(np.uint8)
            encode, end = (
                (tf.io.encode_png, "png") if number == 0 else (tf.io.encode_jpeg, "jpg")
            )
            path = folder / f"class_{label}" / f"{number}.{end}"
            path.write_bytes(encode(pixels).numpy())
    return folder


@pytest.fixture(scope="session")
def trained(photos, run_command_once, tmp_path_factory):
    """A small run: its folder, its flags and what it printed."""
    workdir = tmp_path_factory.mktemp("runs") / "small"
    flags = [
        *SMALL,
        *(f"--data_dir={photos}", f"--workdir={workdir}", "--train_classes=0:5"),
        *("--steps=6", "--log_every=2", "--eval_every=3", "--checkpoint_every=4"),
        *("--validation_classes=0.4", "--pictures"),
    ]
    return workdir, flags, run_command_once("abe_tf.train", *flags).stdout


@pytest.fixture(scope="session")
def exported(trained, run_command_once, tmp_path_factory):
    """The small run exported: its model folder, and what the command printed."""
    models = tmp_path_factory.mktemp("exported") / "models"
    flags = (f"--workdir={trained[0]}", f"--export_dir={models}")
    return models, run_command_once("export.saved_model", *flags).stdout


@pytest.fixture
def run_command(run_command_once):
    """Runs `python -m MODULE FLAGS` in the checkout."""
    return run_command_once


@pytest.fixture(scope="session")
def run_command_once():
    """As `run_command`, for fixtures that live longer than a test."""
    commands = Commands()

    def run(module, *flags, check=True, cwd=ROOT):
        result = commands.run(module, *flags, cwd=cwd)
        if check:
            assert result.returncode == 0, result.stderr
        return result

    yield run
    commands.close()
