"""What the value of a variable names, and that nothing but hosts and ports of it is touched or told."""

import string

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from holdfast.decide.dependencies import Address, Finding, dependency, redirected

PROXY = Address("127.0.0.1", 40000)
unhurried = settings(deadline=None)


def addresses(value: str) -> list[str]:
    return [str(address) for address in dependency(value).addresses]


def through_proxies(value: str) -> str:
    found = dependency(value).addresses
    return redirected(value, {address: Address("127.0.0.1", 40000 + place) for place, address in enumerate(found)})


@pytest.mark.parametrize(
    ("value", "scheme", "named", "rewritten"),
    [
        (
            "postgresql://user:p%40w%2F@host:5433/db?x=y",
            "postgresql",
            ["host:5433"],
            "postgresql://user:p%40w%2F@127.0.0.1:40000/db?x=y",
        ),
        ("postgres://db", "postgres", ["db:5432"], "postgres://127.0.0.1:40000"),
        ("postgresql+asyncpg://u:pw@db/shop", "postgresql", ["db:5432"], "postgresql+asyncpg://u:pw@127.0.0.1:40000/shop"),
        ("postgresql+asyncpg://u:p/w?1@db/shop", "postgresql", ["db:5432"], "postgresql+asyncpg://u:p/w?1@127.0.0.1:40000/shop"),
        (
            "postgresql://u@a:1,b,[::1]:3/db?target_session_attrs=any#x",
            "postgresql",
            ["a:1", "b:5432", "[::1]:3"],
            "postgresql://u@127.0.0.1:40000,127.0.0.1:40001,127.0.0.1:40002/db?target_session_attrs=any#x",
        ),
        ("postgresql://u:a@b@db/x", "postgresql", ["db:5432"], "postgresql://u:a@b@127.0.0.1:40000/x"),
        ("redis://:secret@cache/0", "redis", ["cache:6379"], "redis://:secret@127.0.0.1:40000/0"),
        ("redis://", "redis", ["localhost:6379"], "redis://127.0.0.1:40000"),
        ("redis:///3", "redis", ["localhost:6379"], "redis://127.0.0.1:40000/3"),
        ("REDIS://Cache:1", "redis", ["Cache:1"], "REDIS://127.0.0.1:40000"),
        ("rediss://cache:6380/0", "rediss", ["cache:6380"], "rediss://127.0.0.1:40000/0"),
        ("amqp://guest:guest@rabbit//", "amqp", ["rabbit:5672"], "amqp://guest:guest@127.0.0.1:40000//"),
        ("amqp://rabbit/%2Fvhost", "amqp", ["rabbit:5672"], "amqp://127.0.0.1:40000/%2Fvhost"),
        ("mysql+pymysql://u:p@h:3307/db", "mysql", ["h:3307"], "mysql+pymysql://u:p@127.0.0.1:40000/db"),
        ("mongodb://u:p@m/db?authSource=admin", "mongodb", ["m:27017"], "mongodb://u:p@127.0.0.1:40000/db?authSource=admin"),
        ("http://api.example/v1?to=a", "http", ["api.example:80"], "http://127.0.0.1:40000/v1?to=a"),
        ("https://api.example/@scope/x", "https", ["api.example:443"], "https://127.0.0.1:40000/@scope/x"),
        ("http://[fe80::1%eth0]:8080/", "http", ["[fe80::1%eth0]:8080"], "http://127.0.0.1:40000/"),
        ("nats://a,b:4223", "nats", ["a:4222", "b:4223"], "nats://127.0.0.1:40000,127.0.0.1:40001"),
        ("solr://search:8983/x", "", ["search:8983"], "solr://127.0.0.1:40000/x"),
        ("kafka:9092", "", ["kafka:9092"], "127.0.0.1:40000"),
        (" k1:9092, k2:9093 ", "", ["k1:9092", "k2:9093"], " 127.0.0.1:40000, 127.0.0.1:40001 "),
        ("a:1,a:1", "", ["a:1"], "127.0.0.1:40000,127.0.0.1:40000"),
        ("10.0.0.7:11211", "", ["10.0.0.7:11211"], "127.0.0.1:40000"),
        ("[2001:db8::1]:9092", "", ["[2001:db8::1]:9092"], "127.0.0.1:40000"),
    ],
)  # fmt: skip
def test_it_finds_the_hosts_and_rewrites_them_alone(value, scheme, named, rewritten):
    found = dependency(value)
    assert (found.kind, found.scheme, addresses(value)) == ("network", scheme, named)
    assert through_proxies(value) == rewritten


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("sqlite:///shop.db", "file"),
        ("sqlite+aiosqlite:////data/shop.db", "file"),
        ("duckdb:///x", "file"),
        ("file:///etc/hosts", "file"),
        ("/var/lib/shop/shop.db", "file"),
        ("./shop.db", "file"),
        ("shop.sqlite3", "file"),
        ("/run/postgresql/.s.sock", "unix"),
        ("unix:///run/x.sock", "unix"),
        ("redis+socket:///run/redis.sock", "unix"),
        ("http+unix://%2Frun%2Fx.sock/info", "unix"),
        ("postgresql:///shop", "unix"),
        ("postgresql:///shop?host=/run/postgresql", "unix"),
        ("postgresql://u@%2Frun%2Fpostgresql/shop", "unix"),
        ("mysql+pymysql://u:p@h/db?unix_socket=/run/mysqld.sock", "unix"),
        ("", "none"),
        ("true", "none"),
        ("12:30", "none"),
        ("8000", "none"),
        ("a,b", "none"),
        ("db:99999", "none"),
        ("C:\\data\\x", "none"),
        ("host=db port=5432 user=shop", "none"),
        ("http://", "none"),
        ("redis://cache:99999", "none"),
    ],
)
def test_what_is_no_host_and_port_is_told_from_them_and_left_as_it_is(value, kind):
    assert (dependency(value).kind, dependency(value).addresses) == (kind, ())
    assert through_proxies(value) == value


