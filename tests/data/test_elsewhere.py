"""Photos that are made as if taken in six places are the same whenever made."""

import hashlib

from tests.helpers.images import class_folders

PLACES = {"shop", "evening", "neon", "window", "wide", "leaflet"}


def test_six_places_are_the_same_each_time(tmp_path, run_command):
    class_folders(tmp_path / "photos", ("apple", "pear"), 5, "png")
    made = []
    for name in ("one", "other"):
        flags = (f"--data_dir={tmp_path / 'photos'}", f"--out={tmp_path / name}")
        run_command("benchmarks.elsewhere", *flags, "--size=40")
        made.append(
            {
                str(path.relative_to(tmp_path / name)): hashlib.sha256(
                    path.read_bytes()
                ).hexdigest()
                for path in sorted((tmp_path / name).rglob("*.jpg"))
            }
        )
    assert made[0] == made[1]
    # Each photo in one of five places, and all in the one that tests.
    assert len(made[0]) == 2 * 2 * 5
    assert len(set(made[0].values())) == len(made[0])
    by_place = [name.split("/")[0] for name in made[0]]
    assert set(by_place) == PLACES
    assert by_place.count("leaflet") == 10
