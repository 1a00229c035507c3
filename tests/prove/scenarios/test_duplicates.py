"""What is sent twice takes effect once: what the scenarios say of backends of both kinds."""

import msgspec
import pytest
from proving import proving, verdict

from holdfast.decide.verdicts import Verdict
from holdfast.prove.scenarios import duplicates, resumed_twice
from holdfast.prove.scenarios.duplicates import Duplicates, Repeated
from holdfast.prove.scenarios.resumed_twice import Finished, Piece, Resumed

pytestmark = pytest.mark.anyio

KEPT = Duplicates(well="201", fault="12 writes", keyed=True, repeated=(Repeated("twice in turn", (201, 201), 1),))
ONCE = Resumed(
    well="204",
    fault="twice",
    resumable=True,
    pieces=(Piece("in turn", (204, 409), 30, 30, True),),
    finished=(Finished("in turn", (204, 409), 1, True),),
)

SOURCE = """
    import asyncio, json, os, sqlite3
    from fastapi import FastAPI, Header, Request
    from fastapi.responses import JSONResponse

    app = FastAPI()
    db = sqlite3.connect(os.path.join(os.environ["SHOP_DATA"], "shop.sqlite"), isolation_level=None)
    db.execute("create table if not exists items (id integer primary key, name text)")
    db.execute("create table if not exists keys (key text primary key, body text, answer text)")
    lock = asyncio.Lock()


    @app.get("/items")
    async def items():
        return [row[0] for row in db.execute("select name from items")]


    @app.post("/items")
    async def make(request: Request, idempotency_key: str = Header()):
        body = (await request.body()).decode()
        MAKE


    async def once(key, body):
        async with lock:
            found = db.execute("select body, answer from keys where key = ?", (key,)).fetchone()
            if found and found[0] != body:
                return JSONResponse({"detail": "other"}, 422)
            if found:
                return JSONResponse(json.loads(found[1]))
            db.execute("begin")
            answer = added(body)
            db.execute("insert into keys values (?, ?, ?)", (key, body, json.dumps(answer)))
            db.execute("commit")
            return JSONResponse(answer)


    def added(body):
        return {"id": db.execute("insert into items (name) values (?)", (json.loads(body)["name"],)).lastrowid}
"""
WRITE = {
    "request": "POST /items",
    "json": {"name": "{name}"},
    "id": "id",
    "content": "/items",
    "key": "Idempotency-Key",
}
WRONG = {
    "keys are not looked at": ("return added(body)", "took effect 2 times"),
    "keys are looked at without a lock": (
        "if db.execute('select 1 from keys where key = ?', (idempotency_key,)).fetchone(): return {'id': 1}\n"
        "        await asyncio.sleep(0.05)\n"
        "        db.execute('insert or ignore into keys values (?, 1, 1)', (idempotency_key,))\n"
        "        added(body); return {'id': 1}",
        "took effect 8 times",
    ),
    "keys are forgotten at a restart": (
        "global KEYS; KEYS = globals().get('KEYS', {})\n"
        "        if idempotency_key in KEYS:\n"
        "            known = KEYS[idempotency_key]\n"
        "            return known[1] if known[0] == body else JSONResponse({'detail': 'other'}, 422)\n"
        "        KEYS[idempotency_key] = (body, added(body))\n"
        "        return KEYS[idempotency_key][1]",
        "again after kill -9",
    ),
    "a repetition is refused": (
        "answer = await once(idempotency_key, body)\n"
        "        global SEEN; SEEN = globals().get('SEEN', set())\n"
        "        if idempotency_key in SEEN: return JSONResponse({'detail': 'again'}, 409)\n"
        "        SEEN.add(idempotency_key); return answer",
        "the repetition was answered with 409",
    ),
    "another body is taken for a repetition": (
        "answer = await once(idempotency_key, body)\n        return {'id': 1} if answer.status_code == 422 else answer",
        "with another body was answered with 200",
    ),
}


@pytest.mark.parametrize(
    ("facts", "kind", "why"),
    [
        (KEPT, Verdict.KEPT, "Each of 1 writes"),
        (Duplicates(), Verdict.NOT_PROVEN, "no part for it yet"),
        ({"again": "it ended"}, Verdict.BROKEN, "did not start again: it ended"),
        (
            {"repeated": (Repeated("twice in turn", (201, 201), 2),)},
            Verdict.BROKEN,
            "twice in turn took effect 2 times",
        ),
        ({"repeated": (Repeated("twice in turn", (201, 201), 0),)}, Verdict.BROKEN, "took effect 0 times"),
        ({"repeated": (Repeated("twice in turn", (201, 201), -1),)}, Verdict.NOT_PROVEN, "could not be seen"),
        (
            {"repeated": (Repeated("at once", (201, 500), 1, "the answers differ"),)},
            Verdict.BROKEN,
            "the answers differ",
        ),
    ],
)
def test_what_is_judged_of_writes(facts, kind, why):
    judgement = duplicates.judge(msgspec.structs.replace(KEPT, **facts) if isinstance(facts, dict) else facts)
    assert judgement.verdict is kind
    assert why in judgement.why


def test_without_a_key_nothing_is_asked():
    assert not duplicates.judge(Duplicates()).applies
    assert not resumed_twice.judge(Resumed()).applies


