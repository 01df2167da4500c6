"""What the store's JSON documents have in common: known fields are checked, unknown ones are kept."""

from typing import Any, Self

import msgspec


class Document(msgspec.Struct, kw_only=True):
    """An object of a JSON document. Its class has the fields that we know."""

    written: dict[str, Any] = msgspec.field(name="(written)", default_factory=dict)
    """What it was made from, as JSON has it: also what we do not know."""

    @classmethod
    def of(cls, fields: dict[str, Any]) -> Self:
        """Return what ``fields`` say. Raises `ValueError` where one of ours is of another type."""
        try:
            found = msgspec.convert(fields, cls)
        except msgspec.ValidationError as error:
            what, _, where = str(error).partition(" - at `$.")
            raise ValueError(f"{where.rstrip('`')}: {what}" if where else what) from None
        _keep(found, fields)
        return found

    def as_json(self, *, none: bool = True) -> dict[str, Any]:
        """Return its fields, ours first, with the defaults of those that were not given.

        Without ``none`` those are left out that have no value.
        """
        ours = type(self).__struct_fields__
        fields = {name: _plain(getattr(self, name), none) for name in ours if name != "written"}
        fields |= {name: value for name, value in self.written.items() if name not in fields}
        return {name: value for name, value in fields.items() if none or value is not None}


def _keep(value: "Document | list[Any] | dict[str, Any]", written: Any) -> None:
    """Let each document in ``value`` know what it was made from."""
    if isinstance(value, Document):
        value.written = written
        for name in written.keys() & type(value).__struct_fields__:
            inner = getattr(value, name)
            if isinstance(inner, (Document, list, dict)) and inner:
                _keep(inner, written[name])
    elif isinstance(value, list):
        if isinstance(value[0], Document):
            for one, its in zip(value, written, strict=True):
                _keep(one, its)
    elif isinstance(next(iter(value.values())), Document):
        for name, one in value.items():
            _keep(one, written[name])


def _plain(value: Any, none: bool) -> Any:
    """Return a value of a document as JSON has it; what is no document of ours is as it was."""
    if isinstance(value, Document):
        return value.as_json(none=none)
    if isinstance(value, list) and value and isinstance(value[0], Document):
        return [one.as_json(none=none) for one in value]
    if isinstance(value, dict) and isinstance(next(iter(value.values()), None), Document):
        return {name: one.as_json(none=none) for name, one in value.items()}
    return value