@pytest.mark.parametrize(
    ("value", "tls", "findings"),
    [
        ("https://api.example", True, {Finding.TLS_NAME, Finding.HOST_HEADER}),
        ("http://api.example", False, {Finding.HOST_HEADER}),
        ("wss://api.example/feed", True, {Finding.TLS_NAME, Finding.HOST_HEADER}),
        ("postgresql://db/x", False, set()),
        ("postgresql://db/x?sslmode=prefer", False, set()),
        ("postgresql://db/x?sslmode=require", True, set()),
        ("postgresql://db/x?sslmode=verify-ca", True, set()),
        ("postgresql://db/x?sslmode=verify-full&a=b", True, {Finding.TLS_NAME}),
        ("postgresql+asyncpg://db/x?ssl=require", True, set()),
        ("postgresql+asyncpg://db/x?ssl=true", True, {Finding.TLS_NAME}),
        ("postgresql://db/x?hostaddr=10.0.0.1", False, {Finding.IN_QUERY}),
        ("mysql://db/x?ssl_mode=REQUIRED", True, set()),
        ("mysql://db/x?ssl_mode=VERIFY_IDENTITY", True, {Finding.TLS_NAME}),
        ("mysql+pymysql://db/x?ssl_ca=/ca.pem", True, {Finding.TLS_NAME}),
        ("mysql+pymysql://db/x?ssl_ca=/ca.pem&ssl_check_hostname=false", True, set()),
        ("redis://cache", False, set()),
        ("rediss://cache", True, {Finding.TLS_NAME}),
        ("rediss://cache?ssl_cert_reqs=none", True, set()),
        ("rediss://cache?ssl_check_hostname=False", True, set()),
        ("amqps://rabbit", True, {Finding.TLS_NAME}),
        ("amqps://rabbit?no_verify_ssl=1", True, set()),
        ("mongodb://m/x?tls=true", True, {Finding.TLS_NAME}),
        ("mongodb://m/x?tls=true&tlsAllowInvalidHostnames=true", True, set()),
        ("mongodb://a,b/x", False, {Finding.DISCOVERY}),
        ("mongodb://a/x?replicaSet=r", False, {Finding.DISCOVERY}),
        ("mongodb://a/x?replicaSet=r&directConnection=true", False, set()),
        ("kafka://a:9092", False, {Finding.DISCOVERY}),
        ("a:9092,b:9092", False, {Finding.DISCOVERY}),
        ("a:9092", False, set()),
    ],
)
def test_what_a_proxy_does_to_tls_and_to_discovery_is_said(value, tls, findings):
    found = dependency(value)
    assert (found.kind, found.tls, set(found.findings)) == ("network", tls, findings)
    assert found.checks_name == (Finding.TLS_NAME in findings)
    assert through_proxies(value) != value


@pytest.mark.parametrize(
    ("value", "finding"),
    [
        ("mongodb+srv://u:p@cluster.example/db", Finding.SRV),
        ("postgresql:///db?host=other", Finding.IN_QUERY),
        ("solr://search/x", Finding.NO_PORT),
        ("postgresql://u:12/34@host/db", Finding.UNCLEAR),
        ("postgresql://u:12?a=34@host/db", Finding.UNCLEAR),
        ("postgresql://u:a@12/34@host/db", Finding.UNCLEAR),
        ("redis://:12#34@host/0", Finding.UNCLEAR),
        ("redis://a:1/0,redis://b:1/0", Finding.UNCLEAR),
        ("http://a:1,http://b:1", Finding.UNCLEAR),
        ("amqp://a;amqp://b", Finding.UNCLEAR),
        ("http://a:port/", Finding.UNCLEAR),
    ],
)
def test_what_cannot_be_rewritten_says_why(value, finding):
    found = dependency(value)
    assert (found.kind, found.addresses, found.findings) == ("none", (), (finding,))
    assert through_proxies(value) == value


