"""A folder as a phone, a Mac and Windows leave it goes through every command."""

import io
import os
import pathlib
import tempfile

import numpy as np
import pillow_heif
import pytest
from PIL import Image

import abe_tf
from abe_tf.config.data import DataConfig
from abe_tf.data import datasets
from tests.conftest import SMALL
from tests.helpers.served import Served

pillow_heif.register_heif_opener()

# The last letter of one is of private use: no font has it.
CLASSES = (
    *("Ba$$in", "it's \"5 o'clock\"", "写真 \U000f1234", "two  blanks", "$x_$"),
    "-dash",
)
CACHE = tempfile.mkdtemp()


def photo(rng, colour, kind):
    height, width = rng.integers(40, 70, 2)
    pixels = np.clip(colour + rng.normal(0, 30, [height, width, 3]), 0, 255)
    image = Image.fromarray(pixels.astype(np.uint8))
    file = io.BytesIO()
    (image.convert("P") if kind == "GIF" else image).save(file, kind)
    return file.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("Holger's photos")
    rng = np.random.default_rng(0)

    def write(name, content):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    for number, name in enumerate(CLASSES):
        colour = rng.integers(0, 256, 3)
        for end, kind in (
            *((".JPG", "JPEG"), (".jfif", "JPEG"), ("", "JPEG"), (".jpe", "PNG")),
            *((".png", "JPEG"), (".gif", "GIF"), (".bmp", "BMP")),
        ):
            write(f"{name}/IMG {number}{end}", photo(rng, colour, kind))
        # As an old disk has it: no UTF-8.
        odd = os.fsdecode(b"IMG\xe9 <b>_1.jpeg")
        write(f"{name}/2024/05 May/{odd}", photo(rng, colour, "JPEG"))
        write(f"{name}/._IMG {number}.JPG", b"\0\5\x16\7\0\2\0\0Mac OS X")
    # The same class on another disk, by its last blank.
    write("Ba$$in /IMG_9.jpg", photo(rng, colour, "JPEG"))
    write("$x_$/holiday.webp", photo(rng, colour, "WEBP"))
    write("$x_$/IMG_7.HEIC", photo(rng, colour, "HEIF"))
    write("$x_$/raw.jxl", b"\xff\x0a\0\0")
    write("Ba$$in/half.jpg", photo(rng, colour, "JPEG")[:700])
    write("zz only one/alone.jpg", photo(rng, colour, "JPEG"))
    write("all in HEIC/IMG_8.heic", photo(rng, colour, "HEIF"))
    write("all in HEIC/IMG_9.heic", photo(rng, colour, "HEIF"))
    write("Ba$$in/Thumbs.db", b"\xd0\xcf\x11\xe0")
    write("Ba$$in/desktop.ini", b"[.ShellClassInfo]\r\n")
    write(".DS_Store", b"\0\0\0\1Bud1")
    write("__MACOSX/._Ba$$in", b"\0\5\x16\7")
    write("IMG_0.jpg", photo(rng, colour, "JPEG"))
    return root


def flags(folder, workdir):
    return [
        *(*SMALL, f"--data_dir={folder}", f"--workdir={workdir}", "--steps=4"),
        *("--validation_classes=0.5", "--eval_every=2", "--classes_per_batch=2"),
        *("--train_classes=0:4", "--log_every=2", f"--cache_dir={CACHE}"),
    ]


