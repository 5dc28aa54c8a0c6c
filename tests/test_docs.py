"""README and docs/: links lead somewhere, and every command has the flags it is given.

What the commands do is run by the end-to-end tests; here each is held against its own
`--help`, so that no text keeps a flag that a command has lost.
"""

import re

import pytest

from tests.conftest import ROOT

TEXTS = [ROOT / "README.md", ROOT / "BUILD.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\]\(([^)#\s]*)(#[^)\s]*)?\)")
COMMAND = re.compile(r"python -m ((?:abe_tf|export|benchmarks)[\w.]*)([^`\n|]*)")
FLAG = re.compile(r"--(\w+)")


def anchors(path):
    """What links within a text may name, as GitHub makes them of headings."""
    found = set()
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            words = re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower())
            found.add("#" + words.replace(" ", "-"))
    return found


def commands():
    """The flags that the texts give to each module, with where."""
    found = {}
    for path in TEXTS:
        for module, rest in COMMAND.findall(path.read_text(encoding="utf-8")):
            # Behind a lone -- stand flags of Apache Beam.
            for flag in FLAG.findall(rest.split(" #")[0].split(" -- ")[0]):
                found.setdefault(module, {})[flag] = path.name
    return found


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    links = LINK.findall(path.read_text(encoding="utf-8"))
    for place, anchor in links:
        if place.startswith("https://"):
            continue
        target = (path.parent / place) if place else path
        assert target.exists(), f"{path.name} links to {place}"
        assert not anchor or anchor in anchors(target), f"{path.name}: {place}{anchor}"


def test_the_readme_is_short_and_leads_to_all_of_docs():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    for path in (ROOT / "docs").glob("*.md"):
        assert f"(docs/{path.name})" in text


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_no_text_needs_what_lies_outside_of_a_clone(path):
    assert "../shared" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("module", sorted(commands()))
def test_every_flag_that_a_text_gives_to_a_command_is_its_own(module, run_command):
    help_text = run_command(module, "--help", check=False).stdout
    known = set(re.findall(r"^ +--(?:\[no\])?(\w+):", help_text, re.MULTILINE))
    for flag, where in commands()[module].items():
        # absl's own, which --help leaves out.
        names = {flag, flag.removeprefix("no")}
        assert names & (known | {"flagfile"}), f"{where}: {module} has no --{flag}"


def test_every_command_is_one_that_tests_run():
    """Benchmarks are run by hand: their figures stand beside, with the day."""
    tests = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for path in TEXTS:
        text = path.read_text(encoding="utf-8")
        for module, _ in COMMAND.findall(text):
            if module.startswith("benchmarks."):
                assert re.search(r"20\d\d-\d\d-\d\d", text), f"{path.name}: {module}"
            else:
                assert f'"{module}"' in tests, f"{path.name}: no test runs {module}"
        for target in re.findall(r"^    make ([a-z-]+)", text, re.MULTILINE):
            assert target in targets, f"{path.name}: make {target}"
        for pins in re.findall(r"pip install .*-r ([\w./-]+)", text):
            assert (ROOT / pins).is_file(), f"{path.name}: {pins}"
