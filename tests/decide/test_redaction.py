import base64
import json
import random
import re
import string
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.decide.redaction import Redactor

REDACTOR = Redactor()
CHANCE = random.Random(3)
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def drawn(length: int, alphabet: str = LETTERS) -> str:
    return "".join(CHANCE.choices(alphabet, k=length))


def hexes(length: int) -> str:
    return drawn(length, "0123456789abcdef")


JWT = f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI3In0.{drawn(43)}"


# -- by name --


@pytest.mark.parametrize(
    "name",
    "password PASSWORD userPassword user_password new-password db.password passwd pwd passphrase secret clientSecret "
    "api_key apiKey X-Api-Key APIKEY token access_token refreshToken csrf-token authorization Proxy-Authorization "
    "cookie Set-Cookie session session_id PHPSESSID private_key AWS_SECRET_ACCESS_KEY credit_card cardNumber cvv ssn "
    "iban email user_email phone date_of_birth pin otp credentials user[password] user%5Bpassword%5D "
    "input_value token_value token2 password_1 auth_header accessTokenString".split(),
)
def test_a_field_with_a_secret_name_is_redacted_whatever_its_case_and_separators(name):
    assert REDACTOR.fields({name: "plain words"}) == {name: "[redacted:field]"}


@pytest.mark.parametrize(
    "name",
    "token_count password_changed_at secret_name api_key_id token_type email_verified cookie_name "
    "next_page_token cache_key idempotency_key primary_key object_key keyboard author bypass secretary compass "
    "session_count request_id upload_id etag sha256 path client".split(),
)
def test_a_field_that_only_tells_of_a_secret_stays(name):
    assert REDACTOR.fields({name: "plain words"}) == {name: "plain words"}


def test_declared_names_are_redacted_and_kept_names_are_not():
    redactor = Redactor(["patient-number", "-session_id", ""])
    told = redactor.fields({"patientNumber": 7, "PATIENT_NUMBER": "8", "session_id": "room 4", "patient": "x"})
    assert told == {
        "patientNumber": "[redacted:field]",
        "PATIENT_NUMBER": "[redacted:field]",
        "session_id": "room 4",
        "patient": "x",
    }
    assert redactor.text("patient_number=12") == "patient_number=[redacted:field]"
    assert redactor.is_secret("Patient Number")


def test_what_says_nothing_under_a_secret_name_stays():
    values = {"password": None, "token": "", "secret": False, "prompt_tokens": 512, "tokens": 3}
    assert REDACTOR.fields(values) == values


def test_a_number_under_a_secret_name_is_redacted():
    assert REDACTOR.fields({"pin": 1234, "cvv": 7.5}) == {"pin": "[redacted:field]", "cvv": "[redacted:field]"}


def test_a_container_under_a_secret_name_is_redacted_whole():
    assert REDACTOR.fields({"credentials": {"user": "a", "words": ["b"]}}) == {"credentials": "[redacted:field]"}


# -- containers --


def test_secrets_are_found_however_deep():
    value: object = {"db-password": "sesame"}
    for _ in range(10):
        value = {"inner": [value, (value,)]} if CHANCE.random() < 0.2 else {"inner": [value]}
    assert "sesame" not in str(REDACTOR.fields({"value": value}))


def test_a_header_list_loses_its_secrets():
    headers = [(b"host", b"x"), (b"authorization", b"abc def"), ("Cookie", "a=b"), ["x-api-key", "k"]]
    told = REDACTOR.fields({"headers": headers})
    assert told == {
        "headers": [
            ["host", "x"],
            ["authorization", "[redacted:field]"],
            ["Cookie", "[redacted:field]"],
            ["x-api-key", "[redacted:field]"],
        ]
    }


def test_a_value_beside_its_name_is_redacted():
    assert REDACTOR.fields({"env": [{"name": "API_KEY", "value": "abc"}, {"name": "HOME", "value": "there"}]}) == {
        "env": [{"name": "API_KEY", "value": "[redacted:field]"}, {"name": "HOME", "value": "there"}]
    }


