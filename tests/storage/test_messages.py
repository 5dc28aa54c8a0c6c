"""Messages that are declared in a table are protocol buffers like any other."""

import pytest
from google.protobuf.message import DecodeError

from abe_tf.storage.messages import FLOAT, INT64, TEXT, message_classes

TABLE = {
    "Inner": {"size": (1, INT64, False)},
    "Outer": {
        "name": (2, TEXT, False),
        "inner": (5, "Inner", True),
        "data": (6, FLOAT, True),
    },
}


def test_fields_lie_where_the_table_says():
    outer = message_classes("one", TABLE)["Outer"]
    message = outer(name="a", inner=[{"size": 3}], data=[0.5])
    wire = b"\x12\x01a\x2a\x02\x08\x03\x32\x04\x00\x00\x00\x3f"
    assert message.SerializeToString() == wire
    # One by one, as older writers have it; a field that is not declared is passed over.
    unpacked = wire[:-6] + b"\x35\x00\x00\x00\x3f" + b"\x78\x07"
    assert outer.FromString(unpacked).data == [0.5]


def test_two_packages_may_have_the_same_names():
    first, second = (message_classes(name, TABLE)["Inner"] for name in ("two", "three"))
    assert first.DESCRIPTOR.full_name == "two.Inner"
    assert second.DESCRIPTOR.full_name == "three.Inner"


def test_what_is_cut_off_is_refused():
    outer = message_classes("four", TABLE)["Outer"]
    with pytest.raises(DecodeError):
        outer.FromString(b"\x12\x05ab")
