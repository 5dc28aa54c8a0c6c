"""The report as one HTML file that needs no other."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator, Sequence

import jinja2

from abe_tf.figures.style import has_letters_of
from abe_tf.reports import tables, text
from abe_tf.reports.measured import RunReport
from abe_tf.reports.pictures import Picture


def render(reports: Sequence[RunReport], pictures: Sequence[Picture]) -> str:
    """The page.

    Args:
      reports: The runs, in the order of the columns.
      pictures: In the order of the page; one of a section stand side by side.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(os.path.dirname(__file__)),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    sections: dict[str, list[dict[str, str]]] = {}
    for picture in pictures:
        encoded = base64.b64encode(picture.png).decode()
        sections.setdefault(picture.section, []).append(
            {"title": picture.run, "caption": picture.caption, "base64": encoded}
        )
    return environment.get_template("report.html").render(
        title="abe_tf: " + ", ".join(report.name for report in reports),
        introduction=" ".join(
            [*(_introduce(report) for report in reports), *_letters(reports)]
        ),
        tables=list(tables.of(reports)) if reports else [],
        sections=sections,
        records=[
            {
                "name": report.name,
                "json": json.dumps(report.record, indent=2),
                "flags": report.flags_text,
            }
            for report in reports
        ],
    )


def _introduce(report: RunReport) -> str:
    about, recall = report.archive.about, report.measured.recall
    of = about.get("known_classes", f"the {about['split']} classes")
    return (
        f"{report.name} is {report.paper_name}, {about['checkpoint']}: "
        f"{recall.num_queries:,} queries of {of} of {about['dataset']} "
        f"{text.where_looked(report.archive, recall)}."
    )


def _letters(reports: Sequence[RunReport]) -> Iterator[str]:
    """A note where names are of letters that pictures cannot have."""
    names = {name for report in reports for name in report.archive.class_names}
    missing = sum(not has_letters_of(name) for name in names)
    if missing:
        yield (
            "Class names of which letters are boxes in pictures, since no font here "
            f"has them (the tables show them): {missing:,}."
        )
