"""Work that is done later: which there is of a document, and what is said of it after a restart."""

import asyncio

import pytest

from holdfast.prove.acts.drain import jobs
from holdfast.prove.acts.drain.jobs import Job, Peace, asked, in_peace, kinds, lost
from holdfast.prove.config import Template
from holdfast.prove.http import Answer

pytestmark = pytest.mark.anyio

FORM = {"name": "form", "in": "query", "required": True, "schema": {"enum": ["csv", "x y"]}}
WHERE = {"name": "id", "in": "path", "required": True}
LATER = {"parameters": [FORM], "responses": {"202": {}}}


def document(**more: object) -> dict[str, object]:
    return {
        "openapi": "3.1.0",
        "paths": {"/jobs": {"post": LATER}, "/jobs/{id}": {"get": {"parameters": [WHERE]}}, **more},
    }


def test_each_choice_that_the_document_names_is_a_kind():
    assert [one.shown for one in kinds(document())] == ["POST /jobs?form=csv", "POST /jobs?form=x+y"]


@pytest.mark.parametrize(
    "post",
    [
        {"parameters": [FORM], "responses": {"201": {}}},
        {"parameters": [{"name": "q", "in": "query", "required": True}], "responses": {"202": {}}},
        {"parameters": [{**FORM, "in": "header"}], "responses": {"202": {}}},
    ],
    ids=["it is done at once", "nobody knows what to ask for", "a header is wanted"],
)
def test_what_cannot_be_asked_for_is_none(post):
    assert kinds({"openapi": "3.1.0", "paths": {"/jobs": {"post": post}, "/jobs/{id}": {"get": {}}}}) == []
    assert kinds({"openapi": "3.1.0", "paths": {"/jobs": {"post": LATER}}}) == []  # nobody tells how far it is


class Talk:
    """What a backend says, one answer after the other, and the last one for ever."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **said: list[tuple[int, str]]) -> None:
        self.said = said
        monkeypatch.setattr(jobs, "send", self.send)

    async def send(self, app: object, template: Template, **_: object) -> tuple[None, Answer]:
        del app
        await asyncio.sleep(0)
        left = self.said[template.path.rpartition("/")[2].partition("?")[0]]
        status, body = left.pop(0) if len(left) > 1 else left[0]
        return None, Answer(status, {}, body.encode(), 0.0)


def state(word: str, status: int = 200) -> tuple[int, str]:
    return status, f'{{"id": "a", "state": "{word}"}}'


POST = Template("POST", "/jobs?form=csv")
PEACE = Peace(Job(POST, "/jobs/a", "waiting"), frozenset({"running", "ready"}), "ready", 0.2)
TAKEN = Job(POST, "/jobs/b", "waiting")


async def test_one_that_is_accepted_names_itself_and_its_state(monkeypatch):
    Talk(monkeypatch, jobs=[state("waiting", 202), state("ready", 200), (202, "{}")])
    assert await asked(None, POST) == Job(POST, "/jobs/a", "waiting")
    assert await asked(None, POST) is None
    assert await asked(None, POST) is None


async def test_in_peace_it_is_seen_what_becomes_of_it(monkeypatch):
    monkeypatch.setattr(jobs, "_STILL_S", 0.2)
    Talk(monkeypatch, jobs=[state("waiting", 202)], a=[state("waiting"), state("running"), state("ready")])
    (peace,) = await in_peace(None, [POST])
    assert peace.states == {"running", "ready"}


@pytest.mark.parametrize(
    ("peaceful", "taken", "word"),
    [
        ([state("ready")], [state("waiting"), (0, ""), state("running"), state("ready")], ""),
        ([state("ready")], [state("running"), state("cut")], ""),
        ([state("ready")], [state("waiting"), state("cut")], "says 'cut' after the restart"),
        ([state("ready")], [state("waiting")], "says 'waiting' after the restart"),
        ([state("ready")], [(404, "")], "'HTTP 404' after the restart"),
        ([(404, "")], [(404, "")], ""),
        ([state("archived")], [state("archived")], ""),
    ],
    ids=["done", "begun again", "cut", "forgotten", "gone", "none is kept", "another name for it"],
)
async def test_after_the_restart_it_becomes_what_it_became_in_peace(monkeypatch, peaceful, taken, word):
    monkeypatch.setattr(jobs, "_BACK_S", 0.3)
    monkeypatch.setattr(jobs, "_LOOK_S", 0.01)
    Talk(monkeypatch, a=list(peaceful), b=list(taken))
    found = await lost(None, [TAKEN], [PEACE])
    assert word in found
    assert bool(word) == bool(found)