@pytest.fixture(scope="module")
def run(folder, run_command_once, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "a $run$ of 写真"
    given = [*flags(folder, workdir), "--on_bad_image=skip"]
    return workdir, run_command_once("abe_tf.train", *given)


def test_the_broken_photo_is_named_before_the_first_step(folder, run_command, tmp_path):
    workdir = tmp_path / "run"
    result = run_command("abe_tf.train", *flags(folder, workdir), check=False)
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert "Ba$$in/half.jpg" in last
    assert "--on_bad_image=skip" in last
    assert "Traceback" not in result.stderr
    assert not workdir.exists()


def test_every_file_is_used_or_named(folder, run):
    told = run[1].stderr
    splits = datasets.load(
        DataConfig(
            *("image_folder", str(folder)),
            on_bad_image="skip",
            train_classes="0:4",
            validation_classes=0.5,
            classes_per_batch=2,
            cache_dir=CACHE,
        )
    )
    used = {name for part in vars(splits).values() if part for name in part.names}
    files = [path for path in pathlib.Path(folder).rglob("*") if path.is_file()]
    left_out = [path for path in files if str(path) not in used]
    assert len(used) == len(CLASSES) * 8 + 5
    for path in left_out:
        name = os.path.relpath(path, folder)
        # What lies in a hidden folder is named by that.
        assert repr(name) in told or repr(str(path)) in told, name
    assert sorted(
        path.suffix.lower() for path in left_out if path.stem[:2] != "._"
    ) == [*("", ".db", ".ini", ".jpg", ".jpg", ".jpg", ".jxl")]
    assert "taken for one: 'Ba$$in', 'Ba$$in '" in told
    assert "Left out 1 of 55 images that cannot be read" in told
    assert "only image of a test class" in told


def test_it_is_evaluated(run, run_command):
    output = run_command("abe_tf.evaluate", f"--workdir={run[0]}").stdout
    assert "Recall@K in percent" in output


def test_it_is_looked_at(folder, run_command, tmp_path):
    given = [f"--data_dir={folder}", f"--sheet={tmp_path / 'sheet.png'}"]
    output = run_command(
        *("abe_tf.data", "--dataset=image_folder", *given, "--image_size=32"),
        *("--classes_per_batch=2", "--images_per_class=2", "--show=4"),
        *("--on_bad_image=skip", f"--cache_dir={CACHE}"),
    ).stdout
    assert "Contact sheet" in output


def test_it_is_reported(run, run_command):
    workdir, _ = run
    result = run_command("abe_tf.report", f"--workdir={workdir}")
    assert "Glyph" not in result.stderr
    page = (workdir / "report.html").read_text(encoding="utf-8")
    assert "写真 \U000f1234" in page
    assert "since no font here has them (the tables show them): 1." in page
    assert "a $run$ of 写真" in page


@pytest.mark.slow
def test_names_that_look_like_mathematics_are_drawn(folder, run_command, tmp_path):
    """The tested classes', the run's and the folder's."""
    workdir = tmp_path / "_a$b$"
    given = [one for one in flags(folder, workdir) if "_classes=" not in one]
    result = run_command(
        *("abe_tf.train", *given, "--train_classes=3:6", "--test_classes=0:3"),
        *("--on_bad_image=skip", "--pictures", "--classes_per_batch=2"),
    )
    assert "Traceback" not in result.stderr
    assert abe_tf.load(str(workdir)) is not None
    run_command("abe_tf.report", f"--workdir={workdir}", "--split=test")
    page = (workdir / "report.html").read_text(encoding="utf-8")
    for name in ("$x_$", "-dash", "Ba$$in", "_a$b$"):
        assert name in page
    assert page.count("data:image/png") > 4


@pytest.mark.slow
def test_it_is_exported_asked_and_embedded(folder, run, run_command, tmp_path):
    workdir, _ = run
    models, written = tmp_path / "models", tmp_path / "answers.npz"
    run_command("export.saved_model", f"--workdir={workdir}", f"--export_dir={models}")
    server = Served(models)
    try:
        result = run_command(
            *("export.client", f"--url={server.url}", f"--npy={written}", folder),
            check=False,
        )
    finally:
        server.stop()
    # All but the broken one, and that by name.
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert f"refused: {folder}/Ba$$in/half.jpg" in result.stderr
    assert "55 of 56 images answered" in result.stderr
    for name in ("$x_$/raw.jxl", "Ba$$in/Thumbs.db"):
        assert repr(name) in result.stderr
    with np.load(written) as found:
        paths, answers = found["ids"].tolist(), found["answers"]
    embedded = abe_tf.load(str(workdir)).embed(paths)
    np.testing.assert_allclose(answers, embedded.reshape(len(paths), -1), atol=1e-4)
