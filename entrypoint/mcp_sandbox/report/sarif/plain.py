"""The objects of ``sarif-om`` as JSON values.

Only what was not set is dropped. The usual serialiser of these classes also drops what equals a
default of the schema, and with it ``level: warning`` of a result whose rule says ``error``.
"""

from __future__ import annotations

from typing import Any

# sarif-om writes the name of an early draft.
_RENAMED = {("Suppression", "state"): "status"}
# "Not set", where the schema gives a number as default.
_UNSET_NUMBERS = (-1, -1.0)


def document(value: Any) -> Any:
    """``value``, which may be one such object, a list of them, or a JSON value already."""
    if isinstance(value, list):
        return [document(item) for item in value]
    attributes = getattr(type(value), "__attrs_attrs__", None)
    if attributes is None:
        return value
    written = {}
    for attribute in attributes:
        item = getattr(value, attribute.name)
        if item is None or (attribute.default in _UNSET_NUMBERS and item == attribute.default):
            continue
        plain = attribute.metadata["schema_property_name"]
        name = _RENAMED.get((type(value).__name__, attribute.name), plain)
        written[name] = document(item)
    return written