def test_the_input_of_a_validation_error_is_redacted_where_it_is_a_secrets():
    errors = [{"loc": ("body", "password"), "input": "sesame"}, {"loc": ("body", "age"), "input": "old"}]
    assert "sesame" not in str(REDACTOR.fields({"errors": errors}))
    assert "sesame" not in REDACTOR.text(str(errors))
    assert "old" in REDACTOR.text(str(errors))


def test_a_container_that_contains_itself_is_cut():
    value: dict[str, object] = {"a": 1}
    value["self"] = value
    assert REDACTOR.fields({"value": value}) == {"value": {"a": 1, "self": "[cut: it contains itself]"}}


def test_too_deep_and_too_much_is_cut_with_a_mark():
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert "[cut: 1 values]" in str(REDACTOR.fields({"deep": deep}))
    told = REDACTOR.fields({"many": list(range(100_000)), "after": "x"})
    many = told["many"]
    assert isinstance(many, list)
    assert len(many) < 5_000
    assert many[-1] == f"[cut: {100_000 - len(many) + 1} more values]"
    assert told["after"] == "x"
    told = REDACTOR.fields({str(number): number for number in range(5_000)})
    assert len(told) < 5_000
    assert told["[cut]"] == f"{5_001 - len(told)} more values"


class Broken:
    def __str__(self) -> str:
        raise ValueError("sesame")


class Torn(Mapping[str, object]):
    def __getitem__(self, key: str) -> object:
        raise KeyError(key)

    def __iter__(self):
        raise RuntimeError("changed")

    def __len__(self) -> int:
        return 3


def test_objects_become_text_and_a_str_that_raises_is_told():
    told = REDACTOR.fields(
        {
            "id": uuid.UUID(int=7),
            "bytes": b"password=sesame",
            "error": ValueError("token=sesame"),
            "broken": Broken(),
            "set": {1},
        }
    )
    assert told == {
        "id": "00000000-0000-0000-0000-000000000007",
        "bytes": "password=[redacted:field]",
        "error": "ValueError: token=[redacted:field]",
        "broken": "[unprintable Broken]",
        "set": [1],
    }
    assert REDACTOR.fields(Torn()) == {"unreadable": "[redacted:unreadable]"}
    assert REDACTOR.fields({"inner": Torn()}) == {"unreadable": "[redacted:unreadable]"}


def test_a_name_that_is_a_secret_itself_is_redacted():
    assert REDACTOR.fields({"bob@example.com": 1, "eve@example.com": 2}) == {
        "[redacted:email]": 1,
        "[redacted:email] (1)": 2,
    }


def test_big_numbers_stay_numbers_unless_they_are_cards():
    assert REDACTOR.fields({"trace": 2**64 - 1, "at": 1_760_000_000_000_000_000, "note": 4111111111111111}) == {
        "trace": 2**64 - 1,
        "at": 1_760_000_000_000_000_000,
        "note": "[redacted:card]",
    }
    assert REDACTOR.fields({"big": 10**30, "huge": 10**5000}) == {"big": str(10**30), "huge": "[unprintable int]"}


# -- by shape --

SECRETS = {
    "bearer": f"Bearer {drawn(20)}",
    "basic": "Basic " + base64.b64encode(b"bob:sesame").decode(),
    "jwt": JWT,
    "card": "4111 1111 1111 1111",
    "email": "bob@example.com",
    "iban": "DE89 3704 0044 0532 0130 00",
    "ssn": "123-45-6789",
    "url-credentials": "postgres://app:pa%40ss@db.internal:5432/shop",
    "webhook": f"https://hooks.slack.com/services/T0{drawn(8)}/B0{drawn(8)}/{drawn(24)}",
    "pem": "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----",
    "password-hash": "$2b$12$" + drawn(53),
    "sql": "[parameters: ('bob', 'sesame')]",
}


