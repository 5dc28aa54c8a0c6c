"""The page in a real browser, and what it refuses."""

import contextlib
import http.client
import json
import os
import pathlib
import re
import select
import shutil
import socket
import sys
import time
import urllib.parse

import numpy as np
import pytest
import tensorflow as tf
from playwright.sync_api import expect, sync_playwright

from abe_tf.config.index import SourceConfig
from abe_tf.photo_index import database
from tests.helpers.served import started
from tests.photo_index.conftest import Index

CHROMIUM = shutil.which("chromium")
# Milliseconds; a machine that runs many tests at once may be slow.
expect.set_options(timeout=60_000)
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="needs chromium, which is not installed"
)
TRICKS = (
    "<img src=x onerror=alert(1)>.png",
    "'; DROP TABLE photo; --.png",
    "ü\u202e.png",
)


@pytest.fixture(scope="module")
def pile(photos, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page") / "pile"
    shutil.copytree(photos, folder)
    for number, name in enumerate(TRICKS):
        shutil.copy(folder / f"class_{number}/0.png", folder / name)
    (folder / "class_0/torn.jpg").write_bytes(b"\xff\xd8\xff torn")
    return folder


@pytest.fixture(scope="module")
def folder(pile, trained, tmp_path_factory):
    place = str(tmp_path_factory.mktemp("page") / "index")
    Index(place, SourceConfig(workdir=str(trained[0]))).update(pile)
    return place


@pytest.fixture(scope="module")
def address(folder):
    yield from serving(folder)


def serving(folder, *more):
    flags = (f"--index={folder}", "--port=0", *more)
    with started(sys.executable, "-m", "abe_tf.browse", *flags) as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as driver:
        flags = ("no-sandbox", "disable-gpu", "disable-quic", "no-first-run")
        flags += ("disable-background-networking", "disable-component-update")
        launched = driver.chromium.launch(
            executable_path=CHROMIUM, args=[f"--{flag}" for flag in flags]
        )
        yield launched
        launched.close()


@pytest.fixture
def page(browser, address):
    """The page; nothing may go elsewhere, and nothing may be wrong in it."""
    context = browser.new_context(
        viewport={"width": 1280, "height": 900},
        permissions=["clipboard-read", "clipboard-write"],
    )
    opened, wrong, hosts = context.new_page(), [], set()
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on(
        "console",
        lambda said: wrong.append(said.text) if said.type == "error" else None,
    )
    opened.on("request", lambda one: hosts.add(urllib.parse.urlsplit(one.url).hostname))
    opened.goto(address)
    expect(opened.locator("#hits > li")).to_have_count(40)
    yield opened
    context.close()
    # What the server refuses, browsers call an error; tests of that look at it.
    assert [text for text in wrong if "Failed to load resource" not in text] == []
    assert hosts <= {"127.0.0.1", None}


def hits(page):
    return page.locator("#hits > li")


def likes(page, count):
    expect(page.locator("#like li")).to_have_count(count)
    expect(page.locator("#hits")).not_to_have_attribute("aria-busy", "true")


@needs_chromium
def test_like_unlike_and_the_way_back(page):
    start = page.url
    hits(page).nth(3).get_by_role("button", name="Like").click()
    likes(page, 1)
    expect(hits(page)).to_have_count(39)
    distances = [float(text) for text in page.locator(".distance").all_inner_texts()]
    assert distances == sorted(distances)
    # Copies are one hit with a count, the tricks' files among them.
    first = page.url
    hits(page).last.get_by_role("button", name="Not").click()
    expect(page.locator("#unlike li")).to_have_count(1)
    expect(page.locator("#hits > li.unlike").first).to_be_visible()
    flags = [
        "unlike" in (item.get_attribute("class") or "") for item in hits(page).all()
    ]
    assert flags == sorted(flags)
    page.go_back()
    expect(page.locator("#unlike li")).to_have_count(0)
    assert page.url == first
    page.go_back()
    likes(page, 0)
    assert page.url == start
    page.goto(first)
    likes(page, 1)
    page.get_by_role("button", name="Remove photo 1 that is meant").click()
    likes(page, 0)


@needs_chromium
def test_upload_paste_drop_and_what_is_no_photo(page, pile, tmp_path):
    page.set_input_files("#file", str(pile / "class_2/1.jpg"))
    likes(page, 1)
    expect(hits(page).first.locator(".kind")).to_have_text("class_2")
    text = tmp_path / "no photo.jpg"
    text.write_text("no photo")
    page.set_input_files("#file", str(text))
    expect(page.locator("#message")).to_contain_text("no photo.jpg: the photo cannot")
    likes(page, 1)
    page.get_by_role("button", name="Clear").click()
    likes(page, 0)
    contents = [file.read_bytes() for file in sorted((pile / "class_5").iterdir())]
    for number, event in enumerate(
        (
            'new ClipboardEvent("paste", {clipboardData: data})',
            'new DragEvent("drop", {dataTransfer: data, cancelable: true})',
        )
    ):
        page.evaluate(
            """([content, name]) => {
              const data = new DataTransfer();
              data.items.add(new File([new Uint8Array(content)], name));
              document.dispatchEvent(EVENT);
            }""".replace("EVENT", event),
            [list(contents[number]), f"{number}.png"],
        )
        likes(page, number + 1)
        expect(hits(page).first.locator(".kind")).to_have_text("class_5")


@needs_chromium
def test_a_box_by_mouse_and_by_numbers(page):
    hits(page).nth(0).get_by_role("button", name="Like").click()
    likes(page, 1)
    before = page.locator(".distance").all_inner_texts()
    page.get_by_title("Choose a part").click()
    picture = page.locator("#boxing img")
    expect(picture).to_be_visible()
    expect(picture).to_have_js_property("complete", True)
    place = picture.bounding_box()
    x, y, width, height = (place[name] for name in ("x", "y", "width", "height"))
    page.mouse.move(x + width / 4, y + height / 4)
    page.mouse.down()
    page.mouse.move(x + 3 * width / 4, y + 3 * height / 4, steps=4)
    page.mouse.up()
    page.get_by_role("button", name="Search this part").click()
    expect(page.locator("#like .box")).to_be_visible(timeout=60_000)
    likes(page, 1)
    assert re.search(r"like=\d+%40[\d%C.]+", page.url)
    expect(page.locator(".distance").first).not_to_have_text(before[0])
    page.get_by_title("Choose a part").click()
    page.get_by_label("Left").fill("1")
    page.get_by_label("Top").fill("2")
    page.get_by_label("Right").fill("20")
    page.get_by_label("Bottom").fill("30")
    page.get_by_role("button", name="Search this part").click()
    page.wait_for_url(lambda url: "%401%2C2%2C20%2C30" in url)
    page.get_by_title("Choose a part").click()
    page.get_by_role("button", name="All of it").click()
    page.wait_for_url(lambda url: "%40" not in url)
    expect(page.locator(".distance").first).to_have_text(before[0])


@needs_chromium
def test_ticks_are_labelled_listed_and_saved(page, pile, tmp_path):
    page.get_by_role("checkbox", name="class_6").check()
    expect(hits(page)).to_have_count(5)
    ticks = page.locator(".tick")
    ticks.nth(0).check()
    ticks.nth(2).click(modifiers=["Shift"])
    expect(page.locator("#ticked output")).to_have_text("3 ticked")
    page.get_by_role("button", name="Copy paths").click()
    expect(page.locator("#message")).to_have_text("Copied.")
    copied = page.evaluate("navigator.clipboard.readText()").split("\n")
    assert len(copied) == 3
    assert all(os.path.exists(path) for path in copied)
    chosen = tmp_path / "chosen"
    for place, said in (
        ("chosen", "must be told from the root, as /chosen"),
        (str(chosen), f"3 copied to {chosen}."),
        (str(chosen), "a folder without such files"),
    ):
        page.get_by_label("Folder", exact=True).last.fill(place)
        page.get_by_role("button", name="Copy files to it").click()
        expect(page.locator("#message")).to_contain_text(said)
    assert [file.read_bytes() for file in sorted(chosen.iterdir())] == [
        pathlib.Path(path).read_bytes() for path in copied
    ]
    page.locator("#label").fill("<b>mine</b>")
    page.get_by_role("button", name="Label").click()
    expect(page.locator("#message")).to_have_text("3 labelled <b>mine</b>.")
    expect(hits(page)).to_have_count(2)
    expect(page.get_by_role("checkbox", name="<b>mine</b>")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()
    saved = tmp_path / "photos.csv"
    download.value.save_as(saved)
    lines = saved.read_text().splitlines()
    assert lines[0] == "path,label"
    assert sorted(lines[1:]) == sorted(f"{path},<b>mine</b>" for path in copied)
    page.locator("#label").fill("")
    page.get_by_role("button", name="Label").click()
    expect(page.locator("#message")).to_contain_text("label of their folder again")
    expect(hits(page)).to_have_count(5)


@needs_chromium
def test_the_keyboard_alone_does_a_search(page):
    page.locator("body").press("Tab")
    for _ in range(40):
        if page.evaluate("document.activeElement.closest('#hits') !== null"):
            break
        page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    expect(page.locator("#ticked output")).to_have_text("1 ticked")
    page.keyboard.press("Enter")
    expect(page.locator("#panel")).to_be_visible()
    expect(page.locator("#close")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#panel")).to_be_hidden()
    page.keyboard.press("l")
    likes(page, 1)


@needs_chromium
def test_the_panel_says_what_is_known(page):
    hits(page).nth(7).get_by_role("button", name="Like").click()
    likes(page, 1)
    hits(page).first.locator(".picture").click()
    panel = page.locator("#panel")
    expect(panel.locator("img")).to_have_count(2)
    expect(panel.get_by_role("rowheader")).to_have_text(["Learner 1", "Learner 2"])
    distances = [
        float(text) for text in panel.locator("td:last-child").all_inner_texts()
    ]
    shown = float(re.search(r"Distance ([\d.]+)", panel.inner_text())[1])
    assert abs(np.mean(distances) - shown) < 2e-3
    for picture in panel.locator("img").all():
        expect(picture).to_have_js_property("complete", True)
        assert picture.evaluate("one => one.naturalWidth") > 0
    why = panel.locator("#why")
    expect(why.locator("canvas")).to_have_count(2)
    whole = [float(x) for x in re.findall(r"cosine\) (-?\d\.\d+)", why.inner_text())]
    for text in why.locator("figcaption").all_inner_texts():
        shares = [float(x) for x in re.findall(r"-?\d\.\d+", text)]
        assert abs(sum(shares) - whole[0]) < 3e-3
    before = why.locator("canvas").nth(1).evaluate("one => one.toDataURL()")
    why.get_by_label("By").select_option("learner 2")
    after = why.locator("canvas").nth(1).evaluate("one => one.toDataURL()")
    assert before != after
    page.keyboard.press("Escape")
    hits(page).nth(2).locator(".picture").click()
    panel.get_by_role("button", name="Tick all up to this one").click()
    expect(page.locator("#ticked output")).to_have_text("3 ticked")
    ticked = [tick.is_checked() for tick in page.locator(".tick").all()]
    assert ticked == [True] * 3 + [False] * (len(ticked) - 3)


def percents(texts):
    return [float(re.search(r"[\d.]+", text)[0]) for text in texts]


@needs_chromium
def test_hits_say_how_sure_and_a_line_parts_them(page):
    hits(page).nth(0).get_by_role("button", name="Like").click()
    likes(page, 1)
    expect(page.locator("#sure")).to_contain_text("P(same kind) at a base rate 1 :")
    expect(page.locator("#sure")).to_contain_text("by the labels of 40 photos, 8 kinds")
    shown = percents(page.locator(".sure").all_inner_texts())
    assert len(shown) == 39 and shown == sorted(shown, reverse=True)
    last = int(np.argmax(-np.diff(shown)))
    middle = (shown[last] + shown[last + 1]) / 2
    page.get_by_label("Same kind at least, in %").fill(f"{middle:.2f}")
    page.get_by_label("Same kind at least, in %").press("Enter")
    line = page.locator("#hits .line")
    expect(line).to_have_text(re.compile("^below [0-9.]+ %$"))
    (bar,) = percents([line.inner_text()])
    above = line.evaluate("one => Number(one.parentElement.dataset.number)")
    assert above == last + 1
    assert shown[last] >= bar > shown[above]
    page.get_by_label("Kinds there are").fill("100000")
    page.get_by_label("Kinds there are").press("Enter")
    expect(page.locator("#sure")).to_contain_text("by Kinds there are 100000")
    rarer = percents(page.locator(".sure").all_inner_texts())
    assert max(rarer) < min(shown[:5])
    assert "kinds=100000" in page.url and "precision=" in page.url


@needs_chromium
def test_copies_groups_and_kinds_are_shown(page):
    page.get_by_role("button", name="Copies").click()
    pile = page.locator("#piles .pile")
    expect(page.locator("#message")).to_contain_text("sets of copies; near are those")
    # Each of the tricks' files is a copy.
    assert pile.count() >= 3
    expect(pile.first.locator("h2")).to_contain_text("Keep one of")
    expect(pile.first.locator("li p").first).to_have_text("keep")
    chosen = pile.first.get_by_role("button", name="Tick")
    number = int(re.search(r"Tick (\d+) of them", chosen.inner_text())[1])
    chosen.click()
    expect(page.locator("#ticked output")).to_have_text(f"{number} ticked")
    ticked = [box.is_checked() for box in pile.first.locator(".tick").all()]
    assert ticked == [False] + [True] * number
    page.get_by_role("button", name="Untick all").click()
    expect(pile.first.locator(".tick").last).not_to_be_checked()
    page.get_by_label("Kinds there are").fill("1000000")
    page.get_by_label("Same kind at least, in %").fill("99.9")
    page.get_by_role("button", name="Groups").click()
    expect(page.locator("#message")).to_contain_text("Same kind at least must be one")
    page.get_by_label("Same kind at least, in %").fill("70")
    page.get_by_label("Kinds there are").fill("2")
    page.get_by_label("Kinds there are").press("Enter")
    expect(page.locator("#message")).to_contain_text("groups, ")
    expect(pile.first.locator("h2")).to_contain_text("photos")
    page.get_by_label("Distance at most").fill("0.001")
    page.get_by_label("Same kind at least, in %").fill("")
    page.get_by_label("Distance at most").press("Enter")
    expect(page.locator("#message")).to_contain_text("pairs within 0.0010.")
    page.get_by_role("button", name="Kinds").click()
    expect(page.locator("#message")).to_contain_text("0 photos by their neighbours")
    page.get_by_role("button", name="Photos").click()
    expect(hits(page)).to_have_count(40)


@needs_chromium
def test_names_are_text(page, pile):
    page.get_by_text("cannot be read").click()
    expect(page.locator("#broken li")).to_contain_text("torn.jpg")
    dialogs = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.dismiss()))
    for number, name in enumerate(TRICKS):
        page.set_input_files("#file", str(pile / f"class_{number}/1.jpg"))
        likes(page, number + 1)
        hit = page.locator("#hits > li", has=page.locator(".copies", has_text="×2"))
        expect(hit.first).to_be_visible()
        del name
    assert dialogs == []


@needs_chromium
@pytest.mark.parametrize("width", [360, 768, 1920])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits(browser, address, width, scheme):
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme
    )
    page = context.new_page()
    page.goto(address)
    expect(page.locator("#hits > li")).to_have_count(40)
    page.locator("#hits > li").first.get_by_role("button", name="Like").click()
    likes(page, 1)
    page.locator(".tick").first.check()
    page.locator("#hits .picture").nth(1).click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    context.close()


