"""The fields of cachify's JSON (manual, section JSON), and a checker for them.

A schema is: a type or a tuple of types (None for null); a list of one schema, for arrays; a
dictionary, for an object with exactly these fields; a compiled pattern, for text; a set, for one of
its members; a function, for whatever it says.
"""

import re

NUMBER = (int, float)
COUNT = lambda value: type(value) is int and value >= 0  # noqa: E731
SECONDS = lambda value: type(value) in NUMBER and value >= 0  # noqa: E731


def or_null(schema):
    return lambda value: value is None or fits(schema, value)


SUMMARY = {
    "key": str,
    "kind": {"pool", "lock"},
    "store": str,
    "max": or_null(COUNT),
    "stored_max": or_null(COUNT),
    "size": COUNT,
    "free": or_null(COUNT),
    "waiting": COUNT,
    "closed": bool,
}
WHO = {
    "weight": COUNT,
    "shared": bool,
    "host": str,
    "pid": COUNT,
    "user": str,
    "command": str,
    "since": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"),
    "age": SECONDS,
}
HOLDER = {
    "id": str,
    "slot": COUNT,
    **WHO,
    "expires": or_null(SECONDS),
    "fence": COUNT,
    "orphan": bool,
    "ending": bool,
}
WAITER = {"id": str, "position": COUNT, "priority": int, **WHO}
MAP = {
    "host": str,
    "pid": COUNT,
    "user": str,
    "command": str,
    "since": WHO["since"],
    "uptime": SECONDS,
    "queued": COUNT,
    "running": COUNT,
    "done": COUNT,
    "failed": COUNT,
    "idle": COUNT,
}
COUNTERS = {
    "admitted": COUNT,
    "rejected": COUNT,
    "timed_out": COUNT,
    "dismissed": COUNT,
    "expired": COUNT,
    "completed": COUNT,
    "longest_wait": SECONDS,
    "mean_wait": SECONDS,
}
STATUS = {
    **SUMMARY,
    "holders": [HOLDER],
    "waiters": [WAITER],
    "counters": COUNTERS,
    "uptime": or_null(SECONDS),
    "maps": [MAP],
}
LIST = [SUMMARY]
DOCTOR = {
    "ok": bool,
    "version": str,
    "store": or_null(str),
    "prefix": str,
    "config": or_null(str),
    "profile": or_null(str),
    "findings": [{"grade": {"ok", "warn", "bad"}, "text": str, "advice": or_null(str)}],
}


def fits(schema, value):
    return not problems(schema, value)


def problems(schema, value, place="$"):
    """What is wrong, a line each; empty when the value is as it should be."""
    if isinstance(schema, dict):
        if not isinstance(value, dict):
            return [f"{place}: {value!r} is no object"]
        found = [f"{place}: {name} is missing" for name in schema if name not in value]
        found += [f"{place}: {name} is not in the schema" for name in value if name not in schema]
        for name in schema.keys() & value.keys():
            found += problems(schema[name], value[name], f"{place}.{name}")
        return found
    if isinstance(schema, list):
        if not isinstance(value, list):
            return [f"{place}: {value!r} is no array"]
        return [line for i, item in enumerate(value) for line in problems(schema[0], item, f"{place}[{i}]")]
    if isinstance(schema, re.Pattern):
        right = isinstance(value, str) and schema.fullmatch(value)
    elif isinstance(schema, set):
        right = value in schema
    elif isinstance(schema, type):
        right = type(value) is schema  # True is no number
    else:
        right = schema(value)
    return [] if right else [f"{place}: {value!r}"]