@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_is_known_by_its_shape(kind):
    told = REDACTOR.text(f"seen: {SECRETS[kind]} (done)")
    assert f"[redacted:{kind}]" in told
    assert told.startswith("seen: ")
    assert told.endswith("(done)")


KEYS = [
    f"AKIA{drawn(16, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567')}",
    f"ghp_{drawn(36)}",
    f"github_pat_{drawn(22)}_{drawn(59)}",
    f"glpat-{drawn(20)}",
    f"xoxb-{CHANCE.randrange(10**11, 10**12)}-{CHANCE.randrange(10**11, 10**12)}-{drawn(24)}",
    f"sk_live_{drawn(24)}",
    f"whsec_{drawn(32)}",
    f"AIza{drawn(35)}",
    f"npm_{drawn(36)}",
    f"pypi-AgEIcHlwaS5vcmc{drawn(60)}",
    f"sk-proj-{drawn(48)}",
    f"sk-{drawn(48)}",
    f"SG.{drawn(22)}.{drawn(43)}",
    f"SK{hexes(32)}",
    f"hvs.{drawn(24)}",
    f"dop_v1_{hexes(64)}",
    f"shpat_{hexes(32)}",
    f"hf_{drawn(34)}",
    f"{drawn(3)}8Q~{drawn(34)}",
    f"{CHANCE.randrange(10**9, 10**10)}:AA{drawn(33)}",
    f"acme_api_{drawn(32)}",
]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key[:6])
@pytest.mark.parametrize("form", ["{}", "note={}", 'sent "{}" twice', '{{"note": "{}"}}', "/hooks/{}/ping"])
def test_a_vendors_key_is_known_anywhere(key, form):
    assert key[8:-4] not in REDACTOR.text(form.format(key))


@pytest.mark.parametrize("number", ["371449635398431", "30569309025904", "4111-1111-1111-1111", "3714 496353 98431"])
def test_a_card_is_known_alone_and_as_a_number(number):
    assert REDACTOR.text(number) == "[redacted:card]"
    assert REDACTOR.fields({"note": int(re.sub(r"\D", "", number))}) == {"note": "[redacted:card]"}


def test_an_unknown_key_is_known_by_the_word_before_it_or_by_its_length():
    short, long = f"q7{drawn(22)}", f"4k{drawn(46)}9x"
    assert short not in REDACTOR.text(f"api token {short} rejected")
    assert short not in REDACTOR.text(f"weather_key={short}")
    assert long not in REDACTOR.text(f"got {long}")
    assert long not in REDACTOR.text(f"/reset/{long}")


