"""What redaction catches and what it spoils, over corpora that others wrote.

    python bench/redaction_recall.py
    python bench/redaction_recall.py --corpus ~/gitleaks --corpus ~/kingfisher

Without a corpus it fetches presidio-evaluator's synthetic texts (MIT, 1,500 labelled texts with cards, e-mails, IBANs
and social security numbers) from the package index. The corpora with secrets are checkouts:

    git clone --depth 1 https://github.com/gitleaks/gitleaks      (MIT, rules with examples in Go)
    git clone --depth 1 https://github.com/mongodb/kingfisher     (Apache-2.0, rules with examples in YAML)

"found": something of the secret is replaced, as scanners count. "nothing left": no ten characters of it in a row remain.
"""

import argparse
import base64
import datetime
import hashlib
import json
import random
import re
import string
import subprocess
import sys
import tarfile
import tempfile
import timeit
import tomllib
import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from holdfast.decide.redaction import Redactor

REDACTOR = Redactor()
PRESIDIO = "presidio-evaluator==0.3.2"
GO_STRING = re.compile(r'`([^`]*)`|"((?:[^"\\\n]|\\.)*)"')
GO_SAMPLE = re.compile(rf"GenerateSample(Secrets?)\(\s*(?:{GO_STRING.pattern}),\s*(?:{GO_STRING.pattern})\s*\)")


class Example(NamedTuple):
    """A text of a corpus, the secret in it, and the corpus or the part of it."""

    part: str
    text: str
    secret: str


# -- the corpora -------------------------------------------------------------------------------------------------------


def pattern_of(source: str) -> re.Pattern[str] | None:
    """A rule's pattern for Python: flags in the middle go to the front; None where Python has no such pattern."""
    flags = 0
    for letters in re.findall(r"\(\?([ismx]+)\)", source):
        for letter in letters:
            flags |= getattr(re, letter.upper())
    bare = re.sub(r"\(\?[ismx]+\)", "", source).replace(r"\z", r"\Z").replace("[:alnum:]", "A-Za-z0-9")
    try:
        return re.compile(bare, flags)
    except re.error:
        return None


def secret_of(match: re.Match[str]) -> str:
    return next((group for group in match.groups() if group), match[0])


def kingfisher(folder: Path) -> Iterator[Example]:
    """The examples of the YAML rules; a rule file belongs to the half that was read or to the one that never was."""
    import yaml

    for file in sorted(folder.glob("**/data/rules/*.y*ml")):
        seen = int(hashlib.sha256(file.name.encode()).hexdigest(), 16) % 2 == 0
        part = "kingfisher, half that was read" if seen else "kingfisher, half never read"
        for rule in yaml.safe_load(file.read_text("utf-8")).get("rules", []):
            pattern = pattern_of(rule["pattern"])
            for text in map(str, rule.get("examples") or ()):
                match = pattern.search(text) if pattern else None
                if match:
                    yield Example(part, text, match.groupdict().get("TOKEN") or secret_of(match))


def gitleaks(folder: Path) -> tuple[list[Example], list[str]]:
    """The literal examples of the rules written in Go, and the literal texts that must not match."""
    patterns = gitleaks_rules(folder)
    hits: list[Example] = []
    misses: list[str] = []
    for file in sorted((folder / "cmd/generate/config/rules").glob("*.go")):
        source = re.sub(rf"({GO_STRING.pattern})|//[^\n]*", lambda m: m[1] or "", file.read_text("utf-8"))
        for function in source.split("\nfunc "):
            rule = re.search(r'RuleID:\s*"([^"]+)"', function)
            pattern = patterns.get(rule[1]) if rule else None
            for name in re.finditer(r"\b(tps|fps)\s*:?=\s*", function):
                texts = list(go_texts(function[name.end() : end_of_statement(function, name.end())], folder))
                if name[1] == "fps":
                    misses += [text for text, _ in texts]
                    continue
                for text, secret in texts:
                    match = pattern.search(text) if pattern and not secret else None
                    if secret or match:
                        hits.append(Example("gitleaks (all read)", text, secret or secret_of(match)))
    return hits, misses


