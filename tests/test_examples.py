"""The examples in docstrings are true; what people call from Python has one."""

import doctest
import importlib
import inspect
import re

import pytest
import tensorflow as tf

from abe_tf.config.index import SourceConfig, UpdateConfig
from abe_tf.photo_index import indexing
from tests.conftest import ROOT

TABLE = ROOT / "docs" / "python.md"
NAMES = re.findall(r"^\| `([\w.]+)` \|", TABLE.read_text(), re.MULTILINE)
MODULES = sorted(
    str(path.relative_to(ROOT).with_suffix("")).replace("/", ".")
    for room in ("abe_tf", "export")
    for path in (ROOT / room).rglob("*.py")
    if ">>>" in path.read_text()
)


@pytest.fixture(scope="module")
def folder(trained, tmp_path_factory):
    """What the examples find where they run: a run, an index, two photos."""
    found = tmp_path_factory.mktemp("examples")
    (found / "runs").mkdir()
    (found / "runs" / "mine").symlink_to(trained[0])
    (found / "photos").mkdir()
    for name, colour in (("a.jpg", 50), ("b.jpg", 200)):
        jpeg = tf.io.encode_jpeg(tf.fill([60, 40, 3], tf.constant(colour, tf.uint8)))
        for place in (found, found / "photos"):
            (place / name).write_bytes(jpeg.numpy())
    source = SourceConfig(workdir=str(trained[0]))
    options, photos = UpdateConfig(quiet=True), [str(found / "photos")]
    assert list(indexing.index(str(found / "my_index"), source, options, photos))
    return found


@pytest.mark.parametrize("name", MODULES)
def test_examples_are_true(name, folder, monkeypatch):
    monkeypatch.chdir(folder)
    module = importlib.import_module(name.removesuffix(".__init__"))
    found = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert found.attempted
    assert not found.failed


@pytest.mark.parametrize("name", NAMES)
def test_what_is_called_from_python_has_an_example(name):
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            thing = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            thing = getattr(thing, part)
        break
    assert ">>>" in inspect.getdoc(thing)


def test_the_table_is_read():
    assert "abe_tf.load" in NAMES
    assert len(NAMES) >= 15
