"""What redaction catches and what it spoils, over corpora that others wrote.

    python bench/redaction_recall.py
    python bench/redaction_recall.py --corpus ~/gitleaks --corpus ~/kingfisher

Without a corpus it fetches presidio-evaluator's synthetic texts (MIT, 1,500 labelled texts with cards, e-mails, IBANs
and social security numbers) from the package index. The corpora with secrets are checkouts:

    git clone --depth 1 https://github.com/gitleaks/gitleaks      (MIT, rules with examples in Go)
    git clone --depth 1 https://github.com/mongodb/kingfisher     (Apache-2.0, rules with examples in YAML)

"found": something of the secret is replaced, as scanners count. "nothing left": no ten of its characters in a row stay.
"""

import argparse
import base64
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
from datetime import UTC, datetime
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
    """The labelled texts with the entities that redaction claims, and those without them and without telephones."""
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
        hits += [Example(f"presidio {claimed[s['entity_type']]}", row["full_text"], s["entity_value"]) for s in spans]
        if not spans and not any(span["entity_type"] == "PHONE_NUMBER" for span in row["spans"]):
            misses.append(row["full_text"])
    return hits, misses


CHANCE = random.Random(7)
LETTERS = string.ascii_letters + string.digits
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def uuid7(_: int) -> str:
    millis = CHANCE.randrange(1_600_000_000_000, 1_900_000_000_000)
    return str(uuid.UUID(int=millis << 80 | 7 << 76 | CHANCE.getrandbits(12) << 64 | 2 << 62 | CHANCE.getrandbits(62)))


def drawn_from(alphabet: str) -> Callable[[int], str]:
    return lambda length: "".join(CHANCE.choices(alphabet, k=length))


def moment() -> datetime:
    return datetime.fromtimestamp(CHANCE.randrange(2 * 10**9) + 0.25, UTC)


