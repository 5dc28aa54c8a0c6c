"""Names that Matplotlib would read otherwise."""

import pytest

from abe_tf.figures import cost, learners, style


@pytest.fixture
def drawn(monkeypatch):
    """The figures, instead of their files."""
    found = []
    monkeypatch.setattr(style, "png", lambda figure, dpi=110: found.append(figure))
    return found


def texts(legend):
    return [text.get_text().strip() for text in legend.get_texts()]


def test_a_run_whose_name_begins_with_a_line_is_in_the_legend(drawn):
    sizes = {1: {"mean": 50.0, "std": 1.0}, 2: {"mean": 60.0, "std": 0.0}}
    learners.draw({"_mine": sizes, "$x_$": sizes})
    (figure,) = drawn
    assert texts(figure.axes[0].get_legend()) == ["_mine", "$x_$"]


def test_it_is_among_the_networks_too(drawn):
    cost.draw([cost.CostPoint("_mine", 1e6, 1e9, 50.0)], {})
    (figure,) = drawn
    assert texts(figure.legends[0]) == ["_mine"]
