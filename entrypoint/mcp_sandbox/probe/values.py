"""One ordinary value for a place that holds no structure: text, a number, a truth value."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from fractions import Fraction

from mcp_sandbox.model import Json
from mcp_sandbox.probe.combine import Schema, elements, types_of
from mcp_sandbox.probe.hints import SAMPLE_FILE, SCRATCH, Context, Guess, Hint, guess_number
from mcp_sandbox.probe.pattern import example
from mcp_sandbox.probe.schema import UnusableSchema, compile_schema

FORMATS = {
    "date-time": "2026-01-15T12:30:00Z",
    "date": "2026-01-15",
    "time": "12:30:00Z",
    "duration": "PT5M",
    "email": "user@example.com",
    "idn-email": "user@example.com",
    "hostname": "example.com",
    "idn-hostname": "example.com",
    "ipv4": "127.0.0.1",
    "ipv6": "::1",
    "uri": "http://example.com/",
    "uri-reference": "/notes.txt",
    "iri": "http://example.com/",
    "iri-reference": "/notes.txt",
    "url": "http://example.com/",
    "uuid": "3f2b8c1e-5d47-4a6b-9c80-1e2d3c4b5a69",
    "json-pointer": "/a",
    "relative-json-pointer": "0",
    "regex": "a+",
    "byte": "U2FtcGxl",
    "binary": "Sample",
    "uri-template": "http://example.com/{id}",
}
FORMAT_HINTS = {
    "uri": Hint.URL,
    "url": Hint.URL,
    "iri": Hint.URL,
    "uri-reference": Hint.URL,
    "hostname": Hint.HOST,
    "ipv4": Hint.HOST,
    "file-path": Hint.PATH,
    "path": Hint.PATH,
    "directory-path": Hint.DIRECTORY,
}


MAX_TEXT = 100_000
"""A longer string is not made for an ordinary call."""


class Unsatisfiable(Exception):
    """No value was found within the bounds."""


def offered(schema: Schema) -> list[Json]:
    """What the schema itself offers, best first."""
    if "const" in schema:
        return [schema["const"]]
    found = list(elements(schema.get("examples")))
    if "example" in schema:
        found.append(schema["example"])
    if schema.get("default") is not None:
        found.append(schema["default"])
    allowed = elements(schema.get("enum"))
    if allowed:
        return [one for one in found if one in allowed] or allowed[:1]
    if not found:
        return []
    own = {k: v for k, v in schema.items() if k in _OWN_KEYWORDS}
    try:
        checker = compile_schema(own)
    except UnusableSchema:
        return []
    return [one for one in found if one not in _NOTHING and checker.admits(one)]


_NOTHING: tuple[Json, ...] = ("", ".", [], {})
"""Says nothing of what is there, nor does the folder that a server happens to run in."""


STRING_KEYWORDS = frozenset(("type", "pattern", "minLength", "maxLength", "enum", "const"))
"""What decides over a string by itself."""
_OWN_KEYWORDS = STRING_KEYWORDS | {
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "items",
}  # fmt: skip


def ordinary(schema: Schema, kind: str, guess: Guess, name: str, context: Context) -> Json:
    """An ordinary value for a place that holds no structure."""
    if kind == "number":
        return _a_number(schema, guess_number(name, context))
    if kind == "boolean":
        return False
    if kind == "null":
        return None
    return _some_text(schema, guess)


def _some_text(schema: Schema, guess: Guess) -> str:
    value = guess.value if isinstance(guess.value, str) else "sample"
    low, high = schema.get("minLength"), schema.get("maxLength")
    if isinstance(low, int) and 0 < low < MAX_TEXT:
        value = value.ljust(low, "a")
    if isinstance(high, int) and 0 <= high < len(value):
        value = value[:high]
    pattern = schema.get("pattern")
    if not isinstance(pattern, str):
        return value
    try:
        checker = compile_schema({k: v for k, v in schema.items() if k in STRING_KEYWORDS})
    except UnusableSchema:
        return value
    for candidate in _candidates(value, pattern, low):
        if checker.admits(candidate):
            return candidate
    raise Unsatisfiable


def _candidates(value: str, pattern: str, low: Json) -> Iterator[str]:
    yield value
    made = example(pattern)
    if made is not None:
        yield made
        if made and isinstance(low, int) and len(made) < low < MAX_TEXT:
            yield made + made[-1] * (low - len(made))
    yield from _COMMON


_HUGE = 10**300
"""Beyond this a number is neither a float nor worth sending."""
_COMMON = (
    "sample", "Sample", "a", "A", "1", "a1", "abc", "ABC", "abc-123", SAMPLE_FILE,
    f"{SCRATCH}/{SAMPLE_FILE}", "0000", "1.0.0", "user@example.com", "http://example.com/",
    "https://example.com/", "2026-01-15",
    "2026-01-15T12:30:00Z", "12:30", "#336699", "3f2b8c1e-5d47-4a6b-9c80-1e2d3c4b5a69",
    "0123456789abcdef01234567", "+491234567890", "US", "en", "a/b", "aaaaaaaaaaaaaaaaaaaa",
    "00000000-0000-0000-0000-000000000000", "d41d8cd98f00b204e9800998ecf8427e",
)  # fmt: skip


def _a_number(schema: Schema, wanted: int) -> Json:
    """A number near ``wanted`` within the bounds; an integer wherever one fits."""
    low, strict_low = _bound(schema, "minimum", "exclusiveMinimum", max)
    high, strict_high = _bound(schema, "maximum", "exclusiveMaximum", min)
    whole = "integer" in types_of(schema) and "number" not in types_of(schema)
    step = schema.get("multipleOf")
    unit = _fraction(step) if step is not None and _fraction(step) else None
    value = Fraction(wanted)
    if low is not None and (value < low or (strict_low and value == low)):
        value = low + (1 if strict_low else 0)
        if high is not None and value >= high:
            value = (low + high) / 2
    if high is not None and (value > high or (strict_high and value == high)):
        value = high - (1 if strict_high else 0)
        if low is not None and value <= low and strict_high:
            value = (low + high) / 2
    if unit:
        value = math.ceil(value / unit) * unit
        if high is not None and value > high:
            value = math.floor(high / unit) * unit
    elif whole:
        value = Fraction(math.ceil(value))
    if abs(value) > _HUGE:
        raise Unsatisfiable
    if value.denominator == 1:
        return value.numerator
    return float(value)


def _bound(
    schema: Schema, plain: str, strict: str, pick: Callable[[Fraction, Fraction], Fraction]
) -> tuple[Fraction | None, bool]:
    """The tighter of two bounds, and whether it is out itself (draft 4 says so by a flag)."""
    inclusive = _fraction(schema.get(plain))
    exclusive = _fraction(schema.get(strict))
    if schema.get(strict) is True:
        return inclusive, True
    if inclusive is None or exclusive is None:
        return (exclusive, True) if inclusive is None else (inclusive, False)
    tighter = pick(inclusive, exclusive)
    return tighter, bool(tighter == exclusive)


def _fraction(value: Json) -> Fraction | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return Fraction(str(value)) if isinstance(value, float) else Fraction(value)


def unlike(schema: Json, value: Json, taken: list[Json], index: int) -> Json:
    """A value unlike those taken, for arrays of unique items."""
    allowed = elements(schema.get("enum")) if isinstance(schema, dict) else []
    for one in allowed:
        if one not in taken:
            return one
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + index
    if isinstance(value, str):
        return f"{value}{index}"
    return value
