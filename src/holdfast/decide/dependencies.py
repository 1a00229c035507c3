"""Which hosts and ports the value of an environment variable names, and the same value with others in their place.

It reads what applications are given for a database, a cache, a broker or another service: a URL of one of the usual
schemes, or `host:port`; several hosts in either. Only the places where a host and a port stand are rewritten. What is
found holds nothing of the rest of the value, so it can be shown and logged; where a password might be taken for a host,
nothing is found.
"""

import re
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Final, Literal, NamedTuple
from urllib.parse import unquote

Kind = Literal["network", "unix", "file", "none"]
"""`none`: nothing that a proxy could stand in front of was found."""

_PORTS: Final[Mapping[str, int]] = {
    "amqp": 5672,
    "amqps": 5671,
    "clickhouse": 9000,
    "cockroachdb": 26257,
    "http": 80,
    "https": 443,
    "kafka": 9092,
    "ldap": 389,
    "ldaps": 636,
    "mariadb": 3306,
    "memcached": 11211,
    "mongodb": 27017,
    "mqtt": 1883,
    "mqtts": 8883,
    "mssql": 1433,
    "mysql": 3306,
    "nats": 4222,
    "neo4j": 7687,
    "oracle": 1521,
    "postgres": 5432,
    "postgresql": 5432,
    "pyamqp": 5672,
    "redis": 6379,
    "rediss": 6379,
    "smtp": 25,
    "smtps": 465,
    "valkey": 6379,
    "valkeys": 6379,
    "ws": 80,
    "wss": 443,
}
_POSTGRES: Final = {"postgresql", "postgres", "cockroachdb"}
_MYSQL: Final = {"mysql", "mariadb"}
_REDIS: Final = {"redis", "rediss", "valkey", "valkeys"}
_HTTP: Final = {"http", "https", "ws", "wss"}
_AT_HOME: Final = {*_MYSQL, *_REDIS, "amqp", "amqps", "pyamqp"}
"""Without a host their clients go to localhost."""
_FILES: Final = {"sqlite", "duckdb", "file"}
_UNIX: Final = {"unix", "http+unix", "redis+socket", "redis+unix", "unix+http"}
_SECURE: Final = {"https", "wss", "rediss", "valkeys", "amqps", "ldaps", "smtps", "mqtts"}
_SUFFIXES: Final = (".db", ".sqlite", ".sqlite3", ".duckdb")

_URL: Final = re.compile(r"\s*([A-Za-z][A-Za-z0-9.-]*)((?:\+[A-Za-z0-9_.-]+)?)://")
_PLACE: Final = re.compile(r"(\[[0-9A-Fa-f:.]+(?:%[\w.-]+)?\]|[^\s\[\]:;/?#@,\\'\"]*)(?::([0-9]{0,5}))?", re.ASCII)
_NAMED: Final = re.compile(r"(?=[^:\]]*[A-Za-z.\[])(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+):([0-9]{1,5})")
_END: Final = re.compile(r"[/?#\s]")
_USER_OF_DRIVER: Final = re.compile(r"[^:/@]*:[^@]*@")
_ANOTHER: Final = re.compile(r"[,;]\s*[A-Za-z][A-Za-z0-9+.-]*://")
_TRUE: Final = {"1", "true", "yes", "on", "t", "y"}
_FALSE: Final = {"0", "false", "no", "off", "f", "n", "none", "cert_none"}


