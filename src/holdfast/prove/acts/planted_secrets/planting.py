"""Secrets made up for one run, and the requests that carry them. Nothing of them opens anything anywhere."""

import base64
import json
import random
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple
from urllib.parse import quote, urlencode

from holdfast.prove.acts.planted_secrets.leaking import Planted

_LETTERS: Final = string.ascii_letters + string.digits
_JSON: Final = {"Content-Type": "application/json"}
_FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}
_BOUNDARY: Final = "prove-boundary"

Table = Mapping[str, object]


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _percent(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


_ENCODED: Final[tuple[tuple[str, str, Callable[[str], str]], ...]] = (
    ("password", "percent-encoded", _percent),
    ("password", "percent-encoded twice", lambda value: quote(_percent(value))),
    ("token", "as base64", lambda value: quote(_base64(value))),
    ("next", "in an address", lambda value: quote(f"/welcome?token={value}", safe="")),
    ("url", "in an address", lambda value: quote(f"postgres://someone:{value}@db/x", safe="")),
)
"""Names in a query, and how a password stands behind them."""
_SHAPES: Final[Mapping[str, Callable[[Table, Table], str]]] = {
    "": lambda secret, _: json.dumps(secret),
    ", beside what is expected": lambda secret, known: json.dumps({**secret, **known}),
    ", cut short": lambda secret, _: json.dumps(secret)[:-1],
    ", in lists": lambda secret, _: json.dumps({key: [each] for key, each in secret.items()}),
    ", beside a NUL": lambda secret, known: json.dumps({**known, **secret, "name": "a\0b", "id": "\0"}),
    ", beside half a character": lambda secret, known: json.dumps({**known, **secret, "name": "\ud800"}),
    ", in a list": lambda secret, _: json.dumps([secret]),
    ", as a text": lambda secret, _: json.dumps(json.dumps(secret)),
}
"""How secrets stand in a JSON body, beside what the backend expects there."""


class Sowing(NamedTuple):
    """A request that carries secrets."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes | None
    planted: Sequence[Planted]
    stranger: bool = False
    """Whether it is sent by one who is not signed in."""


class Ground(NamedTuple):
    """Where secrets are sent."""

    read: str
    missing: str
    """A path that is not there."""
    bodies: Sequence[tuple[str, str, Table]]
    """What takes a body: method, path, and a JSON that it takes."""
    forms: Sequence[tuple[str, str]]
    """What may take a form: method, path."""
    upload: tuple[str, str, str]
    """Method, path and field of what takes a file."""
    sign_ins: Sequence[str]
    """Paths where one may sign in."""
    numbers: Sequence[tuple[str, str]] = ()
    """Path and name of parameters that are whole numbers, so that anything else is refused."""


class Sower:
    """Makes secrets and the requests that carry them, each secret once."""

    def __init__(self, chance: random.Random) -> None:
        """`chance` makes the secrets."""
        self._chance = chance
        self._number = 0
        self._planted: list[Planted] = []

    def sowings(self, ground: Ground) -> Iterator[Sowing]:
        """All requests."""
        yield from self._headers(ground)
        yield from self._queries(ground)
        yield from self._paths(ground)
        yield from self._bodies(ground)
        yield from self._forms(ground)
        yield from self._files(ground)
        yield from self._sign_ins(ground)

    # -- secrets --

    def word(self, length: int = 24) -> str:
        """Letters and digits of chance."""
        return "".join(self._chance.choices(_LETTERS, k=length))

    def _plant(self, value: str, kind: str, place: str, **marks: bool) -> str:
        self._planted.append(Planted(value, kind, place, self._number, **marks))
        return value

    def _password(self, place: str, **marks: bool) -> str:
        return self._plant(f"{self.word(18)}!{self.word(4)}", "password", place, **marks)

    def _token(self, place: str, kind: str = "token", **marks: bool) -> str:
        return self._plant(self.word(40), kind, place, **marks)

    def _key(self, place: str, **marks: bool) -> str:
        """An API key of a shape that is known."""
        shape = self._chance.randrange(4)
        upper = "".join(self._chance.choices(string.ascii_uppercase + "234567", k=16))
        made = (f"sk_live_{self.word(24)}", f"ghp_{self.word(36)}", f"AKIA{upper}", f"glpat-{self.word(20)}")
        return self._plant(made[shape], "API key", place, **marks)

    def _jwt(self, place: str, **marks: bool) -> str:
        def part(value: object) -> str:
            return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

        text = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part({'sub': self.word(16)})}.{self.word(43)}"
        self._plant(text.rpartition(".")[2], "JWT", place, **marks)
        return text

    def _card(self, place: str, **marks: bool) -> str:
        digits = [4, *(self._chance.randrange(10) for _ in range(14))]
        total = sum(sum(divmod(2 * digit, 10)) if at % 2 == 0 else digit for at, digit in enumerate(digits))
        number = "".join(map(str, [*digits, -total % 10]))
        return self._plant(number, "card number", place, personal=True, **marks)

    def _mail(self, place: str, **marks: bool) -> str:
        local = f"{self.word(8)}.{self.word(8)}".lower()
        self._plant(local, "mail address", place, personal=True, **marks)
        return f"{local}@example.com"

    def _sowing(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None, *, stranger: bool = False
    ) -> Sowing:
        """The request that what was planted since the last goes with."""
        made = Sowing(method, path, headers, body, tuple(self._planted), stranger)
        self._planted = []
        self._number += 1
        return made

    # -- requests --

    def _headers(self, ground: Ground) -> Iterator[Sowing]:
        makers: tuple[tuple[str, Callable[[str], str]], ...] = (
            ("Authorization", lambda place: f"Bearer {self._token(place, 'bearer token')}"),
            ("Authorization", lambda place: f"Bearer {self._jwt(place)}"),
            ("Authorization", lambda place: "Basic " + _base64(f"someone:{self._password(place)}")),
            ("Proxy-Authorization", lambda place: "Basic " + _base64(f"someone:{self._password(place)}")),
            ("Cookie", lambda place: f"session={self._token(place, 'session')}; theme=dark"),
            ("Cookie", lambda place: f"access_token={self._jwt(place)}"),
            ("Referer", lambda place: f"http://localhost/welcome?token={self._token(place)}"),
            ("X-Api-Key", self._key),
            ("X-Auth-Token", self._token),
        )
        for path in (ground.read, ground.missing):
            for name, make in makers:
                made = make(f"the header {name} of GET {path}")
                yield self._sowing("GET", path, {name: made}, stranger=name in {"Authorization", "Cookie"})

    def _queries(self, ground: Ground) -> Iterator[Sowing]:
        for path in (ground.read, ground.missing):
            for name in ("token", "access_token", "password", "api_key", "client_secret", "session_id", "jwt"):
                value = (
                    self._jwt(f"?{name}= of GET {path}") if name == "jwt" else self._token(f"?{name}= of GET {path}")
                )
                yield self._sowing("GET", _asked(path, f"{name}={value}"), {})
            for name, form, encode in _ENCODED:
                value = self._password(f"?{name}= of GET {path}, {form}")
                yield self._sowing("GET", _asked(path, f"{name}={encode(value)}"), {})
            place = f"?email= of GET {path}"
            yield self._sowing("GET", _asked(path, f"email={quote(self._mail(place))}"), {})
            yield self._sowing("GET", _asked(path, f"card={self._card(f'?card= of GET {path}')}"), {})
            key = self._key(f"a text in ?q= of GET {path}")
            yield self._sowing("GET", _asked(path, f"q=my+key+is+{key}"), {})

        for path, name in ground.numbers:
            value = self._token(f"?{name}= of GET {path}, where a number is wanted")
            yield self._sowing("GET", _asked(path, f"{name}={value}"), {})

    def _paths(self, ground: Ground) -> Iterator[Sowing]:
        place = f"the path of GET {ground.missing}/..."
        for make in (self._key, self._jwt, self._mail, self._card):
            yield self._sowing("GET", f"{ground.missing}/{make(place, echoed=True)}", {})
        yield self._sowing("GET", f"{ground.missing}/token/{self._token(place, echoed=True)}", {})

    def _bodies(self, ground: Ground) -> Iterator[Sowing]:
        nothing: Table = {}
        for method, path, known in [*ground.bodies, ("POST", ground.missing, nothing)]:
            for how, shape in _SHAPES.items():
                secret = self._fields(f"the JSON of {method} {path}{how}")
                yield self._sowing(method, path, _JSON, shape(secret, known).encode())

    def _fields(self, place: str) -> dict[str, object]:
        """Secrets under secret names, at several depths, and what has a shape under others."""
        return {
            "password": self._password(place, stored=True),
            "profile": {"api_key": self._key(place, stored=True), "email": self._mail(place, stored=True)},
            "cards": [{"card_number": self._card(place, stored=True)}],
            "credentials": [{"name": "client_secret", "value": self._token(place, stored=True)}],
            "access_token": self._jwt(place, stored=True),
            "note": f"my key is {self._key(place, stored=True)}",
        }

    def _forms(self, ground: Ground) -> Iterator[Sowing]:
        for method, path in [*ground.forms, ("POST", ground.missing)]:
            place = f"the form of {method} {path}"
            fields = {
                "username": self._mail(place, stored=True),
                "password": self._password(place, stored=True),
                "client_secret": self._token(place, stored=True),
            }
            yield self._sowing(method, path, _FORM, urlencode(fields).encode())

    def _files(self, ground: Ground) -> Iterator[Sowing]:
        method, path, field = ground.upload
        place = f"the form with a file of {method} {path}"
        name = self._key(f"the file name in {place}", stored=True, echoed=True)
        password = self._password(place, stored=True)
        kind = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
        text = (
            f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="password"\r\n\r\n{password}\r\n'
            f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"; filename="{name}.csv"\r\n'
            f"Content-Type: text/csv\r\n\r\nrow,name\r\n1,Person 1\r\n--{_BOUNDARY}--\r\n"
        )
        yield self._sowing(method, path, kind, text.encode())
        text = text.replace(password, self._password(f"{place}, cut short", stored=True))
        yield self._sowing(method, path, kind, text.partition("row,name")[0].encode())

    def _sign_ins(self, ground: Ground) -> Iterator[Sowing]:
        for path in ground.sign_ins:
            for kind in (_JSON, _FORM):
                place = f"the wrong password sent to POST {path}"
                who = {"username": "someone", "email": "someone@example.com", "name": "someone"}
                fields = {**who, "password": self._password(place)}
                body = json.dumps(fields) if kind is _JSON else urlencode(fields)
                yield self._sowing("POST", path, kind, body.encode(), stranger=True)


def _asked(path: str, query: str) -> str:
    return f"{path}{'&' if '?' in path else '?'}{query}"