def gitleaks_rules(folder: Path) -> dict[str, re.Pattern[str]]:
    rules = tomllib.loads((folder / "config/gitleaks.toml").read_text("utf-8"))["rules"]
    patterns = {rule["id"]: pattern_of(rule["regex"]) for rule in rules if "regex" in rule}
    return {name: pattern for name, pattern in patterns.items() if pattern}


def go_texts(statement: str, folder: Path) -> Iterator[tuple[str, str]]:
    """The texts that a Go statement lists literally, with the secret where the statement says it."""
    for sample in GO_SAMPLE.finditer(statement):
        name, secret = sample[2] or sample[3] or "", sample[4] or sample[5] or ""
        templates = sample_templates(folder) if sample[1] == "Secrets" else ['{i}_api_token = "{s}"']
        for template in templates:
            yield template.replace("{i}", name).replace("{I}", name.upper()).replace("{s}", secret), secret
    rest = GO_SAMPLE.sub("", statement)
    for literal in GO_STRING.finditer(rest):
        before, after = rest[: literal.start()].rstrip(), rest[literal.end() :].lstrip()
        joined = before.endswith("+") or after.startswith("+")
        argument = re.search(r"(\w+)\([^(){}]*$", before)
        is_path = "map[string]string" in rest and after.startswith(":")
        if not joined and not is_path and (argument is None or argument[1] == "append"):
            yield go_value(literal), ""


def sample_templates(folder: Path) -> list[str]:
    source = (folder / "cmd/generate/config/utils/generate.go").read_text("utf-8")
    body = source[source.index("samples := map") : source.index("replacer")]
    lines = [line for line in body.splitlines() if not line.strip().startswith("//")]
    return [go_value(found[1]) for line in lines if len(found := list(GO_STRING.finditer(line))) == 2]


def go_value(literal: re.Match[str]) -> str:
    if literal[1] is not None:
        return literal[1]
    return re.sub(r"\\(.)", lambda m: {"n": "\n", "t": "\t", "r": "\r"}.get(m[1], m[1]), literal[2])


def end_of_statement(source: str, start: int) -> int:
    depth = 0
    for sign in re.compile(rf"{GO_STRING.pattern}|[({{\[]|[)}}\]]|\n").finditer(source, start):
        depth += (sign[0] in "({[") - (sign[0] in ")}]")
        if depth < 0 or (sign[0] == "\n" and depth == 0):
            return sign.start()
    return len(source)