ugly = st.text(st.sampled_from(":/?#@,;[]%&=+ \n\t\0\\\"'éß\uff0e0aZ.-_"), max_size=40) | st.text(max_size=40)
schemes = st.sampled_from(
    ["postgresql", "postgresql+asyncpg", "redis", "rediss", "amqp", "mysql+pymysql", "mongodb", "mongodb+srv", "http",
     "https", "kafka", "sqlite", "unix", "solr", "redis+socket", "x"]
)  # fmt: skip
names = st.from_regex(r"[a-z][a-z0-9-]{0,8}[a-z0-9](\.[a-z]{2,5})?", fullmatch=True)
hosts = names | st.sampled_from(["10.1.2.3", "[::1]", "[2001:db8::7]"])
ports = st.integers(1, 65535)


@unhurried
@given(ugly)
@example("[")
@example("http://[::1")
@example("postgresql://[::1]x:1/")
@example("redis://host:١٢")
def test_no_value_is_too_ugly(value):
    found = dependency(value)
    assert redirected(value, {}) == value
    assert redirected(value, {address: address for address in found.addresses}).count("@") == value.count("@")
    if not found.addresses:
        assert redirected(value, {PROXY: PROXY}) == value


@unhurried
@given(schemes, ugly, ugly, ugly)
def test_no_url_is_too_ugly(scheme, first, second, third):
    value = f"{scheme}://{first}:{second}@{third}"
    assert redirected(value, {}) == value
    assert repr(dependency(value))


@unhurried
@given(
    schemes.filter(lambda name: name not in {"sqlite", "unix", "redis+socket", "mongodb+srv"}),
    st.text(string.ascii_letters, min_size=1, max_size=6),
    st.lists(st.tuples(hosts, ports), min_size=1, max_size=3, unique=True),
    st.sampled_from(["", "/", "/db", "/db?x=y", "//", "?a=%40b", "/%2F#f", "/a,b"]),
)
def test_every_host_is_led_through_its_own_proxy_and_back_again(scheme, user, several, rest):
    listed = ",".join(f"{host}:{port}" for host, port in several)
    value = f"{scheme}://{user}:p%2F{user}%40@{listed}{rest}"
    found = dependency(value).addresses
    assert [str(address) for address in found] == [f"{host}:{port}" for host, port in several]
    proxies = {address: Address("::1", 40000 + place) for place, address in enumerate(found)}
    there = redirected(value, proxies)
    assert dependency(there).addresses == tuple(proxies.values())
    assert redirected(there, {proxy: address for address, proxy in proxies.items()}) == value
    only_the_first = redirected(value, dict([*proxies.items()][:1]))
    assert dependency(only_the_first).addresses[1:] == found[1:]


SECRET = st.text(st.sampled_from("S0123456789:/?#@,;[]%&=+. -"), min_size=1, max_size=12)
PLAIN = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@unhurried
@given(schemes, SECRET, st.booleans())
@example("postgresql", "12/", False)
@example("postgresql", "@12/3", False)
@example("redis", "1?a=b", False)
@example("https", "7#", False)
@example("postgresql+asyncpg", "1/2@3/4", False)
@example("amqp", "1,redis://2", False)
def test_no_part_of_a_password_is_ever_told_however_badly_it_is_escaped(scheme, password, listed):
    """The port and the host that are told are those of the value, or there are none."""
    end = "db.example:5,db2.example:6/x" if listed else "db.example:5/x"
    found = dependency(f"{scheme}://user:{password}@{end}")
    allowed = {Address("db.example", 5), Address("db2.example", 6)}
    assert set(found.addresses) <= allowed
    assert found.scheme in {"", scheme.partition("+")[0]}
    assert "user" not in repr(found)


@unhurried
@given(schemes, st.text(st.sampled_from(PLAIN), min_size=6, max_size=12))
def test_neither_user_password_path_nor_query_can_be_read_from_what_is_found(scheme, secret):
    found = dependency(f"{scheme}://{secret}:{secret}@db.example:5/{secret}?password={secret}#{secret}")
    assert secret not in repr(found) + str(found) + "".join(str(address) for address in found.addresses)
