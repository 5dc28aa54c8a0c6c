"""The project installed into another environment, and its one command."""

import os
import subprocess
import sys
import tomllib
import venv

import pytest

from abe_tf import __main__ as commands
from abe_tf.config import flagfiles
from abe_tf.runs import machine
from tests.conftest import ROOT
from tests.test_house import DOORS


def test_the_package_needs_what_the_pins_are_compiled_from():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = []
    for name, marker in (
        ("requirements-common.in", ""),
        ("requirements.in", "; python_version < '3.12'"),
        ("requirements-2.21.in", "; python_version >= '3.12'"),
    ):
        lines = (ROOT / name).read_text().splitlines()
        listed = [line.partition("#")[0].strip() for line in lines]
        wanted += [f"{one}{marker}" for one in listed if one and one[0] != "-"]
    assert sorted(project["dependencies"]) == sorted(wanted)


def test_every_door_is_a_command(run_command):
    doors = {name.removesuffix(".__main__") for name in DOORS} - {"abe_tf", "export"}
    assert set(commands.COMMANDS.values()) == doors
    listed = run_command("abe_tf").stdout.split()
    assert listed[-len(commands.COMMANDS) :] == list(commands.COMMANDS)
    wrong = run_command("abe_tf", "trian", check=False)
    assert wrong.returncode == 1
    assert "Received: 'trian'" in wrong.stdout
    helped = run_command("abe_tf", "summary", "--help", check=False)
    assert "python -m abe_tf.summary" in helped.stdout


def test_flagfiles_of_the_package_are_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.setattr(flagfiles, "_PACKAGED", str(ROOT))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.cfg").write_text("--seed=1\n")
    argv = ["train", "--flagfile=flags/digits_abe4.cfg", "--flagfile=mine.cfg"]
    with flagfiles.packaged_found(argv) as rewritten:
        assert os.getcwd() == str(ROOT)
        assert rewritten == [*argv[:2], f"--flagfile={tmp_path / 'mine.cfg'}"]
    assert os.getcwd() == str(tmp_path)
    (tmp_path / "flags").mkdir()
    (tmp_path / "flags/digits_abe4.cfg").write_text("")
    with flagfiles.packaged_found(argv) as rewritten:
        assert (rewritten, os.getcwd()) == (argv, str(tmp_path))


@pytest.mark.slow
def test_a_wheel_trains_in_a_fresh_environment(tmp_path):
    wheels, place = tmp_path / "wheels", tmp_path / "environment"
    pip = (sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet")
    subprocess.run([*pip, f"--wheel-dir={wheels}", str(ROOT)], check=True)
    (wheel,) = wheels.iterdir()
    venv.create(place, with_pip=True)
    pins = str(ROOT / "requirements.txt")
    install = (place / "bin/python", "-m", "pip", "install", "--quiet")
    subprocess.run([*install, "--require-hashes", "-r", pins], check=True)
    subprocess.run([*install, "--no-deps", str(wheel)], check=True)
    command = (place / "bin/abe-tf", "train", "--flagfile=flags/digits_abe4.cfg")
    done = subprocess.run(
        [*command, "--dry_run"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    version = "import abe_tf; print(abe_tf.__version__, abe_tf.__file__)"
    told = subprocess.run(
        [place / "bin/python", "-c", version],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.split()[0] == wheel.name.split("-")[1]
    assert str(place) in told.stdout


def test_the_revision_is_of_our_own_checkout_or_none(tmp_path, monkeypatch):
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@b.example", "-C", tmp_path)
    subprocess.run([*git, "init", "--quiet"], check=True)
    commit = ("commit", "--quiet", "--allow-empty", "--message=ours")
    subprocess.run([*git, *commit], check=True)
    monkeypatch.setattr(machine, "_ROOT", os.path.realpath(tmp_path))
    assert len(machine.describe([])["git_revision"]) == 40
    inside = tmp_path / "environment"
    inside.mkdir()
    monkeypatch.setattr(machine, "_ROOT", os.path.realpath(inside))
    assert machine.describe([])["git_revision"] is None
