"""Lists as backends give them out, whatever their shape: what something in them is called. Pure."""

from typing import cast


def listed(value: object, name: str, key: str) -> str:
    """What something in a list is called that has `name` in one of its texts."""
    if isinstance(value, list):
        return next((found for each in cast("list[object]", value) if (found := listed(each, name, key))), "")
    if isinstance(value, dict):
        table = cast("dict[str, object]", value)
        if any(isinstance(each, str) and name in each for each in table.values()) and isinstance(
            table.get(key), str | int
        ):
            return str(table[key])
        return next((found for each in table.values() if (found := listed(each, name, key))), "")
    return ""