@needs_chromium
def test_states_without_photos(browser, address, trained, tmp_path):
    place, empty = str(tmp_path / "index"), tmp_path / "empty"
    empty.mkdir()
    Index(place, SourceConfig(workdir=str(trained[0]))).update(empty)
    page = browser.new_page()
    said = {"done": 10, "total": 1000, "rate": 5.0, "time": time.time()}
    with database.opened(place, write=True) as connection:
        database.tell(connection, {"progress": said})
    for base in serving(place):
        page.goto(base)
        expect(page.locator("#message")).to_have_text("Nothing is indexed yet.")
        expect(page.locator("#progress")).to_have_text(
            "The index is being made: 10 of 1,000 photos, 5.0 a second, 3 minutes left."
        )
    expect(page.locator("#message")).to_contain_text("The server does not answer")
    page.goto(f"{address}?since=2090-01-01")
    expect(page.locator("#message")).to_have_text("No photo passes these filters.")
    page.goto(f"{address}?like=987654")
    expect(page.locator("#message")).to_have_text("the index holds no such photo")
    page.goto(f"{address}?like=u-{'0' * 32}")
    expect(page.locator("#message")).to_contain_text("upload it again")
    page.close()


def request(address, method, path, body=None, **headers):
    place = urllib.parse.urlsplit(address)
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=60)
    connection.putrequest(method, path, skip_host="host" in headers)
    if method == "POST" and "origin" not in headers:
        headers["origin"] = f"http://{place.netloc}"
    if body is not None:
        headers["content-length"] = len(body)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders(body)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content, answer


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/api/state", {"host": "evil.example"}),
        ("GET", "/", {"host": "evil.example:8080"}),
        ("POST", "/api/search", {"origin": "http://evil.example"}),
        ("POST", "/api/search", {"origin": "null"}),
        ("POST", "/api/label", {"origin": "http://127.0.0.1:1"}),
    ],
)
def test_foreign_pages_get_nothing(address, method, path, headers):
    body = b"{}" if method == "POST" else None
    status, content, _ = request(address, method, path, body, **headers)
    assert status == 403
    assert b"error" in content