def presidio() -> tuple[list[Example], list[str]]:
    """The labelled texts with the entities that redaction claims, and the texts that have none of them."""
    claimed = {"CREDIT_CARD": "card", "EMAIL_ADDRESS": "e-mail", "IBAN_CODE": "IBAN", "US_SSN": "SSN"}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", PRESIDIO]
        subprocess.run([*command, "--dest", folder], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with tarfile.open(next(Path(folder).glob("*.tar.gz"))) as archive:
            member = next(name for name in archive.getnames() if name.endswith("data/synth_dataset_v2.json"))
            rows = json.load(archive.extractfile(member) or sys.stdin)
    hits: list[Example] = []
    misses: list[str] = []
    for row in rows:
        spans = [span for span in row["spans"] if span["entity_type"] in claimed]
        for span in spans:
            hits.append(Example(f"presidio {claimed[span['entity_type']]}", row["full_text"], span["entity_value"]))
        if not spans:
            misses.append(row["full_text"])
    return hits, misses


# -- what must stay readable -------------------------------------------------------------------------------------------

CHANCE = random.Random(7)


def drawn(alphabet: str, length: int) -> str:
    return "".join(CHANCE.choices(alphabet, k=length))


def hexes(length: int) -> str:
    return drawn("0123456789abcdef", length)


def uuid7() -> str:
    moment = CHANCE.randrange(1_600_000_000_000, 1_900_000_000_000)
    return str(uuid.UUID(int=moment << 80 | 7 << 76 | CHANCE.getrandbits(12) << 64 | 2 << 62 | CHANCE.getrandbits(62)))


def moment(form: str) -> str:
    return datetime.datetime.fromtimestamp(CHANCE.randrange(2 * 10**9) + 0.25, datetime.UTC).strftime(form)


def digest(length: int) -> str:
    return base64.b64encode(CHANCE.randbytes(length)).decode()


LETTERS = string.ascii_letters + string.digits
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
READABLE: dict[str, list[Callable[[], str]]] = {
    "UUIDs": [
        lambda: str(uuid.UUID(int=CHANCE.getrandbits(128), version=4)),
        uuid7,
        lambda: uuid7().upper(),
        lambda: hexes(32),
        lambda: f"urn:uuid:{uuid7()}",
    ],
    "hashes": [
        *(lambda length=length: hexes(length) for length in (32, 40, 64, 96, 128)),
        lambda: hexes(64).upper(),
        lambda: f"sha256:{hexes(64)}",
        lambda: f"sha256-{digest(32)}",
        lambda: f"sha-256=:{digest(32)}:",
    ],
    "ETags": [
        lambda: f'"{hexes(32)}"',
        lambda: f'W/"{hexes(40)}"',
        lambda: f'"{hexes(32)}-{CHANCE.randrange(1, 10_000)}"',
        lambda: f'"{hexes(8)}-{hexes(6)}"',
        lambda: f'"{hexes(5)}-{hexes(4)}-{hexes(13)}"',
        lambda: f'W/"{hexes(4)}-{digest(20)[:27]}"',
    ],
    "trace and other IDs": [
        lambda: f"00-{hexes(32)}-{hexes(16)}-01",
        lambda: hexes(16),
        lambda: str(CHANCE.getrandbits(64)),
        lambda: f"Root=1-{hexes(8)}-{hexes(24)}",
        lambda: "01" + drawn(CROCKFORD, 24),
        lambda: drawn(LETTERS, 27),
        lambda: drawn(LETTERS + "_-", 21),
        lambda: f"cus_{drawn(LETTERS, 14)}",
        lambda: f"evt_{drawn(LETTERS, 24)}",
        lambda: f"user_{drawn(CROCKFORD.lower(), 26)}",
    ],
    "times and numbers": [
        lambda: moment("%Y-%m-%dT%H:%M:%S.%fZ"),
        lambda: moment("%Y-%m-%d %H:%M:%S+00:00"),
        lambda: moment("%Y%m%dT%H%M%SZ"),
        *(lambda d=digits: str(CHANCE.randrange(10 ** (d - 1), 2 * 10 ** (d - 1))) for digits in (10, 13, 16, 19)),
        lambda: repr(CHANCE.random() * 10 ** CHANCE.randrange(-5, 12)),
        lambda: ".".join(str(CHANCE.randrange(256)) for _ in range(4)),
        lambda: ":".join(f"{CHANCE.getrandbits(16):x}" for _ in range(8)),
    ],
    "paths": [
        lambda: f"/api/files/{uuid7()}",
        lambda: f"/api/v1/users/{CHANCE.randrange(10**6)}/uploads/{uuid7()}/parts/{CHANCE.randrange(10**4)}",
        lambda: f"s3://bucket/uploads/2026/01/{uuid7()}/report-{CHANCE.randrange(10**6)}.pdf",
        lambda: f"/srv/app/releases/{moment('%Y%m%d%H%M%S')}/lib/python3.12/site-packages/starlette/routing.py",
        lambda: f"/cache/{hexes(2)}/{hexes(52)}/core-2.1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        lambda: f"/tmp/tmp{drawn('abcdefghijklmnopqrstuvwxyz0123456789_', 8)}/part-{CHANCE.randrange(10**4):05}",
        lambda: f"pod/api-{hexes(10)}-{drawn('bcdfghjklmnpqrstvwxz2456789', 5)}",
    ],
}
AROUND = (
    "{}",
    "stored {} in 12.5 ms",
    "file_id={} size=1048576 status=201",
    '{{"event": "stored", "upload_id": "{}", "ms": 12}}',
    "cache key {} missing",
    "etag={} path=/api/files",
    "value={}",
)
ORDINARY = (
    "GET /api/files/{id} 200 in {n} ms",
    "GET /api/search?q=ordinary+words&page={n}&sort=-created_at HTTP/1.1 200",
    "user {n} signed in from 203.0.113.{s}, session opened",
    "token bucket for 203.0.113.{s} is empty: {n} tokens refill in 3 s",
    "prompt_tokens={n} completion_tokens={n} total_tokens={n} max_tokens=4096",
    "Invalid password: must be at least {s} characters long",
    "token expired {n} s ago, answering 401",
    "refreshing the secret store; 3 secrets loaded in {n} ms",
    "cookie consent banner shown {n} times",
    "SELECT id, name, created_at FROM files WHERE owner_id = %s AND deleted_at IS NULL LIMIT {n}",
    'IntegrityError: duplicate key value violates unique constraint "files_pkey" DETAIL: Key (id)=({id}) already exists.',
    '  File "/srv/app/lib/python3.12/site-packages/starlette/routing.py", line {n}, in handle',
    "    await self.app(scope, receive, send)",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{s}.0.0.0 Safari/537.36",
    'upload {id} finished: {n} bytes, sha256={hash}, etag="{hash}", 17 parts',
    "worker {n} took job {id} (attempt {s} of 5), retry in 0.{n} s",
    "pool: 10 connections, {s} idle, waited {n} us; primary key lookup took 3 ms",
    "deployed image registry.example.com/api@sha256:{hash} as api-7d9f8b6c5d-x2x9k",
    "cache miss for key user:{n}:profile, foreign key check skipped",
    "connection from [2001:db8::{s}]:{n} closed: ConnectionResetError(104, 'Connection reset by peer')",
    '{{"event": "request", "request_id": "{id}", "method": "PUT", "path": "/api/files/{id}", "status": 201, "ms": {n}}}',
    "authorization checked for actor user:{n}: allowed by rule files.read",
)


def ordinary_line() -> str:
    form = CHANCE.choice(ORDINARY).replace("{{", "{").replace("}}", "}")
    for name, value in (("{id}", uuid7()), ("{n}", str(CHANCE.randrange(10**5))), ("{s}", str(CHANCE.randrange(99)))):
        form = form.replace(name, value)
    return form.replace("{hash}", hexes(64))


# -- the tables --------------------------------------------------------------------------------------------------------


def left_of(secret: str, text: str) -> bool:
    width = min(10, len(secret))
    return any(secret[start : start + width] in text for start in range(len(secret) - width + 1))


def is_found(text: str, secret: str) -> bool:
    start = text.find(secret)
    return any(finding.start < start + len(secret) and finding.end > start for finding in REDACTOR.findings(text))


def share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


def recall(examples: Iterable[Example], rules: list[re.Pattern[str]]) -> None:
    print("| corpus, as published | examples | found | nothing left | found by gitleaks' rules in Python |")
    print("|---|---|---|---|---|")
    parts: dict[str, list[Example]] = {}
    for example in examples:
        parts.setdefault(example.part, []).append(example)
    for part, rows in parts.items():
        found = sum(is_found(row.text, row.secret) for row in rows)
        gone = sum(not left_of(row.secret, REDACTOR.text(row.text)) for row in rows)
        other = share(sum(any(rule.search(row.text) for rule in rules) for row in rows), len(rows)) if rules else "-"
        other = "(its own)" if part.startswith("gitleaks") else other
        print(f"| {part} | {len(rows)} | {share(found, len(rows))} | {share(gone, len(rows))} | {other} |")


CARRIERS: dict[str, Callable[[str], str]] = {
    "alone": lambda token: token,
    "`note=TOKEN`": lambda token: f"note={token}",
    "`x_api_key=TOKEN` in text": lambda token: f"calling with x_api_key={token}",
    "`?token=TOKEN&page=2`": lambda token: f"GET /callback?token={token}&page=2 200",
    "JSON in a string": lambda token: json.dumps(json.dumps({"client_secret": token, "page": 2})),
    "field `api_key`": lambda token: str(REDACTOR.fields({"api_key": token})),
    "field, 20 deep": lambda token: str(REDACTOR.fields(nested({"Db-Password": token}, 20))),
    "header pair": lambda token: str(REDACTOR.fields({"headers": [(b"authorization", f"Bearer {token}".encode())]})),
}


def nested(value: dict[str, object], depth: int) -> dict[str, object]:
    for _ in range(depth):
        value = {"inner": [value]}
    return value


def carriers(examples: Iterable[Example]) -> None:
    print("\n| the secret alone, carried in another way | " + " | ".join(CARRIERS) + " |")
    print("|---|" + "---|" * len(CARRIERS))
    parts: dict[str, set[str]] = {}
    for example in examples:
        if example.part.startswith(("gitleaks", "kingfisher")) and "\n" not in example.secret:
            parts.setdefault(example.part, set()).add(example.secret.strip("\"'"))
    for part, tokens in parts.items():
        gone = [sum(not left_of(t, REDACTOR.text(carry(t))) for t in tokens) for carry in CARRIERS.values()]
        print(f"| {part}: {len(tokens)} | " + " | ".join(share(count, len(tokens)) for count in gone) + " |")


def false_positives(presidio_rest: list[str], gitleaks_rest: list[str]) -> None:
    print("\n| must stay readable | texts | altered | readable |\n|---|---|---|---|")
    for name, makers in READABLE.items():
        texts = [form.format(maker()) for maker in makers for form in AROUND for _ in range(500)]
        told(name, texts)
    told("ordinary log lines", [ordinary_line() for _ in range(20_000)])
    told("presidio texts without these entities", presidio_rest)
    told("gitleaks' own false positives", gitleaks_rest)


def told(name: str, texts: list[str]) -> None:
    if texts:
        altered = sum(REDACTOR.text(text) != text for text in texts)
        print(f"| {name} | {len(texts)} | {altered} | {100 - 100 * altered / len(texts):.3f} % |")


def speed() -> None:
    record: dict[str, object] = {
        "request_id": uuid7(),
        "method": "GET",
        "path": f"/api/files/{uuid7()}",
        "route": "/api/files/{file_id}",
        "status": 200,
        "duration_ms": 12.53,
        "client": "203.0.113.7",
        "actor": "user:42",
        "action": "file.read",
        "bytes": 1_048_576,
    }
    path = f"/api/files/{uuid7()}"
    sentence = f"upload {uuid7()} finished: 1048576 bytes in 2.5 s, sha256={hexes(64)}"
    print("\n| speed, one core | |\n|---|---|")
    print(f"| `fields` on a record of ten | {1e6 / cost(lambda: REDACTOR.fields(record)):,.0f} lines/s |")
    print(f"| `text` on `/api/files/UUID` | {cost(lambda: REDACTOR.text(path)):.2f} us |")
    print(f"| `text` on a sentence of {len(sentence)} characters | {cost(lambda: REDACTOR.text(sentence)):.1f} us |")


def cost(call: Callable[[], object]) -> float:
    """Microseconds for one call: the best of seven rounds."""
    return min(timeit.repeat(call, number=5_000, repeat=7)) / 5_000 * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", action="append", type=Path, default=[], help="a checkout of gitleaks or kingfisher")
    parser.add_argument("--offline", action="store_true", help="fetch nothing")
    options = parser.parse_args()
    warnings.simplefilter("ignore", FutureWarning)  # of foreign patterns
    examples: list[Example] = []
    rules: list[re.Pattern[str]] = []
    gitleaks_rest: list[str] = []
    for folder in options.corpus:
        if (folder / "config/gitleaks.toml").exists():
            found, gitleaks_rest = gitleaks(folder)
            examples += found
            rules = list(gitleaks_rules(folder).values())
        else:
            examples += kingfisher(folder)
    presidio_rest: list[str] = []
    if not options.offline:
        try:
            found, presidio_rest = presidio()
            examples += found
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"presidio-evaluator could not be fetched: {error}", file=sys.stderr)
    recall(examples, rules)
    carriers(examples)
    false_positives(presidio_rest, gitleaks_rest)
    speed()


if __name__ == "__main__":
    main()
