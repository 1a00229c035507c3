"""Real runs take seconds each, and want the machine for themselves: they are in `make test-long`."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent.name == "scenarios" and "tmp_path" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.long)
