"""Photos as people have them: one folder a class, or a list in a CSV file."""

from __future__ import annotations

import dataclasses
import os
import sys

import numpy as np

from abe_tf.data import tables
from abe_tf.data.examples import Examples, from_paths
from abe_tf.data.photos import (
    HIDDEN,
    LeftOut,
    Names,
    Photos,
    find,
    is_folder,
    normalised,
    tell_left_out,
)
from abe_tf.errors import InputError

_HALVES = ("train", "training", "test", "testing", "val", "valid", "validation")
_BOX = ("x1", "y1", "x2", "y2")
SPLITS = ("train", "test", "query", "gallery")
_GROUPS = ("domain", "camera")


def image_folder(data_dir: str) -> Examples:
    """All photos below one folder a class; classes sorted by name.

    What is left out is named and counted on standard error.

    Raises:
      InputError: There are fewer than two class folders with photos, or one cannot be
        read.
    """
    names = Names("class folders")
    by_class = _photos_by_class(data_dir, set(), names)
    names.tell()
    # In the order of the folders' names as they are written.
    class_names = list(by_class)
    _check_classes(class_names, data_dir)
    return from_paths(
        [path for name in class_names for path in by_class[name]],
        [label for label, name in enumerate(class_names) for _ in by_class[name]],
        tuple(class_names),
    )


def domain_folders(data_dir: str) -> Examples:
    """All photos below one folder a domain, with one folder a class in it.

    Class folders of one name are one class, in whichever domain.

    Raises:
      InputError: There are fewer than two domains or classes, or a folder cannot be
        read.
    """
    folders, left_out = _class_folders(data_dir)
    tell_left_out(left_out, data_dir)
    of_domains, of_classes = Names("domains"), Names("class folders")
    names = [of_domains(os.path.basename(folder)) for folder in folders]
    if len(set(names)) < 2:
        raise InputError(
            "--domains=folder needs a folder for each domain in --data_dir, two at "
            f"least. Received: {data_dir!r} with {len(set(names))}."
        )
    of_domains.tell()
    seen = {os.path.realpath(data_dir)}
    rows = [
        (class_name, path, domain)
        for domain, folder in zip(names, folders, strict=True)
        for class_name, paths in _photos_by_class(folder, seen, of_classes).items()
        for path in paths
    ]
    of_classes.tell()
    class_names = sorted({class_name for class_name, *_ in rows})
    _check_classes(class_names, data_dir)
    numbers = {name: number for number, name in enumerate(class_names)}
    rows.sort(key=lambda row: numbers[row[0]])
    examples = from_paths(
        [path for _, path, _ in rows],
        [numbers[class_name] for class_name, *_ in rows],
        tuple(class_names),
    )
    domains = np.array([domain for *_, domain in rows])
    return dataclasses.replace(examples, domains=domains)


def _check_classes(class_names: list[str], data_dir: str) -> None:
    if len(class_names) < 2:
        raise InputError(
            "--data_dir must hold one folder with photos for each class, two at least. "
            f"Received: {data_dir!r} with {len(class_names)}."
        )


def _photos_by_class(
    data_dir: str, seen: set[str], names: Names
) -> dict[str, list[str]]:
    """Photos by class folder; what is left out is named and counted.

    Args:
      data_dir: A folder of class folders.
      seen: As for `photos.find`.
      names: What makes the folders' names those of classes.
    """
    by_class: dict[str, list[str]] = {}
    folders, left_out = _class_folders(data_dir)
    folders, left_out = _merged_halves(folders, left_out, data_dir)
    # A link up would make all classes one.
    seen.add(os.path.realpath(data_dir))
    for folder in folders:
        listing = _find(folder, seen)
        left_out += listing.left_out
        if listing.paths:
            name = names(os.path.basename(folder))
            by_class.setdefault(name, []).extend(listing.paths)
        else:
            left_out.append(LeftOut(folder, "folders without a photo"))
    tell_left_out(left_out, data_dir)
    return by_class


def _class_folders(data_dir: str) -> tuple[list[str], list[LeftOut]]:
    """The folders in a folder, in order, and what else is there."""
    folders, left_out = [], []
    try:
        entries = sorted(os.scandir(data_dir), key=lambda entry: entry.name)
    except OSError as error:
        raise InputError(
            "Each folder of photos must be readable. "
            f"Received: {data_dir!r}: {error.strerror}."
        ) from error
    for entry in entries:
        if entry.name.startswith("."):
            left_out.append(LeftOut(entry.path, HIDDEN))
        elif is_folder(entry):
            folders.append(entry.path)
        else:
            left_out.append(LeftOut(entry.path, "in no class folder"))
    return folders, left_out


def _merged_halves(
    folders: list[str], left_out: list[LeftOut], data_dir: str
) -> tuple[list[str], list[LeftOut]]:
    """The class folders of `train` and `test`, where these hold the same classes.

    So Cars-196 and others are handed on; which classes train is a matter of flags.

    Raises:
      InputError: They hold others: as classes, train and test would make no sense.
    """
    names = [os.path.basename(folder) for folder in folders]
    if len(names) < 2 or not {name.lower() for name in names} <= set(_HALVES):
        return folders, left_out
    halves = [_class_folders(folder) for folder in folders]
    if not all(half for half, _ in halves):
        # Photos and no folders: classes that happen to be called so.
        return folders, left_out
    classes = [
        {normalised(os.path.basename(one)) for one in half} for half, _ in halves
    ]
    if any(one != classes[0] for one in classes):
        raise InputError(
            "--data_dir must hold a folder for each class. Received: "
            f"{data_dir!r} with {', '.join(names)}, of folders that differ. Put the "
            "class folders side by side, and choose with --train_classes and "
            "--test_classes; or list the photos with their split in --image_list."
        )
    print(
        f"The folders {', '.join(names)} in {data_dir} hold the same classes, and are "
        "merged: whole classes test, by --test_classes.",
        file=sys.stderr,
    )
    merged = sorted(
        (folder for half, _ in halves for folder in half), key=os.path.basename
    )
    return merged, [*left_out, *(one for _, out in halves for one in out)]


