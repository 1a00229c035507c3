import contextlib

import pytest

pytest.register_assert_rewrite("grid.cells", "grid.client")


class Street:
    """The shops of the grid. One is open at a time: the tests come in their order."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack
        self._shop = None

    def shop(self, framework: str, server: str):
        from grid.shop import opened

        open_now = self._shop
        if open_now is None or (open_now.framework, open_now.server) != (framework, server):
            self._stack.close()
            self._shop = None
            self._shop = self._stack.enter_context(opened(framework, server))
        return self._shop


@pytest.fixture(scope="module")
def street():
    with contextlib.ExitStack() as stack:
        yield Street(stack)