class Address(NamedTuple):
    """A host and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Finding(Enum):
    """What is to be known before a proxy is put in front."""

    TLS_NAME = (
        "The client checks that the certificate names the host, and will refuse the address of a proxy, unless the "
        "certificate names that too or the check is turned off."
    )
    HOST_HEADER = "The Host header will name the proxy: a service that tells its sites apart by it answers as another."
    DISCOVERY = (
        "Its servers tell the client their own addresses: only the first contact goes through a proxy, unless they "
        "are made to announce it."
    )
    SRV = "The hosts are found by DNS (SRV), so there is no host and port here to be rewritten."
    IN_QUERY = "The query names a host, and is left as it is: the client may go around a proxy."
    NO_PORT = "It names no port, and none is known for the scheme."
    UNCLEAR = (
        "It cannot be told for sure where the hosts stand. Is a character of the password not escaped? Are there "
        "several URLs in one value?"
    )


class Dependency(NamedTuple):
    """What a value names. It holds neither user, password, path nor query."""

    kind: Kind
    scheme: str = ""
    """The scheme, without a driver, where it is a known one."""
    addresses: tuple[Address, ...] = ()
    """Each that is named, once, in order."""
    tls: bool = False
    """Whether it says that TLS is spoken."""
    findings: tuple[Finding, ...] = ()

    @property
    def checks_name(self) -> bool:
        """Whether the client will compare the certificate with the host, so that a rewritten value does not do."""
        return Finding.TLS_NAME in self.findings


class _Place(NamedTuple):
    """Where a host and a port stand in a value."""

    start: int
    end: int
    address: Address


def dependency(value: str) -> Dependency:
    """What the value of an environment variable names. Never raises."""
    return _read(value)[0]


def redirected(value: str, to: Mapping[Address, Address]) -> str:
    """The value with other addresses in the place of those that `to` knows. All else stays byte for byte."""
    pieces: list[str] = []
    position = 0
    for place in _read(value)[1]:
        if place.address in to:
            pieces += [value[position : place.start], str(to[place.address])]
            position = place.end
    return "".join([*pieces, value[position:]])


def _read(value: str) -> tuple[Dependency, list[_Place]]:
    url = _URL.match(value)
    if url is None:
        return _without_scheme(value)
    base, full = url[1].lower(), (url[1] + url[2]).lower()
    scheme = base if base in _PORTS or base in _FILES else ""
    if full in _UNIX or base in _UNIX:
        return Dependency("unix", scheme), []
    if base in _FILES:
        return Dependency("file", scheme), []
    if full == "mongodb+srv":
        return Dependency("none", "mongodb", tls=True, findings=(Finding.SRV,)), []
    return _of_url(value, url.end(), base, scheme, by_driver=bool(url[2]))


# -- what has no scheme --


def _without_scheme(value: str) -> tuple[Dependency, list[_Place]]:
    text = value.strip()
    places = _listed(value)
    if places:
        found = (Finding.DISCOVERY,) if len(places) > 1 else ()
        return Dependency("network", addresses=_once(places), findings=found), places
    if text.endswith((".sock", ".socket")) and text.startswith("/"):
        return Dependency("unix"), []
    if text.startswith(("/", "./", "../", "~/")) or text.endswith(_SUFFIXES):
        return Dependency("file"), []
    return Dependency("none"), []


def _listed(value: str) -> list[_Place]:
    """The places of `host:port,host:port`; none if anything in it is something else."""
    places: list[_Place] = []
    position = 0
    for part in value.split(","):
        text = part.strip()
        start = position + len(part) - len(part.lstrip())
        found = _NAMED.fullmatch(text)
        if found is None or not _is_port(found[2]):
            return []
        places.append(_Place(start, start + len(text), Address(found[1].strip("[]"), int(found[2]))))
        position += len(part) + 1
    return places


# -- URLs --


def _of_url(value: str, start: int, base: str, scheme: str, *, by_driver: bool) -> tuple[Dependency, list[_Place]]:
    authority, end = _authority(value, start, base, by_driver=by_driver)
    query = _query(value[end:])
    if authority is None:
        return Dependency("none", scheme, findings=(Finding.UNCLEAR,)), []
    if _is_unix(value[authority:end], query, base):
        return Dependency("unix", scheme), []
    places = _places(value, authority, end, base)
    if places is None:
        return Dependency("none", scheme, findings=(Finding.UNCLEAR,)), []
    if not places:
        why = Finding.IN_QUERY if "host" in query and value[authority:end] == "" else Finding.NO_PORT
        return Dependency("none", scheme, findings=(why,)), []
    tls = _speaks_tls(base, query)
    findings = tuple(_findings(base, query, len(places), tls=tls))
    return Dependency("network", scheme, _once(places), tls, findings), places


def _authority(value: str, start: int, base: str, *, by_driver: bool) -> tuple[int | None, int]:
    """Where the hosts begin, behind user and password, and where they end. None where that is not clear."""
    end = _end_of_authority(value, start)
    at = value.rfind("@", start, end)
    if at < 0 and by_driver and (found := _USER_OF_DRIVER.match(value, start)):
        at = found.end() - 1  # SQLAlchemy takes all of it up to @ for a password
        end = _end_of_authority(value, at)
    authority, rest = value[start:end], value[end:]
    plain = base in _HTTP and not {"@", ":"} & set(authority)
    if ("@" in rest and not plain) or (authority.endswith(":") and rest.startswith("//")) or _ANOTHER.search(rest):
        return None, end
    return at + 1 if at >= 0 else start, end


def _end_of_authority(value: str, start: int) -> int:
    found = _END.search(value, start)
    return found.start() if found else len(value)


def _query(rest: str) -> dict[str, str]:
    """The parameters of what follows the authority, in lower case, each the last of its name."""
    text = rest.partition("?")[2].partition("#")[0].strip()
    parts = (part.partition("=") for part in text.split("&"))
    return {unquote(name).lower(): unquote(value).lower() for name, _, value in parts}


def _is_unix(hosts: str, query: Mapping[str, str], base: str) -> bool:
    if "unix_socket" in query or unquote(hosts).startswith("/"):
        return True
    return base in _POSTGRES and not hosts and query.get("host", "/").startswith("/")


def _places(value: str, start: int, end: int, base: str) -> list[_Place] | None:
    """The places of the hosts between `start` and `end`; None where something else stands there."""
    places: list[_Place] = []
    if start == end and base not in _AT_HOME:
        return []
    position = start
    for part in value[start:end].split(","):
        found = _PLACE.fullmatch(part)
        if found is None or (found[2] and not _is_port(found[2])):
            return None
        host = found[1].strip("[]") or ("localhost" if base in _AT_HOME else "")
        port = int(found[2]) if found[2] else _PORTS.get(base, 0)
        if not host:
            return None
        if not port:
            return []
        places.append(_Place(position, position + len(part), Address(host, port)))
        position += len(part) + 1
    return places


def _is_port(text: str) -> bool:
    return 0 < int(text) < 65536


def _once(places: list[_Place]) -> tuple[Address, ...]:
    return tuple(dict.fromkeys(place.address for place in places))


# -- what is to be known --


def _findings(base: str, query: Mapping[str, str], hosts: int, *, tls: bool) -> Iterator[Finding]:
    if tls and _checks_name(base, query):
        yield Finding.TLS_NAME
    if base in _HTTP:
        yield Finding.HOST_HEADER
    replicas = base == "mongodb" and (hosts > 1 or "replicaset" in query) and not _is_true(query, "directconnection")
    if replicas or base == "kafka":
        yield Finding.DISCOVERY
    if base in _POSTGRES and ("host" in query or "hostaddr" in query):
        yield Finding.IN_QUERY


def _speaks_tls(base: str, query: Mapping[str, str]) -> bool:
    if base in _POSTGRES:
        mode = query.get("sslmode", query.get("ssl", ""))
        return mode.startswith(("require", "verify")) or mode in _TRUE
    if base in _MYSQL:
        said = query.get("ssl_mode", query.get("ssl", ""))
        return said.startswith(("require", "verify")) or said in _TRUE or "ssl_ca" in query
    if base == "mongodb":
        return _is_true(query, "tls") or _is_true(query, "ssl")
    return base in _SECURE


def _checks_name(base: str, query: Mapping[str, str]) -> bool:
    """Whether a client that speaks TLS compares the certificate's names with the host, as drivers do by default."""
    if base in _POSTGRES:
        mode = query.get("sslmode", query.get("ssl", ""))
        return mode == "verify-full" or mode in _TRUE or query.get("sslrootcert") == "system"
    if base in _MYSQL:
        asked = query.get("ssl_mode") == "verify_identity" or _is_true(query, "ssl_verify_identity")
        return asked or ("ssl_ca" in query and not _is_false(query, "ssl_check_hostname"))
    if base in _REDIS:
        return not (_is_false(query, "ssl_cert_reqs") or _is_false(query, "ssl_check_hostname"))
    if base == "mongodb":
        off = ("tlsallowinvalidhostnames", "tlsallowinvalidcertificates", "tlsinsecure")
        return not any(_is_true(query, name) for name in off)
    if base == "amqps":
        return not (_is_true(query, "no_verify_ssl") or query.get("verify") in {"ignorepeer", "verify_none"})
    return True


def _is_true(query: Mapping[str, str], name: str) -> bool:
    return query.get(name, "") in _TRUE


def _is_false(query: Mapping[str, str], name: str) -> bool:
    return query.get(name, "") in _FALSE