@pytest.mark.parametrize(
    "endless",
    [
        b"GET / HTTP/1.1\r\nhost: x\r\n" + b"x-more: " + b"a" * 2_000_000 + b"\r\n",
        b"POST /search HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
        b"2\r\n{}\r\n0\r\n" + b"x-more: 0123456789\r\n" * 8_000,
    ],
    ids=["head", "trailers"],
)
def test_what_is_no_body_has_an_end(address, endless):
    parts = urllib.parse.urlsplit(address)
    place = (parts.hostname, parts.port)
    with socket.create_connection(place, timeout=60) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(endless)
        answered = b""
        with contextlib.suppress(ConnectionError):
            while more := connection.recv(65_536):
                answered += more
    # An answer is lost where the rest of what was sent is dropped.
    assert answered == b"" or answered.startswith(b"HTTP/1.1 431 Request Header")


@pytest.mark.parametrize(
    "path",
    [
        "/photo/../../etc/passwd",
        "/photo/..%2f..%2fetc%2fpasswd",
        "/static/../application.py",
        "/static/%2e%2e/application.py",
        "/thumbnail/999999999999999999999",
        "/thumbnail/-1",
        "/thumbnail/%00",
        "/upload/zz",
    ],
)
def test_nothing_but_the_index_is_given(address, path):
    status, content, _ = request(address, "GET", path)
    assert status == 404
    assert b"root:" not in content
    assert b"import" not in content


