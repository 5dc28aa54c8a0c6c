"""Frozen dataclasses whose fields are absl flags: declared once, checked once."""

from __future__ import annotations

import csv
import dataclasses
import functools
import io
import math
import os
import typing
from typing import Any, TypeVar

from absl import flags

from abe_tf.config.sizes import ImageSize, SizeParser, as_text
from abe_tf.errors import InputError

_PARSERS: dict[Any, flags.ArgumentParser] = {
    int: flags.IntegerParser(),
    float: flags.FloatParser(),
    bool: flags.BooleanParser(),
    str: flags.ArgumentParser(),
    ImageSize: SizeParser(),
}


def option(
    default: Any,
    text: str,
    *,
    lower: float | None = None,
    upper: float | None = None,
    choices: tuple[str, ...] | None = None,
    repeated: bool = False,
) -> Any:
    """A dataclass field that is also a flag.

    Args:
      default: Its default; `None` makes the flag optional.
      text: The help text.
      lower: Smallest legal number, or `None`.
      upper: Largest legal number, or `None`.
      choices: The legal values, or `None` for any.
      repeated: For a tuple of texts: each comes with a flag of its own, and may hold
        commas.
    """
    if choices:
        text = f"{'|'.join(choices)}: {text}"
    metadata = {
        "text": text,
        "lower": lower,
        "upper": upper,
        "choices": choices,
        "repeated": repeated,
    }
    return dataclasses.field(default=default, metadata=metadata)


class Group:
    """Base of the flag groups: checks ranges and choices, then `check_together`."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            _check_field(field, getattr(self, field.name))
        self.check_together()

    def check_together(self) -> None:
        """Checks that involve more than one field."""


G = TypeVar("G", bound=Group)


def _check_field(field: dataclasses.Field, value: Any) -> None:
    lower, upper = field.metadata["lower"], field.metadata["upper"]
    choices = field.metadata["choices"]
    values = value if isinstance(value, tuple) else (value,)
    for one in values if choices else ():
        if one is not None and one not in choices:
            raise InputError(
                f"--{field.name} must be one of {', '.join(choices)}. "
                f"Received: {one!r}."
            )
    for number in values:
        if number is None:
            continue
        if isinstance(number, float) and not math.isfinite(number):
            raise InputError(f"--{field.name} must be finite. Received: {number}.")
        if lower is not None and number < lower:
            raise InputError(
                f"--{field.name} must be at least {lower}. Received: {number}."
            )
        if upper is not None and number > upper:
            raise InputError(
                f"--{field.name} must be at most {upper}. Received: {number}."
            )


@functools.cache
def _hints(group: Any) -> dict[str, Any]:
    """Types by the field's name: evaluating them takes milliseconds, and each asks."""
    return typing.get_type_hints(group)


def _value_type(group: Any, name: str) -> Any:
    """The type of one value: `int` for `int`, `int | None` and `tuple[int, ...]`."""
    hint = _hints(group)[name]
    if hint == ImageSize:
        return hint
    arguments = [a for a in typing.get_args(hint) if a not in (type(None), ...)]
    return arguments[0] if arguments else hint


def _is_list(field: dataclasses.Field) -> bool:
    return isinstance(field.default, tuple)


def define(group: type[Group], values: flags.FlagValues) -> None:
    """Defines the flags of a group among `values`."""
    for field in dataclasses.fields(group):  # type: ignore[arg-type]
        name, text = field.name, field.metadata["text"]
        default: Any = field.default
        if field.metadata["repeated"]:
            flags.DEFINE_multi_string(name, list(default), text, flag_values=values)
            continue
        if _is_list(field):
            flags.DEFINE_list(name, _as_list(default), text, flag_values=values)
            continue
        kind = _value_type(group, name)
        if kind is bool:
            flags.DEFINE_bool(name, default, text, flag_values=values)
        else:
            flags.DEFINE(
                _PARSERS[kind],
                name,
                default,
                text,
                flag_values=values,
                serializer=flags.ArgumentSerializer(),
            )


def read(group: type[G], values: flags.FlagValues) -> G:
    """Builds a group from parsed flags.

    Raises:
      InputError: A value breaks one of the group's rules.
    """
    fields = {}
    for field in dataclasses.fields(group):  # type: ignore[arg-type]
        value: Any = values[field.name].value
        if _is_list(field):
            value = _parse_list(group, field.name, value)
        # No shell does it behind an equals sign.
        if isinstance(value, str):
            value = os.path.expanduser(value)
        elif isinstance(value, tuple) and value and isinstance(value[0], str):
            value = tuple(map(os.path.expanduser, value))
        fields[field.name] = value
    return group(**fields)


def _parse_list(group: type[Group], name: str, texts: list[str]) -> tuple:
    kind = _value_type(group, name)
    try:
        return tuple(kind(text) for text in texts)
    except ValueError:
        raise InputError(
            f"--{name} must be a list of {kind.__name__} with commas between. "
            f"Received: {','.join(texts)!r}."
        ) from None


def write_flagfile(groups: list[Group]) -> str:
    """The groups as the text of a flagfile that gives the same groups again."""
    lines = []
    for group in groups:
        for field in dataclasses.fields(group):  # type: ignore[arg-type]
            value = getattr(group, field.name)
            if value is None:
                continue
            if isinstance(value, bool):
                value = str(value).lower()
            elif _value_type(type(group), field.name) == ImageSize:
                value = as_text(value)
            elif isinstance(value, tuple):
                value = _as_list(value)
            lines.append(f"--{field.name}={value}\n")
    return "".join(lines)


def _as_list(values: tuple) -> str:
    """As absl reads lists: what has a comma within stands in quotes."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(values)
    return text.getvalue()


def read_flagfile(text: str, groups: list[type[Group]]) -> list[Any]:
    """Reads what `write_flagfile` wrote.

    Raises:
      InputError: A line is no flag of these groups, or breaks a rule.
    """
    values = flags.FlagValues()
    for group in groups:
        define(group, values)
    # Not splitlines: a path may hold what that takes for the end of a line.
    lines = text.removesuffix("\n").split("\n")
    for number, line in enumerate(lines, 1):
        name, equals, _ = line.removeprefix("--").partition("=")
        # A line that is none would be an argument, and passed over.
        if not line.startswith("--") or not equals or name not in values:
            raise InputError(
                "Each line of flags.cfg must be --NAME=VALUE, of a flag of this "
                f"program. Received: line {number}: {line[:100]!r}."
            )
    try:
        values(["flagfile", *lines])
    except flags.Error as error:
        raise InputError(f"{error}".replace("\n", " ")) from error
    return [read(group, values) for group in groups]
