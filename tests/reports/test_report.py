"""The report of real runs, opened in a real browser."""

import html
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import ROOT, SMALL

GROCERY = ROOT.parent / "shared" / "data" / "grocery" / "images"
CHROMIUM = shutil.which("chromium")
# Looks at the page from outside, in a frame of the wanted width.
WATCH = """
<!DOCTYPE html><iframe id="page" src="report.html" width="WIDTH" height="900"></iframe>
<pre id="found"></pre>
<script>
window.onload = () => {
  const inner = document.getElementById("page").contentWindow;
  const page = inner.document;
  document.getElementById("found").textContent = JSON.stringify({
    width: inner.innerWidth,
    scrolled: page.documentElement.scrollWidth,
    // A picture that could not be decoded is 0 wide.
    images: [...page.images].map(i => [i.naturalWidth, i.naturalHeight]),
    requests: inner.performance.getEntriesByType("resource").map(e => e.name),
    headings: [...page.querySelectorAll("h2")].map(h => h.textContent),
  });
};
</script>
"""


def open_in_browser(folder, width):
    """What a browser makes of folder/report.html, and what it wrote to its console."""
    watcher = folder / f"watch_{width}.html"
    # The frame has a border of 2 pixels on either side, outside its width.
    watcher.write_text(WATCH.replace("WIDTH", str(width)))
    result = subprocess.run(
        [
            *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu"),
            *("--allow-file-access-from-files", "--enable-logging=stderr"),
            *("--virtual-time-budget=20000", "--dump-dom", watcher.as_uri()),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    found = re.search(r'<pre id="found">(.*?)</pre>', result.stdout, re.DOTALL)
    console = [line for line in result.stderr.splitlines() if "CONSOLE" in line]
    return json.loads(html.unescape(found[1])), console


def train(run_command, workdir, *flags):
    run_command("abe_tf.train", f"--workdir={workdir}", "--steps=2", *flags)


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium, which is not installed")
@pytest.mark.skipif(not GROCERY.is_dir(), reason=f"needs {GROCERY}, which is not there")
def test_the_report_of_a_grocery_run_in_a_browser(run_command, tmp_path):
    train(
        run_command,
        tmp_path / "run",
        *(*SMALL, "--image_size=64", f"--data_dir={GROCERY}", "--test_classes=41:52"),
        *("--train_classes=0:20", "--validation_classes=0.2"),
    )
    run_command("abe_tf.report", f"--workdir={tmp_path / 'run'}")
    for width in (1280, 390):
        found, console = open_in_browser(tmp_path / "run", width)
        assert found["width"] == width
        assert found["scrolled"] <= width
        assert not console
        assert found["requests"] == []
        assert len(found["images"]) >= 8
        assert np.min(found["images"]) > 200
        for heading in ("Recall@K", "Recall and cost", "Masks, channel by channel"):
            assert heading in found["headings"]


def text_of(path):
    return re.sub(r"<[^>]+>", " ", path.read_text())


def test_runs_stand_side_by_side_and_seeds_are_summed_up(photos, run_command, tmp_path):
    common = (*SMALL, f"--data_dir={photos}", "--train_classes=0:5")
    train(run_command, tmp_path / "one", *common, "--seed=1")
    # A repetition, as far as its flags say; another training would take as long again.
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    flagfile = tmp_path / "two" / "flags.cfg"
    flagfile.write_text(flagfile.read_text().replace("--seed=1", "--seed=2"))
    plain = ("--ensemble=none", "--num_learners=1")
    train(run_command, tmp_path / "plain", *common, *plain)
    run_command("abe_tf.evaluate", f"--workdir={tmp_path / 'one'}")
    (tmp_path / "sweep.json").write_text(json.dumps({"lambda_div": SWEPT}))
    run_command(
        "abe_tf.report",
        *(f"--workdir={tmp_path / name}" for name in ("one", "two", "plain")),
        f"--report_dir={tmp_path / 'all'}",
    )
    page = tmp_path / "all" / "report.html"
    text = text_of(page)
    assert re.search(r"one, two\s+2\s+\d+\.\d ± 0\.00", text)
    assert "1-head^16" in text
    assert not re.search(r'(src|href)="(?!data:)', page.read_text())
    # The figures are those of evaluation.
    results = json.loads((tmp_path / "one" / "results.json").read_text())["results"]
    result = results["test/step-2"]
    recall = [f"{value:.1f}" for value in result["ensemble"].values()]
    assert re.search(r"ensemble\s+" + r"\s+".join(map(re.escape, recall)), text)
    assert f"{result['ranking']['ensemble']['map@r']:.1f}" in text
    # Without validation classes there is no best one, and none is shown.
    assert re.search(r"one\s+last\s+step-2", text)
    assert not re.search(r"one\s+best\s+step-2", text)
    pictures = tmp_path / "all" / "pictures"
    for name in (
        *("cost", "similarity", "learners", "mask_means_one", "mask_channels_two"),
        *("worst_plain", "neighbours_plain", "matches_plain", "ablation_lambda_div"),
        "curves_one",
    ):
        pixels = tf.io.decode_png((pictures / f"{name}.png").read_bytes()).numpy()
        assert min(pixels.shape[:2]) > 200
        assert pixels[..., :3].std() > 10
    assert not (pictures / "mask_means_plain.png").exists()


SWEPT = [
    {"value": v, "ensemble": [50.0], "individual": [45.0], "self_pair_cosine": [0.5]}
    for v in ("0", "1")
]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "--workdir must name a run folder"),
        (("--workdir=/nowhere",), "which does not exist"),
        (("--workdir=/tmp", "--workdir=/usr"), "--report_dir must say where"),
        (("--workdir=/tmp/.", "--workdir=/tmp"), "must differ in their last name"),
    ],
)
def test_a_report_of_nothing_is_refused_in_one_line(run_command, flags, message):
    result = run_command("abe_tf.report", *flags, check=False)
    assert result.returncode == 1
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