MAKERS: dict[str, Callable[[int], str]] = {  # <h32> in a form below is 32 hexadecimal digits
    "u": uuid7,
    "U": lambda length: uuid7(length).upper(),
    "h": drawn_from("0123456789abcdef"),
    "H": drawn_from("0123456789ABCDEF"),
    "b": lambda length: base64.b64encode(CHANCE.randbytes(length)).decode(),
    "e": lambda _: base64.b64encode(CHANCE.randbytes(20)).decode()[:27],
    "d": lambda length: str(CHANCE.randrange(10**length)),
    "n": lambda length: str(CHANCE.randrange(10 ** (length - 1), 2 * 10 ** (length - 1))),
    "l": drawn_from(LETTERS),
    "w": drawn_from(LETTERS + "_-"),
    "c": drawn_from(CROCKFORD),
    "k": drawn_from(CROCKFORD.lower()),
    "t": lambda _: moment().strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    "s": lambda _: moment().strftime("%Y%m%dT%H%M%SZ"),
    "f": lambda _: repr(CHANCE.random() * 10 ** CHANCE.randrange(-5, 12)),
    "i": lambda _: ".".join(str(CHANCE.randrange(256)) for _ in range(4)),
}
READABLE = {
    "UUIDs": "<u> <U> <h32> urn:uuid:<u>",
    "hashes": "<h32> <h40> <h64> <h96> <h128> <H64> sha256:<h64> sha256-<b32> sha-256=:<b32>:",
    "ETags": '"<h32>" W/"<h40>" "<h32>-<d3>" "<h8>-<h6>" "<h5>-<h4>-<h13>" W/"<h4>-<e>"',
    "trace and other IDs": "00-<h32>-<h16>-01 <h16> <d18> Root=1-<h8>-<h24> 01<c24> <l27> <w21> cus_<l14> evt_<l24> "
    "user_<k26>",
    "times and numbers": "<t> <s> <n10> <n13> <n16> <n19> <f> <i> <h4>:<h4>:<h4>:<h4>:<h4>:<h4>:<h4>:<h4>",
    "paths": "/api/files/<u> /api/v1/users/<d6>/uploads/<u>/parts/<d4> s3://bucket/uploads/2026/01/<u>/report-<d6>.pdf "
    "/srv/app/releases/<s>/lib/python3.12/site-packages/starlette/routing.py /tmp/tmp<k8>/part-<d5> "
    "pod/api-<h10>-x2x9k /cache/<h2>/<h52>/core-2.1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
}
AROUND = (
    "@",
    "stored @ in 12.5 ms",
    "file_id=@ size=1048576 status=201",
    '{"event": "stored", "upload_id": "@", "ms": 12}',
    "cache key @ missing",
    "etag=@ path=/api/files",
    "value=@",
)
ORDINARY = """GET /api/files/<u> 200 in <d4> ms
GET /api/search?q=ordinary+words&page=<d2>&sort=-created_at HTTP/1.1 200
user <d5> signed in from <i>, session opened
token bucket for <i> is empty: <d3> tokens refill in 3 s
prompt_tokens=<d4> completion_tokens=<d4> total_tokens=<d5> max_tokens=4096
Invalid password: must be at least <d2> characters long
token expired <d4> s ago, answering 401
refreshing the secret store; 3 secrets loaded in <d3> ms
cookie consent banner shown <d4> times
SELECT id, name, created_at FROM files WHERE owner_id = %s AND deleted_at IS NULL LIMIT <d3>
duplicate key value violates unique constraint "files_pkey" DETAIL: Key (id)=(<u>) already exists.
  File "/srv/app/lib/python3.12/site-packages/starlette/routing.py", line <d4>, in handle
    await self.app(scope, receive, send)
Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/<d3>.0.0.0 Safari/537.36
upload <u> finished: <d9> bytes, sha256=<h64>, etag="<h32>", 17 parts
worker <d2> took job <u> (attempt <d1> of 5), retry in 0.<d2> s
pool: 10 connections, <d1> idle, waited <d5> us; primary key lookup took 3 ms
deployed image registry.example.com/api@sha256:<h64> as api-7d9f8b6c5d-x2x9k
cache miss for key user:<d5>:profile, foreign key check skipped
connection from [2001:db8::<h4>]:<d5> closed: ConnectionResetError(104, 'Connection reset by peer')
{"event": "request", "request_id": "<u>", "path": "/api/files/<u>", "status": 201, "ms": <d3>}
authorization checked for actor user:<d5>: allowed by rule files.read""".splitlines()


def filled(form: str) -> str:
    return re.sub(r"<([A-Za-z])(\d*)>", lambda m: MAKERS[m[1]](int(m[2] or 0)), form)


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
    for name, forms in READABLE.items():
        told(name, [a.replace("@", filled(form)) for form in forms.split(" ") for a in AROUND for _ in range(500)])
    told("ordinary log lines", [filled(CHANCE.choice(ORDINARY)) for _ in range(20_000)])
    told("presidio texts without these entities", presidio_rest)
    told("gitleaks' own false positives", gitleaks_rest)


def told(name: str, texts: list[str]) -> None:
    if texts:
        altered = sum(REDACTOR.text(text) != text for text in texts)
        print(f"| {name} | {len(texts)} | {altered} | {100 - 100 * altered / len(texts):.3f} % |")


def speed() -> None:
    record: dict[str, object] = {
        "request_id": uuid7(0),
        "method": "GET",
        "path": f"/api/files/{uuid7(0)}",
        "route": "/api/files/{file_id}",
        "status": 200,
        "duration_ms": 12.53,
        "client": "203.0.113.7",
        "actor": "user:42",
        "action": "file.read",
        "bytes": 1_048_576,
    }
    path = f"/api/files/{uuid7(0)}"
    sentence = f"upload {uuid7(0)} finished: 1048576 bytes in 2.5 s, sha256={filled('<h64>')}"
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
