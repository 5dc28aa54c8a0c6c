"""Protocol buffer messages declared in a table, without generated code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_FIELD = descriptor_pb2.FieldDescriptorProto
# Types of fields.
TEXT, BYTES, BOOL = _FIELD.TYPE_STRING, _FIELD.TYPE_BYTES, _FIELD.TYPE_BOOL
INT32, INT64, FLOAT = _FIELD.TYPE_INT32, _FIELD.TYPE_INT64, _FIELD.TYPE_FLOAT
# An enumeration is a number on the wire.
ENUM = INT32

# Number, type (the name of a message, or one of the above), whether repeated.
Field = tuple[int, Any, bool]


def message_classes(
    package: str, messages: Mapping[str, Mapping[str, Field]]
) -> dict[str, Any]:
    """Classes of messages, by name.

    Fields that a table leaves out are passed over when a message is parsed.

        >>> table = {"Point": {"x": (1, FLOAT, False), "tags": (2, TEXT, True)}}
        >>> Point = message_classes("example", table)["Point"]
        >>> Point.FromString(Point(x=2, tags=["a"]).SerializeToString()).x
        2.0

    Args:
      package: Name of the package; messages of two may have the same names.
      messages: Fields by name, by the name of the message. Maps are repeated messages
        of a key and a value.
    """
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{package}.proto", package=package, syntax="proto3"
    )
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for field, (number, kind, repeated) in fields.items():
            label = _FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL
            added = message.field.add(name=field, number=number, label=label)
            if isinstance(kind, str):
                added.type, added.type_name = _FIELD.TYPE_MESSAGE, f".{package}.{kind}"
            else:
                added.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(
            pool.FindMessageTypeByName(f"{package}.{name}")
        )
        for name in messages
    }
