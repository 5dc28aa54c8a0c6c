"""Small archives in the very layouts of the published ones."""

import io
import pathlib
import tarfile
import zipfile

import numpy as np
import scipy.io
import tensorflow as tf

_DTYPE_BOX = ["bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2"]
BOX = (3, 2, 18, 14)  # counted from 1, the last pixels included
SIZE = (16, 20)  # height, width


def jpeg(number):
    rng = np.random.default_rng(number)
    return tf.io.encode_jpeg(rng.integers(0, 256, [*SIZE, 3], np.uint8)).numpy()


def png(number):
    rng = np.random.default_rng(number)
    return tf.io.encode_png(rng.integers(0, 256, [105, 105, 1], np.uint8)).numpy()


def pack(path, files):
    """Writes a zip file, a tar file or a folder, as the path's ending says."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    elif path.suffix == ".tgz":
        with tarfile.open(path, "w:gz") as archive:
            for name, content in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    else:
        for name, content in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
    return path


def _matlab(rows, name_field):
    fields = [*_DTYPE_BOX, "class", name_field]
    table = np.zeros(len(rows), [(name, object) for name in fields])
    for number, (name, label) in enumerate(rows):
        table[number] = (*BOX, label, name)
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, {"annotations": table})
    return buffer.getvalue()


CARS = [1, 1, 98, 98, 99, 99, 196]  # classes, from 1


def cars_in_one(folder, classes=CARS, without=(), ending=".tgz"):
    """car_ims.tgz with cars_annos.mat."""
    names = [f"car_ims/{number:06d}.jpg" for number in range(1, len(classes) + 1)]
    files = {name: jpeg(i) for i, name in enumerate(names) if name not in without}
    pack(folder / f"car_ims{ending}" if ending else folder, files)
    rows = list(zip(names, classes, strict=True))
    (folder / "cars_annos.mat").write_bytes(_matlab(rows, "relative_im_path"))


def cars_in_two(folder, unpacked=False):
    """cars_train, cars_test, the devkit and the test annotations with labels."""
    split = {"train": CARS[::2], "test": CARS[1::2]}
    devkit = {}
    for name, classes in split.items():
        names = [f"{number:05d}.jpg" for number in range(1, len(classes) + 1)]
        start = 0 if name == "train" else 100
        files = {f"cars_{name}/{n}": jpeg(start + i) for i, n in enumerate(names)}
        pack(folder if unpacked else folder / f"cars_{name}.tgz", files)
        table = _matlab(list(zip(names, classes, strict=True)), "fname")
        if name == "train":
            devkit["devkit/cars_train_annos.mat"] = table
        else:
            (folder / "cars_test_annos_withlabels.mat").write_bytes(table)
    pack(folder if unpacked else folder / "car_devkit.tgz", devkit)


IN_SHOP = {"train": (1, 1, 2, 2), "query": (3, 4), "gallery": (3, 3, 4)}


def in_shop(folder, packed=True, without_box=None, subfolders=False, with_boxes=True):
    """list_eval_partition.txt, list_bbox_inshop.txt and img.zip or img/."""
    partition, boxes, files, number = [], [], {}, 0
    for split, items in IN_SHOP.items():
        for item in items:
            number += 1
            name = f"img/WOMEN/Dresses/id_{item:08d}/{number:02d}_1_front.jpg"
            partition.append(f"{name:69} id_{item:08d} {split}")
            if number != without_box:
                boxes.append(f"{name:69} 3 1 002 001 018 014")
            files[name] = jpeg(number)
    eval_dir, anno_dir, image_dir = (
        folder / (name if subfolders else "") for name in ("Eval", "Anno", "Img")
    )
    pack(image_dir / "img.zip" if packed else image_dir, files)
    for path, header, lines in (
        (
            eval_dir / "list_eval_partition.txt",
            "image_name item_id evaluation_status",
            partition,
        ),
        (
            anno_dir / "list_bbox_inshop.txt",
            "image_name clothes_type pose_type x_1 y_1 x_2 y_2",
            boxes,
        ),
    ):
        if lines is boxes and not with_boxes:
            continue
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join([str(len(lines)), header, *lines, ""]))


PRODUCTS = {"Ebay_train.txt": (1, 1, 2, 2, 2), "Ebay_test.txt": (11319, 11319)}


def products(folder, packed=True):
    """Stanford_Online_Products.zip."""
    files, number = {}, 0
    for name, classes in PRODUCTS.items():
        lines = ["image_id class_id super_class_id path"]
        for label in classes:
            number += 1
            path = f"bicycle_final/1110850{label}_{number}.JPG"
            lines.append(f"{number} {label} 1 {path}")
            files[f"Stanford_Online_Products/{path}"] = jpeg(number)
        files[f"Stanford_Online_Products/{name}"] = "\n".join([*lines, ""]).encode()
    pack(folder / "Stanford_Online_Products.zip" if packed else folder, files)


def omniglot(folder, packed=True):
    """The two small background sets; Latin stands in both."""
    alphabets = {
        "images_background_small1": ("Latin", "Korean"),
        "images_background_small2": ("Latin", "Sanskrit"),
    }
    for start, (name, chosen) in enumerate(alphabets.items()):
        files = {
            f"{name}/{alphabet}/character{c:02d}/{c:04d}_{d:02d}.png": png(
                1000 * start + 100 * c + d
            )
            for alphabet in chosen
            for c in (1, 2)
            for d in (1, 2, 3)
        }
        pack(folder / f"{name}.zip" if packed else folder, files)


def birds(folder, packed=True):
    """CUB_200_2011.tgz or CUB_200_2011/, and segmentations.tgz."""
    names = [
        f"{label:03d}.Bird_{label}/Bird_{label}_{number:04d}_7961{number}.jpg"
        for label in (1, 100, 101, 200)
        for number in (1, 2)
    ]
    files = {f"CUB_200_2011/images/{n}": jpeg(i) for i, n in enumerate(names)}
    rows = list(enumerate(names, 1))
    for name, lines in {
        "images": [f"{number} {path}" for number, path in rows],
        "image_class_labels": [f"{n} {int(path[:3])}" for n, path in rows],
        "train_test_split": [f"{number} {number % 2}" for number, _ in rows],
        "bounding_boxes": [f"{number} 2.0 1.0 16.0 13.0" for number, _ in rows],
    }.items():
        text = "\n".join([*lines, ""])
        files[f"CUB_200_2011/{name}.txt"] = text.encode()
    pack(folder / "CUB_200_2011.tgz" if packed else folder, files)
    mask = tf.io.encode_png(np.zeros([*SIZE, 1], np.uint8)).numpy()
    masks = {f"segmentations/{n[:-4]}.png": mask for n in names}
    pack(folder / "segmentations.tgz", masks)