@pytest.mark.parametrize(
    ("finished", "kind", "why"),
    [
        (Finished("in turn", (204, 409), 1, True), Verdict.KEPT, "one file came of each"),
        (Finished("at once", (204, 204), 2, True), Verdict.BROKEN, "2 files came of it"),
        (Finished("at once", (204, 204), 1, False), Verdict.BROKEN, "another than was sent"),
        (Finished("at once", (409, 409), 1, None), Verdict.BROKEN, "with 409 and 409"),
        (Finished("at once", (204, 500), 1, True), Verdict.BROKEN, "204 and 500"),
        (Finished("at once", (204, 0), 1, True), Verdict.BROKEN, "204 and nothing"),
        (Finished("at once", (204, 409)), Verdict.NOT_PROVEN, "could not be seen"),
    ],
)
def test_what_is_judged_of_uploads(finished, kind, why):
    judgement = resumed_twice.judge(msgspec.structs.replace(ONCE, finished=(finished,)))
    assert judgement.verdict is kind
    assert why in judgement.why


@pytest.mark.parametrize(
    ("piece", "kind", "why"),
    [
        (Piece("in turn", (204, 409), 30, 30, True), Verdict.KEPT, "A piece of 2 uploads"),
        (Piece("in turn", (204, 204), 30, 30, True), Verdict.KEPT, "one file came of each"),
        (Piece("at once", (204, 423), 30, 12, True), Verdict.KEPT, "one file came of each"),
        (Piece("in turn", (404, 404), 30), Verdict.KEPT, "one file came of each"),
        (Piece("in turn", (204, 204), 30, 60), Verdict.BROKEN, "had 60 bytes, and 30 were sent"),
        (Piece("in turn", (204, 204), 30, -1, False), Verdict.BROKEN, "its content is another than was sent"),
        (Piece("at once", (204, 500), 30, 30, True), Verdict.BROKEN, "the answers were 204 and 500"),
    ],
)
def test_what_is_judged_of_pieces(piece, kind, why):
    judgement = resumed_twice.judge(msgspec.structs.replace(ONCE, pieces=(piece,)))
    assert judgement.verdict is kind
    assert why in judgement.why


async def test_a_backend_that_keeps_keys_with_the_write_keeps_the_promise(tmp_path):
    source = SOURCE.replace("MAKE", "return await once(idempotency_key, body)")
    async with proving(tmp_path, source, read="GET /items", write=WRITE) as stage:
        facts = await duplicates.gather(stage)
    assert verdict(duplicates.SCENARIO, facts).verdict is Verdict.KEPT, duplicates.judge(facts).why
    assert len(facts.repeated) == 5


@pytest.mark.parametrize("how", WRONG)
async def test_one_that_does_not_breaks_it(tmp_path, how):
    make, why = WRONG[how]
    async with proving(tmp_path, SOURCE.replace("MAKE", make), read="GET /items", write=WRITE) as stage:
        facts = await duplicates.gather(stage)
    judgement = verdict(duplicates.SCENARIO, facts)
    assert judgement.verdict is Verdict.BROKEN
    assert why in judgement.why


UPLOADS = """
    import os
    from fastapi import FastAPI, Request, Response

    app = FastAPI()
    uploads, files = {}, []


    @app.get("/files")
    async def listed():
        return [{"id": at, "name": name} for at, (name, _) in enumerate(files)]


    @app.get("/files/{at}/content")
    async def content(at: int):
        return Response(files[at][1])


    @app.post("/uploads")
    async def create(request: Request):
        at = len(uploads)
        import base64
        name = base64.b64decode(request.headers["upload-metadata"].split()[1]).decode()
        uploads[str(at)] = [name, int(request.headers["upload-length"]), b""]
        return Response(status_code=201, headers={"location": f"/uploads/{at}"})


    @app.head("/uploads/{at}")
    async def far(at: str):
        return Response(status_code=200, headers={"upload-offset": str(len(uploads[at][2]))})


    @app.patch("/uploads/{at}")
    async def piece(at: str, request: Request):
        upload = uploads[at]
        CHECK
        body = await request.body()
        if int(request.headers["upload-offset"]) != len(upload[2]):
            return Response(status_code=409)
        upload[2] += body
        if len(upload[2]) == upload[1]:
            files.append((upload[0], upload[2]))
        return Response(status_code=204, headers={"file-id": str(len(files) - 1)})
"""
UPLOAD = {"request": "POST /files", "id": "id", "content": "/files/{id}/content", "resumable": "/uploads"}


@pytest.mark.parametrize(
    ("check", "kind"),
    [
        ("pass", Verdict.KEPT),
        (
            "body = await request.body(); half = upload[2][:int(request.headers['upload-offset'])]\n"
            "        upload[2] = half + body\n"
            "        if len(upload[2]) == upload[1]: files.append((upload[0], upload[2]))\n"
            "        return Response(status_code=204, headers={'file-id': str(len(files) - 1)})",
            Verdict.BROKEN,
        ),
        (
            "upload[2] += await request.body()\n"
            "        if len(upload[2]) == upload[1]: files.append((upload[0], upload[2]))\n"
            "        return Response(status_code=204, headers={'file-id': str(len(files) - 1)})",
            Verdict.BROKEN,
        ),
    ],
    ids=["offsets are compared", "whoever ends an upload makes a file", "offsets are not looked at"],
)
async def test_a_piece_sent_twice(tmp_path, check, kind):
    source = UPLOADS.replace("CHECK", check)
    async with proving(tmp_path, source, read="GET /files", upload=UPLOAD) as stage:
        facts = await resumed_twice.gather(stage)
    judgement = verdict(resumed_twice.SCENARIO, facts)
    assert judgement.verdict is kind, judgement.why
