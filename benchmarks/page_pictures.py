"""Draws the pictures of the page that the README shows.

    pip install --require-hashes -r requirements-dev.txt
    python -m benchmarks.page_pictures --index=INDEX --like=PHOTO --unlike=PHOTO

Opens the page in Chromium, searches for one photo of the index and not for another, and
writes pictures/page.png, and pictures/page_narrow.png of a telephone's width.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import sqlite3
import subprocess
import sys

from absl import app, flags
from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

from abe_tf.photo_index import database
from abe_tf.storage.files import write_atomically

_INDEX = flags.DEFINE_string("index", None, "the folder of the index", required=True)
_LIKE = flags.DEFINE_string("like", None, "a photo of the index", required=True)
_UNLIKE = flags.DEFINE_string("unlike", None, "another one", required=True)
_FOLDER = flags.DEFINE_string("folder", "pictures", "where they go")
_COLOURS = 128


def number_of(path: str) -> int:
    """The number of a photo in the index."""
    with sqlite3.connect(os.path.join(_INDEX.value, database.NAME)) as connection:
        query = "SELECT id FROM photo WHERE path = ?"
        place = os.fsencode(os.path.abspath(path))
        return connection.execute(query, (place,)).fetchone()[0]


def draw(page: Page, address: str, width: int, height: int, name: str) -> None:
    """Writes what is seen of a question, with a hit opened where there is room."""
    page.set_viewport_size({"width": width, "height": height})
    like, unlike = number_of(_LIKE.value), number_of(_UNLIKE.value)
    page.goto(f"{address}?like={like}&unlike={unlike}")
    expect(page.locator("#hits .distance").first).not_to_be_empty(timeout=120_000)
    if width > 1000:
        page.locator("#hits .picture").nth(0).click()
        expect(page.locator("#panel")).to_be_visible()
    page.wait_for_load_state("networkidle")
    with Image.open(io.BytesIO(page.screenshot())) as seen:
        small = seen.convert("RGB").quantize(_COLOURS)
    file = io.BytesIO()
    small.save(file, "PNG", optimize=True)
    write_atomically(os.path.join(_FOLDER.value, name), file.getvalue())


def main(_: list[str]) -> None:
    """Writes the pictures."""
    command = [sys.executable, "-m", "abe_tf.browse", f"--index={_INDEX.value}"]
    server = subprocess.Popen([*command, "--port=0"], stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    found = re.search(r"http://\S+", server.stderr.readline())
    assert found is not None
    try:
        with sync_playwright() as driver:
            browser = driver.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            page = browser.new_page()
            draw(page, found[0], 1280, 800, "page.png")
            draw(page, found[0], 390, 800, "page_narrow.png")
            browser.close()
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    app.run(main)