def test_bounds_and_headers(address):
    _, _, answer = request(address, "GET", "/")
    assert "default-src 'self'" in answer.getheader("content-security-policy")
    assert answer.getheader("x-content-type-options") == "nosniff"
    too_large = b"x" * 33_000_000
    status, content, _ = request(address, "POST", "/api/upload", too_large)
    assert (status, b"at most 32 MB" in content) == (413, True)
    bomb = tf.io.encode_png(np.zeros([12_000, 12_000, 1], np.uint8), 9).numpy()
    status, content, _ = request(address, "POST", "/api/upload", bomb)
    assert (status, b"120000000 pixels" in content) == (422, True)


def test_uploads_on_their_way_are_bounded_together(folder, photos):
    """Eight of the largest; the one beyond is told, and nobody else harmed."""
    with contextlib.contextmanager(serving)(folder, "--max_upload_mb=1") as address:
        place = urllib.parse.urlsplit(address)
        head = (
            f"POST /api/upload HTTP/1.1\r\nHost: {place.netloc}\r\n"
            f"Origin: http://{place.netloc}\r\nContent-Length: 1000000\r\n\r\n"
        )
        with contextlib.ExitStack() as stack:
            where = place.hostname, place.port
            sending = [
                stack.enter_context(socket.create_connection(where, 60))
                for _ in range(9)
            ]
            for one in sending:
                one.sendall(head.encode() + b"x" * 990_000)
            told, _, _ = select.select(sending, [], [], 60)
            assert {one.recv(12) for one in told} == {b"HTTP/1.1 503"}
            # Whose bytes were too many is chance, and more than one may be told.
            assert len(told) < len(sending)
        photo = (photos / "class_0/0.png").read_bytes()
        for _ in range(100):
            status, _, _ = request(address, "POST", "/api/upload", photo)
            if status != 503:
                break
            time.sleep(0.1)
        assert status == 200