def test_a_random_text_that_happens_to_have_no_digit_is_a_key_and_names_run_together_are_none():
    chance = random.Random(1)
    drawn = ["".join(chance.choices(string.ascii_letters, k=40)) for _ in range(1000)]
    shown = [text for text in drawn if text in REDACTOR.text(f"after={text}")]
    assert len(shown) < 250
    names = "AbstractSingletonProxyFactoryBeanOfTheShop thisIsAVeryLongNameOfWhatItDoesToAll"
    assert REDACTOR.text(names) == names


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("password=sesame&page=2", "password=[redacted:field]&page=2"),
        ("/cb?page=2&access_token=a,b;c", "/cb?page=2&access_token=[redacted:field]"),
        ('{"api_key": "se\\"same", "page": 2}', '{"api_key": "[redacted:field]", "page": 2}'),
        ('"{\\"password\\": \\"se same\\", \\"a\\": 1}"', '"{\\"password\\": \\"[redacted:field]\\", \\"a\\": 1}"'),
        ("{'secret': ['a', {'b': ']'}], 'x': 1}", "{'secret': [redacted:field], 'x': 1}"),
        ("Authorization: Digest user=x, response=y\nHost: z", "Authorization: [redacted:field]\nHost: z"),
        ("curl -H 'Cookie: a=b; c=d' -o f", "curl -H 'Cookie: [redacted:field]' -o f"),
        ("curl -u bob:sesame -o f", "curl -u [redacted:url-credentials] -o f"),
        ("deploy --token sesame --to here", "deploy --token [redacted:field] --to here"),
        ("<password>sesame</password>", "<password>[redacted:field]</password>"),
        ('<add key="Password" value="sesame" />', '<add key="Password" value="[redacted:field]" />'),
        ("Server=db;Password=se{same;Port=1", "Server=db;Password=[redacted:field];Port=1"),
        ("user%5Bpassword%5D=sesame&x=1", "user%5Bpassword%5D=[redacted:field]&x=1"),
        ("%7B%22password%22%3A%22se%20same%22%7D", "%7B%22password%22%3A%22[redacted:field]%22%7D"),
        ("bob%40example.com", "[redacted:email]"),
        ("[(b'authorization', b'sesame')]", "[(b'authorization', b'[redacted:field]')]"),
        ("User(name='bob', password='sesame')", "User(name='bob', password='[redacted:field]')"),
        ("Config(token=sesame, x=1)", "Config(token=[redacted:field], x=1)"),
        ("phone: +41 (0)79 123 45 67, home", "phone: [redacted:field], home"),
        ("input_value='sesame', input_type=str", "input_value='[redacted:field]', input_type=str"),
        ("Key (email)=(bob) already exists.", "Key (email)=([redacted:field]) already exists."),
        ('Client Secret: "sesame"', 'Client Secret: "[redacted:field]"'),
        (
            "to=postgres%3A%2F%2Fbob%3Asesame%40db%2Fshop&a=b",
            "to=postgres%3A%2F%2F[redacted:url-credentials]%40db%2Fshop&a=b",
        ),
        ("to=https%3a//bob:p%2540ss@x/y", "to=https%3a//[redacted:url-credentials]@x/y"),
        ("to=https%3A%2F%2Fexample.com%2Fa%40b", "to=https%3A%2F%2Fexample.com%2Fa%40b"),
        ("https://bob:sesame@example.com/x?a=b@c", "https://[redacted:url-credentials]@example.com/x?a=b@c"),
        ('{"password": "sesame', '{"password": "[redacted:field]'),
        ("password: [1, 2", "password: [redacted:field]"),
    ],
)
def test_a_secret_that_text_names_is_redacted_and_the_rest_stays(text, told):
    assert REDACTOR.text(text) == told


@pytest.mark.parametrize(
    "text",
    [
        "Invalid password: must be at least 12 characters",
        "token: expired",
        "password=password",
        "api_key=settings.api_key.reveal()",
        "password=None, token=null, secret=***, key=${API_KEY}",
        "prompt_tokens=512 max_tokens: 4096",
        "def login(name: str, password: str) -> None:",
        "Key (id)=(7) already exists.",
        "git@github.com:acme/shop.git icon@2x.png user@localhost @app.get",
        "http://localhost:8000/@acme/shop?to=here",
        "id 4111111111111112, 1760000000000, 0.4111111111111111",
        "127.0.0.1",
        "3.14",
        "bearer of bad news, basic authentication required",
        "primary key 42, foreign key constraint, token bucket",
        "-----BEGIN CERTIFICATE-----",
    ],
)
def test_ordinary_text_stays_and_is_the_same_object(text):
    assert REDACTOR.text(text) is text