def _find(folder: str, seen: set[str]) -> Photos:
    try:
        return find(folder, seen)
    except OSError as error:
        raise InputError(
            "Each class folder must be readable. "
            f"Received: {error.filename!r}: {error.strerror}."
        ) from error


def image_list(
    path: str, data_dir: str | None, cropped: bool
) -> tuple[Examples, np.ndarray | None]:
    """The images that a CSV file lists.

    Args:
      path: The file; its first row names the columns path, label and optionally split
        and x1, y1, x2, y2 (a box in pixels of the upright image, x2 and y2 left out),
        domain and camera.
      data_dir: What the paths are relative to; the file's own folder where `None`.
      cropped: Whether only the boxes are used.

    Returns:
      The images, grouped by class, and the split of each (`[images]` of `SPLITS`), or
      `None` where the file has no such column.

    Raises:
      InputError: A column or a value is missing or wrong, or a path comes twice.
    """
    root = data_dir or os.path.dirname(os.path.abspath(path))
    rows = _read_rows(path, cropped)
    _check_regular([os.path.join(root, row["path"]) for row in rows])
    # In the order of the labels as they are written.
    names = Names("labels")
    labels = sorted({row["label"] for row in rows})
    class_names = list(dict.fromkeys(map(names, labels)))
    names.tell()
    for row in rows:
        row["label"] = normalised(row["label"])
    _name_groups(rows)
    numbers = {name: number for number, name in enumerate(class_names)}
    rows.sort(key=lambda row: numbers[row["label"]])
    boxes = None
    if cropped:
        boxes = np.array([[float(row[name]) for name in _BOX] for row in rows])
        boxes = boxes.astype(np.float32)
    examples = from_paths(
        [os.path.join(root, row["path"]) for row in rows],
        [numbers[row["label"]] for row in rows],
        tuple(class_names),
        boxes,
    )
    domains, cameras = (
        np.array([row[column] for row in rows]) if column in rows[0] else None
        for column in _GROUPS
    )
    examples = dataclasses.replace(examples, domains=domains, cameras=cameras)
    if "split" not in rows[0]:
        return examples, None
    return examples, np.array([row["split"] for row in rows])


def _name_groups(rows: list[dict[str, str]]) -> None:
    """Normalises domains and cameras, which may be blank where nobody knows."""
    for column in set(_GROUPS) & set(rows[0]):
        names = Names(f"values of {column}")
        for row in rows:
            row[column] = names(row[column] or "")
        names.tell()


def _read_rows(path: str, cropped: bool) -> list[dict[str, str]]:
    columns, rows = tables.rows(path, "image_list")
    missing = {"path", "label", *(_BOX if cropped else ())} - columns
    if missing:
        raise InputError(
            "--image_list must have the columns path and label, and x1, y1, x2, y2 for "
            f"--cropped. Received: {path!r} without {', '.join(sorted(missing))}."
        )
    if not rows:
        raise InputError(f"--image_list must list images. Received: {path!r}, empty.")
    seen: set[str] = set()
    for number, row in rows:
        _check_row(row, f"{path}, line {number}", cropped, seen)
    return [row for _, row in rows]


def _check_regular(paths: list[str]) -> None:
    for path in paths:
        # A pipe would be waited for; what is not there is named with the broken ones.
        if os.path.exists(path) and not os.path.isfile(path):
            raise InputError(
                f"--image_list must list files. Received: {path!r}, no regular file."
            )


def _check_row(row: dict[str, str], where: str, cropped: bool, seen: set[str]) -> None:
    if not (row["path"] and (row["label"] or "").strip()) or None in row:
        raise InputError(
            "Each row of --image_list must give a path and a label, and no value "
            f"without a column. Received: {where}: {list(row.values())}."
        )
    place = os.path.normpath(row["path"])
    if place in seen:
        raise InputError(
            "--image_list must name each path once. "
            f"Received: {where}: {row['path']!r} again."
        )
    seen.add(place)
    if "split" in row:
        row["split"] = (row["split"] or "").strip()
    if "split" in row and row["split"] not in SPLITS:
        raise InputError(
            f"A split must be one of {', '.join(SPLITS)}. "
            f"Received: {where}: {row['split']!r}."
        )
    if cropped:
        _check_box(row, where)


def _check_box(row: dict[str, str], where: str) -> None:
    texts = [row[name] for name in _BOX]
    try:
        left, top, right, bottom = (float(text) for text in texts)
        valid = 0 <= left < right and 0 <= top < bottom
    except (TypeError, ValueError):
        valid = False
    if not valid:
        raise InputError(
            "A box must be numbers x1 < x2 and y1 < y2, in pixels. "
            f"Received: {where}: {texts}."
        )
