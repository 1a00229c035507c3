"""What the page says of leaving a route, tried: its examples leave one."""

import re
import sys
import types

import pytest
from calling import call, scope_of
from grid.page import PAGE

from holdfast.decide.routes import route_of

pytestmark = pytest.mark.anyio
EXAMPLES = [text for text in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL) if "path_template" in text]


def test_there_are_examples_for_those_that_leave_no_route():
    assert len(EXAMPLES) == 3


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
async def test_an_example_leaves_the_route(number, monkeypatch):
    module = types.ModuleType(f"example_{number}")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(EXAMPLES[number], module.__name__, "exec"), vars(module))
    scope = scope_of("/items/7", asgi={"version": "3.0"}, http_version="1.1", root_path="", server=("shop.test", 80))
    answer = await call(module.app, scope)
    assert answer.body == b"7"
    assert route_of(scope) in {"/items/<item_id>", "/items/{item_id}", "/items/<str:item_id>"}