READABLE = {
    "uuid": lambda: str(uuid.UUID(int=CHANCE.getrandbits(128))),
    "md5": lambda: hexes(32),
    "sha1": lambda: hexes(40),
    "sha256": lambda: hexes(64),
    "SHA256": lambda: hexes(64).upper(),
    "sha512": lambda: hexes(128),
    "digest": lambda: "sha256-" + base64.b64encode(CHANCE.randbytes(32)).decode(),
    "digest field": lambda: f"sha-256=:{base64.b64encode(CHANCE.randbytes(32)).decode()}:",
    "etag": lambda: f'W/"{hexes(32)}-{CHANCE.randrange(9999)}"',
    "express etag": lambda: f'W/"{hexes(4)}-{base64.b64encode(CHANCE.randbytes(20)).decode()[:27]}"',
    "traceparent": lambda: f"00-{hexes(32)}-{hexes(16)}-01",
    "decimal trace": lambda: str(CHANCE.getrandbits(64)),
    "ulid": lambda: "01" + drawn(24, "0123456789ABCDEFGHJKMNPQRSTVWXYZ"),
    "time": lambda: datetime.fromtimestamp(CHANCE.randrange(2 * 10**9), UTC).isoformat(),
    "nanoseconds": lambda: str(CHANCE.randrange(10**18, 2 * 10**18)),
    "path": lambda: f"/api/files/{uuid.UUID(int=CHANCE.getrandbits(128))}/parts/{CHANCE.randrange(9999)}",
    "stripe": lambda: f"cus_{drawn(14)}",
}


@pytest.mark.parametrize("kind", READABLE)
def test_identifiers_stay_readable(kind):
    made = [READABLE[kind]() for _ in range(200)]
    forms = ["{}", "stored {} in 2 ms", "file_id={} size=1", 'cache key {} missing, {{"etag": "{}"}}']
    altered = [text for value in made for form in forms if REDACTOR.text(text := form.format(value, value)) != text]
    assert altered == []
    assert all(REDACTOR.fields({"etag": value, "x": [value]}) == {"etag": value, "x": [value]} for value in made)


# -- planted --


@pytest.mark.parametrize("secret", ['se"same', "se\\same", "sesame\\", '"', 'a\\"b', "se'same", 'x"}, "y": "z'])
@pytest.mark.parametrize("levels", [1, 2, 3])
def test_a_secret_with_quotes_in_it_is_hidden_in_a_string_in_a_string(secret, levels):
    text: object = {"page": 1, "password": secret, "after": "here"}
    told: object = {"page": 1, "password": "[redacted:field]", "after": "here"}
    for _ in range(levels):
        text, told = json.dumps(text), json.dumps(told)
    assert REDACTOR.text(str(text)) == told
    assert secret not in REDACTOR.text(repr({"password": secret + "!", "after": "here"}))


def carriers(secret: str) -> dict[str, object]:
    """One secret, carried to a log in the ways that it gets there."""
    nested: dict[str, object] = {"Db-Password": secret}
    for _ in range(20):
        nested = {"inner": [nested]}
    return {
        "header": [(b"authorization", f"Bearer {secret}".encode())],
        "nested": nested,
        "query": f"GET /callback?{urlencode({'page': 2, 'token': secret})} 302",
        "json": json.dumps({"event": json.dumps({"client_secret": secret})}),
        "dump": f"POST / HTTP/1.1\r\nCookie: session={secret}; theme=dark\r\nHost: x",
        "locals": {"self": object(), "api_key": secret, "page": 2},
        "error": ValueError(f"cannot connect to amqp://app:{secret}@queue:5672"),
        "basic": "sent Basic " + base64.b64encode(f"bob:{secret}".encode()).decode(),
        "repr": f"Login(user='bob', password={secret!r})",
        "urlencoded": quote(json.dumps({"password": secret})),
        "sql": f"INSERT INTO users VALUES (?, ?)\n[parameters: ('bob', {secret!r})]",
    }


def test_no_planted_secret_comes_through():
    leaks: list[str] = []
    for _ in range(300):
        secret = drawn(CHANCE.randrange(12, 40))
        forms = {secret, base64.b64encode(f"bob:{secret}".encode()).decode()}
        for way, value in carriers(secret).items():
            told = str(REDACTOR.fields({"value": value}))
            leaks += [f"{way}: {told}" for form in forms if form in told]
    assert leaks == []


