"""A small backend that keeps files, notes and rows, well or badly: SHOP_MODE says in which way.

It is plain ASGI and knows nothing of Holdfast. `well` is how it should be done; each other mode does one thing wrong.
"""

SOURCE = """
    import asyncio, itertools, json, os, sqlite3, uuid
    from pathlib import Path

    DATA, MODE = Path(os.environ["SHOP_DATA"]), os.environ.get("SHOP_MODE", "well")
    FILES, PARTS = DATA / "files", DATA / "parts"
    FILES.mkdir(exist_ok=True), PARTS.mkdir(exist_ok=True)
    NOTES: list[tuple[int, str]] = []
    LATER: set[asyncio.Task] = set()

    def database() -> sqlite3.Connection:
        found = sqlite3.connect(DATA / "shop.sqlite", timeout=20, isolation_level=None)
        if MODE in {"wal", "wal-normal"}:
            found.execute("PRAGMA journal_mode = WAL")
        if MODE == "memory-journal":
            found.execute("PRAGMA journal_mode = MEMORY")
        wanted = {"wal": "FULL", "wal-normal": "NORMAL", "off": "OFF", "undone": "FULL"}
        found.execute(f"PRAGMA synchronous = {wanted.get(MODE, 'EXTRA')}")
        return found

    with database() as once:
        once.execute("CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT)")
        once.execute("CREATE TABLE IF NOT EXISTS tables (id TEXT PRIMARY KEY, done INT)")
        once.execute("CREATE TABLE IF NOT EXISTS records (of TEXT, line TEXT)")

    def sync_folder(folder: Path) -> None:
        descriptor = os.open(folder, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)

    async def pieces(receive):
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ConnectionError
            yield message.get("body", b"")
            if not message.get("more_body"):
                return

    async def nothing():
        for each in ():
            yield each

    async def answer(send, status: int, body: bytes = b"", **headers: str) -> None:
        named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        named.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": status, "headers": named})
        await send({"type": "http.response.body", "body": body})

    async def whole(receive) -> bytes:
        return b"".join([piece async for piece in pieces(receive)])

    # -- files --

    async def take(receive, send) -> None:
        called = uuid.uuid4().hex
        said = json.dumps({"id": called}).encode()
        if MODE == "greedy":
            (PARTS / called).write_bytes(await whole(receive))
        elif MODE == "early":
            content = await whole(receive)
            await answer(send, 201, said)
            await asyncio.sleep(0.05)
            (FILES / called).write_bytes(content)
            return
        elif MODE == "in-place":
            with (FILES / called).open("wb", buffering=0) as file:
                async for piece in pieces(receive):
                    file.write(piece)
            NAMES.write_text(json.dumps({**json.loads(NAMES.read_text()), called: called}))
            return await answer(send, 201, said)
        else:
            with (PARTS / called).open("wb") as file:
                async for piece in pieces(receive):
                    file.write(piece)
                file.flush()
                if MODE != "unsynced":
                    os.fsync(file.fileno())
        os.rename(PARTS / called, FILES / called)
        if MODE != "nameless":
            sync_folder(FILES)
        await answer(send, 201, said)

    async def give(send, called: str) -> None:
        path = FILES / called
        if not path.is_file():
            return await answer(send, 404)
        if MODE == "greedy-back":
            return await answer(send, 200, path.read_bytes())
        length = (b"content-length", b"%d" % path.stat().st_size)
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        with path.open("rb") as file:
            while piece := file.read(65536):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def remove(send, called: str) -> None:
        if MODE == "removed-later":
            await answer(send, 204)
            await asyncio.sleep(0.05)
        (FILES / called).unlink(missing_ok=True)
        if MODE != "removed-later":
            await answer(send, 204)

    # -- tus --

    async def create(headers, send) -> None:
        called = uuid.uuid4().hex
        (PARTS / f"{called}.size").write_text(headers["upload-length"])
        (PARTS / called).write_bytes(b"")
        await answer(send, 201, location=f"/uploads/{called}")

    async def go_on(called: str, headers, receive, send) -> None:
        path, size = PARTS / called, int((PARTS / f"{called}.size").read_text())
        there = path.stat().st_size if path.exists() else size
        if int(headers["upload-offset"]) != there:
            return await answer(send, 409)
        with path.open("r+b", buffering=0) as file:
            file.seek(there)
            if MODE == "greedy-tus":
                file.write(await whole(receive))
            async for piece in pieces(receive) if MODE != "greedy-tus" else nothing():
                file.write(piece)
            there = file.tell()
            if MODE == "forgetful" and there < size:
                file.truncate(0)
            if MODE == "offset-first":
                note_offset(called, there)
            os.fsync(file.fileno())
        if MODE == "offset-after":
            note_offset(called, there)
        if there == size:
            os.rename(path, FILES / called)
            sync_folder(FILES)
        await answer(send, 204, upload_offset=str(there))

    def note_offset(called: str, there: int) -> None:
        connection = database()
        connection.execute("INSERT OR REPLACE INTO tables VALUES (?, ?)", (called, there))
        connection.close()

    async def how_far(called: str, send) -> None:
        path = PARTS / called
        if not (PARTS / f"{called}.size").exists():
            return await answer(send, 404)
        size = (PARTS / f"{called}.size").read_text()
        await answer(send, 200, upload_offset=str(path.stat().st_size) if path.exists() else size, upload_length=size)

    # -- notes --

    async def write(receive, send) -> None:
        text = json.loads(await whole(receive))["text"]
        if MODE == "in-memory":
            NOTES.append((len(NOTES) + 1, text))
            return await answer(send, 201, json.dumps({"id": len(NOTES)}).encode())
        connection = database()
        number = connection.execute("INSERT INTO notes (text) VALUES (?)", (text,)).lastrowid
        connection.close()
        await answer(send, 201, json.dumps({"id": number}).encode())

    async def notes(send) -> None:
        connection = database()
        found = NOTES or connection.execute("SELECT id, text FROM notes ORDER BY id DESC LIMIT 500").fetchall()
        connection.close()
        await answer(send, 200, json.dumps([{"id": number, "text": text} for number, text in found]).encode())

    # -- rows --

    async def fill(receive, send) -> None:
        called = uuid.uuid4().hex
        with (FILES / called).open("wb") as file:
            async for piece in pieces(receive):
                file.write(piece)
        connection = database()
        connection.execute("INSERT INTO tables VALUES (?, 0)", (called,))
        connection.close()
        later(called)
        await answer(send, 201, json.dumps({"id": called}).encode())

    def later(called: str) -> None:
        task = asyncio.get_running_loop().create_task(read(called))
        LATER.add(task)
        task.add_done_callback(LATER.discard)

    def lines(called: str):
        with (FILES / called).open() as file:
            next(file)
            for line in file:
                yield called, line.strip()

    async def read(called: str) -> None:
        await asyncio.sleep(0.2)
        connection, records = database(), lines(called)
        if MODE == "whole-table":
            records = list(records)
            await asyncio.sleep(len(records) / 10_000)
        if MODE == "twice":
            for batch in iter(lambda: list(itertools.islice(records, 50)), []):
                connection.execute("BEGIN")
                connection.executemany("INSERT INTO records VALUES (?, ?)", batch)
                connection.execute("COMMIT")
                await asyncio.sleep(0.005)
            connection.execute("UPDATE tables SET done = 1 WHERE id = ?", (called,))
        else:
            connection.execute("BEGIN")
            connection.executemany("INSERT INTO records VALUES (?, ?)", records)
            connection.execute("UPDATE tables SET done = 1 WHERE id = ?", (called,))
            connection.execute("COMMIT")
        connection.close()

    async def take_up() -> None:
        connection = database()
        left = connection.execute("SELECT id FROM tables WHERE done = 0").fetchall()
        connection.close()
        if MODE != "dropped":
            for (called,) in left:
                later(called)

    async def export(send) -> None:
        connection = database()
        rows = connection.execute("SELECT of, line FROM records")
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/csv")]})
        if MODE == "all-rows":
            found = "".join(f"{of},{line}\\n" for of, line in rows.fetchall()).encode()
            await send({"type": "http.response.body", "body": found, "more_body": True})
        elif MODE == "cut":
            found = "".join(f"{of},{line}\\n" for of, line in rows.fetchmany(5000)).encode()
            await send({"type": "http.response.body", "body": found, "more_body": True})
        else:
            while batch := rows.fetchmany(100):
                found = "".join(f"{of},{line}\\n" for of, line in batch).encode()
                await send({"type": "http.response.body", "body": found, "more_body": True})
        connection.close()
        await send({"type": "http.response.body", "body": b""})

    NAMES = DATA / "names.json"
    NAMES.exists() or NAMES.write_text("{}")

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            if MODE == "never-again" and (DATA / "ran").exists():
                return await send({"type": "lifespan.startup.failed", "message": "the folder is in use"})
            (DATA / "ran").touch()
            await take_up()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            return await send({"type": "lifespan.shutdown.complete"})
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        called = scope["path"].rpartition("/")[2]
        match scope["method"], scope["path"].split("/")[1]:
            case "POST", "files": await take(receive, send)
            case "GET", "files" if called != "files": await give(send, called)
            case "DELETE", "files": await remove(send, called)
            case "GET", "files": await answer(send, 200, NAMES.read_bytes())
            case "POST", "uploads": await create(headers, send)
            case "PATCH", "uploads": await go_on(called, headers, receive, send)
            case "HEAD", "uploads": await how_far(called, send)
            case "POST", "notes": await write(receive, send)
            case "GET", "notes": await notes(send)
            case "POST", "rows": await fill(receive, send)
            case "GET", "rows.csv": await export(send)
            case _: await answer(send, 200, b"here")
"""

UPLOAD = {"request": "POST /files?name={name}", "id": "id", "content": "/files/{id}"}
RESUMABLE = {**UPLOAD, "resumable": "/uploads"}
WRITE = {"request": "POST /notes", "json": {"text": "{name}"}, "id": "id", "content": "/notes"}
EXPORT = {"request": "GET /rows.csv", "fill": {"request": "POST /rows", "body": "csv"}}
