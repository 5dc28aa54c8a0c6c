"""Cells of a report's tables stand under the heads that they belong to."""

import types

from abe_tf.reports import tables
from abe_tf.retrieval.recall import Recall


def report(name, ks, learners):
    by_learner = [{k: 10.0 * number + k for k in ks} for number in range(learners)]
    whole = {k: 50.0 + k for k in ks}
    recall = Recall(9, 9, whole, whole, by_learner, 0.5 if learners > 1 else None)
    side = types.SimpleNamespace(lengths=None)
    return types.SimpleNamespace(
        name=name,
        paper_name="none of the paper's",
        measured=types.SimpleNamespace(recall=recall, interval=(1.0, 2.0)),
        archive=types.SimpleNamespace(about={"dataset": "image_folder"}, queries=side),
    )


def test_runs_of_different_k_stand_in_one_table():
    reports = [report("digits", (1, 2, 4), 2), report("shop", (1, 10), 2)]
    table = tables._recall(reports)
    assert table.head == ["", "", "@1", "@2", "@4", "@10", "95 % of @1"]
    cells = [row.cells for row in table.rows]
    assert {len(row) for row in cells} == {7}
    (_, _, first, _, _, second) = cells
    assert first[1:] == ["learners", "6.0 ± 5.00", "7.0 ± 5.00", "9.0 ± 5.00", "", ""]
    assert second[1:] == ["learners", "6.0 ± 5.00", "", "", "15.0 ± 5.00", ""]


def test_one_learner_has_one_row():
    (row,) = tables._recall([report("one", (1, 2), 1)]).rows
    assert row.cells == ["one", "ensemble", "51.0", "52.0", "1.0 to 2.0"]