# -- always --

PARTS = [
    *SECRETS.values(),
    *KEYS[:4],
    *"password token : = \" ' { } [ ( ) , ; & \\ @ / ? - _ %22 %40 $ < > é \n \x00 \ud800 Bearer eyJ . 4111".split(" "),
    "[redacted:field]",
    "://",
    "--token ",
    "-----BEGIN PRIVATE KEY-----",
]
TEXTS = st.one_of(st.text(max_size=200), st.lists(st.sampled_from(PARTS), max_size=12).map("".join))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS, st.binary(max_size=50), st.datetimes()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(TEXTS, st.integers(), st.none()), inner, max_size=4),
        st.tuples(inner, inner),
    ),
    max_leaves=15,
)


@settings(deadline=None, max_examples=300)
@given(TEXTS)
def test_any_text_can_be_redacted_and_a_second_time_shows_no_more(text):
    once = REDACTOR.text(text)
    assert len(shown(REDACTOR.text(once))) <= len(shown(once)) <= len(text)
    for finding in REDACTOR.findings(text):
        assert 0 <= finding.start <= finding.end <= len(text)


def shown(text: str) -> str:
    return re.sub(r"\[redacted:[a-z-]+\]", "", text)


@settings(deadline=None, max_examples=150)
@given(st.dictionaries(TEXTS, VALUES, max_size=5))
def test_any_record_becomes_plain_data(values):
    told = REDACTOR.fields(values)
    assert only_plain(told)


def only_plain(value: object) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and only_plain(item) for key, item in value.items())
    if isinstance(value, list):
        return all(only_plain(item) for item in value)
    return value is None or type(value) in {bool, int, float, str}


@pytest.mark.parametrize(
    "secret", [*SECRETS.values(), *KEYS, "password=sesame", '{"token": "x"}'], ids=lambda secret: secret[:12]
)
def test_a_redacted_text_is_redacted_once(secret):
    once = REDACTOR.text(f"a {secret} b")
    assert "[redacted:" in once
    assert REDACTOR.text(once) == once


def test_a_finding_never_shows_the_text():
    text = "password=sesame for bob@example.com"
    found = REDACTOR.findings(text)
    assert [(finding.kind, text[finding.start : finding.end]) for finding in found] == [
        ("field", "sesame"),
        ("email", "bob@example.com"),
    ]
    assert "sesame" not in repr(found)
    assert "bob" not in repr(found)


def test_a_long_text_is_cut_with_a_mark_and_a_secret_across_the_cut_is_not_kept():
    told = REDACTOR.text("x " * 40_000)
    assert told.endswith(f"[cut: {80_000 - 65_536} characters]")
    assert len(told) < 65_600
    across = "x " * 32_760 + KEYS[2] + " x" * 500
    told = REDACTOR.text(across)
    assert KEYS[2][:20] not in told
    assert re.search(r"\[redacted:key\]\[cut: \d+ characters\]$", told)


@pytest.mark.parametrize(
    "piece",
    [
        *["a", "a.", "a@", "://a:b", "=${ékey-", "password=[", 'password:"', "--token [", "authorization: user[_1."],
        *['"key": "password", "value": "&quot;', "eyJaaaaaaaaaa.", "-----BEGIN PRIVATE KEY-----", "4111 ", "aA1/"],
        *[
            "[parameters: ",
            "Failing row contains (",
            "Key (email)=(",
            "<a>",
            "$2a$",
            "password=)",
            "\\",
            '"',
            "'b",
            "%",
        ],
    ],
)
def test_a_hostile_text_of_a_megabyte_takes_no_longer_than_a_long_one(piece):
    begun = time.perf_counter()
    REDACTOR.text(piece * (1_000_000 // len(piece)))
    REDACTOR.fields({"value": piece * (1_000_000 // len(piece)), "key": piece * 10_000})
    assert time.perf_counter() - begun < 2