def mutated(rng):
    """A request to one of the addresses, right or wrong in one of many ways."""
    values = [
        *(0, 1, -1, 41, 2**63, 2**70, 1.5, True, None, "", "1", "\ud800", "\0", [], {}),
        *("<b>", "a" * 5000, [1, 2, 3, 4], [0, 0, 1e9, 1], [5, 5, 1, 1], "2020-01-01"),
        *("9999-12-31", "0001-01-01", {"photo": 1}, {"photo": 1, "box": [0, 0, 9, 9]}),
        *(
            {"upload": "0" * 32},
            {"photo": 2**64},
            [{"photo": 3}],
            [[[]]],
            {"label": [1]},
        ),
    ]

    def any_value():
        return values[rng.integers(len(values))]

    names = ("like", "unlike", "filter", "count", "photos", "label", "photo", "other")
    names += ("kinds", "precision")
    filters = ("folder", "label", "since", "until")
    body = {name: any_value() for name in names if rng.random() < 0.4}
    if rng.random() < 0.5:
        body["like"] = [any_value() for _ in range(rng.integers(1, 4))]
    if rng.random() < 0.3:
        body["filter"] = {name: any_value() for name in filters if rng.random() < 0.5}
    content = json.dumps(body).encode()
    if rng.random() < 0.1:
        content = bytes(rng.integers(0, 256, rng.integers(0, 200), np.uint8))
    posts = ("/api/search", "/api/label", "/api/list", "/api/upload", "/api/copy")
    posts += ("/api/none", "/", "/api/why")
    posts += ("/api/pile/groups", "/api/pile/labels", "/api/pile/duplicates")
    if rng.random() < 0.8:
        of_each = [0.4, 0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.05, 0.04, 0.04, 0.02]
        return "POST", posts[rng.choice(11, p=of_each)], content
    gets = (
        "/api/state",
        "/thumbnail/",
        "/photo/",
        "/upload/",
        "/static/",
        "/api/search",
    )
    path = gets[rng.integers(len(gets))]
    if path.endswith("/"):
        path += urllib.parse.quote(str(any_value()).encode("utf-8", "replace"), safe="")
    return "GET", path, None


@pytest.mark.parametrize(
    ("seed", "requests"),
    [(0, 500), pytest.param(1, 10_000, marks=pytest.mark.slow)],
)
def test_whatever_is_asked_is_answered(address, seed, requests):
    rng = np.random.default_rng(seed)
    seen = {}
    for _ in range(requests):
        method, path, body = mutated(rng)
        status, content, _ = request(address, method, path, body)
        assert status < 500, (method, path, body, content)
        seen[status] = seen.get(status, 0) + 1
    assert {200, 400, 404} <= set(seen)
