"""The rules of signing in, with the time as a parameter, and what they keep in the database."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import func, select

from depot import accounts, attempts, csrf, passwords
from depot.attempts import ADDRESS, NAME, Rule
from depot.database import Database
from depot.errors import ForeignRequest
from depot.migrations import migrate
from depot.models import Account, Attempts, BrowserSession
from depot.pages import agents, filters
from depot.pages.destinations import granted
from depot.passwords import COST, Cost
from depot.sessions import Device, Sessions
from depot.settings import SessionSettings
from depot.signing_in import Doorkeeper, Refused, TooSoon, Welcome
from holdfast import Invalid, Secret, Unavailable

CHEAP = Cost(ln=4, r=8, p=1)
DEVICE = Device("192.0.2.1", "a browser")
RIGHT = Secret("the right password")
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A database with the account `ann`, whose hash is a cheap one."""
    path = tmp_path / "depot.sqlite"
    migrate(str(path), tmp_path / "lock")
    with closing(Database(str(path))) as opened:
        opened.transact(partial(accounts.add, name="ann", password=passwords.hashed(RIGHT, CHEAP)), write=True)
        yield opened


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.passed = timedelta()

    def __call__(self) -> datetime:
        return START + self.passed

    def seconds(self) -> float:
        return self().timestamp()


# -- attempts --


def test_the_first_failures_cost_nothing_and_each_later_one_doubles_the_wait() -> None:
    rule = Rule(free=3, first_wait=10, longest_wait=60)
    assert [rule.wait_after(failures) for failures in range(8)] == [0, 0, 0, 10, 20, 40, 60, 60]
    assert NAME.wait_after(10_000) == NAME.longest_wait
    assert [NAME.wait_after(5), ADDRESS.wait_after(5), ADDRESS.wait_after(20)] == [15, 0, 15]


def test_a_wait_gets_shorter_with_the_time_and_never_longer_when_the_clock_is_set_back() -> None:
    rule = Rule(free=0, first_wait=10)
    assert [rule.wait(0, 100, now) for now in (100, 104, 110, 500)] == [10, 6, 0, 0]
    assert rule.wait(0, 100, -5_000) == 10
    assert [rule.forgotten(0, 100, now) for now in (100, 110 + 899, 110 + 900)] == [False, False, True]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("192.0.2.1", "192.0.2.2", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("unknown", "", False),
    ],
)
def test_a_network_that_hands_out_addresses_by_the_million_counts_once(one: str, other: str, same: bool) -> None:
    assert (attempts.network(one) == attempts.network(other)) is same


def test_attempts_at_the_same_moment_count_one_by_one(database) -> None:
    begin = partial(attempts.begin, counted=attempts.keys("ann", "192.0.2.1"), now=1_000.0)
    begun = [database.transact(begin, write=True) for _ in range(7)]
    assert [isinstance(one, attempts.Begun) for one in begun] == [True] * 5 + [False] * 2
    assert begun[5:] == [15, 15]  # one that is too early does not make it longer


def test_success_forgets_the_failures_of_the_name_but_not_those_of_the_address(database) -> None:
    def fail(name: str, now: float) -> object:
        return database.transact(partial(attempts.begin, counted=attempts.keys(name, "192.0.2.1"), now=now), write=True)

    for number in range(16):
        fail(f"name {number}", 0.0)
    for _ in range(4):
        fail("ann", 0.0)
    begun = fail("ann", 20.0)
    assert isinstance(begun, attempts.Begun)
    succeed = partial(attempts.succeeded, counted=attempts.keys("ann", "192.0.2.1"), begun=begun)
    database.transact(succeed, write=True)
    assert isinstance(fail("ann", 20.0), attempts.Begun)  # not the sixth of the name any more
    assert fail("bob", 20.0) == 30  # but 21 of the address


def test_what_is_forgotten_is_removed(database) -> None:
    for number in range(30):
        counted = attempts.keys("ann", f"192.0.2.{number}")
        database.transact(partial(attempts.begin, counted=counted, now=100.0 * number), write=True)
    database.transact(partial(attempts.sweep, now=100.0 * 15 + attempts.LONGEST_MEMORY + 1), write=True)
    assert database.transact(lambda session: session.scalar(select(func.count()).select_from(Attempts))) == 28


# -- the door --


def knock(keeper: Doorkeeper, *passwords_: str, name: str = "ann", client: str = "192.0.2.1") -> list:
    async def all_in_turn() -> list:
        return [await keeper.sign_in(name, Secret(one), Device(client, "")) for one in passwords_]

    return asyncio.run(all_in_turn())


def keeper_of(database: Database, clock: Clock | None = None) -> Doorkeeper:
    clock = clock or Clock()
    return Doorkeeper(database, Sessions(database, SessionSettings(), clock), clock.seconds)


def test_the_right_password_opens_and_its_hash_is_renewed_with_the_parameters_of_today(database) -> None:
    (welcome,) = knock(keeper_of(database), RIGHT.reveal())
    assert isinstance(welcome, Welcome)
    account = database.transact(partial(accounts.named, name="ann"))
    assert passwords.is_current(account.password)
    assert passwords.matches(account.password, RIGHT)


def test_an_account_without_a_password_lets_nobody_in(database) -> None:
    database.transact(lambda session: session.add(Account(name="old", token_sha256="", created="")), write=True)
    assert knock(keeper_of(database), "", name="old") == [Refused()]


def test_failures_wait_and_the_wait_ends(database) -> None:
    clock = Clock()
    keeper = keeper_of(database, clock)
    assert knock(keeper, *["wrong"] * 6) == [Refused()] * 5 + [TooSoon(15)]
    clock.passed = timedelta(seconds=16)
    assert knock(keeper, "wrong", RIGHT.reveal()) == [Refused(), TooSoon(30)]
    clock.passed = timedelta(seconds=46)
    assert isinstance(knock(keeper, RIGHT.reveal())[0], Welcome)


def test_a_crowd_is_told_to_come_again_before_anything_is_calculated(database, monkeypatch) -> None:
    calculated = 0

    def matches(kept: str | None, password: Secret) -> bool:
        nonlocal calculated
        calculated += 1
        return False

    monkeypatch.setattr(passwords, "matches", matches)

    async def crowd() -> list[object]:
        keeper = keeper_of(database)
        knocks = (keeper.sign_in(f"name {n}", RIGHT, Device(f"192.0.2.{n}", "")) for n in range(60))
        return await asyncio.gather(*knocks, return_exceptions=True)

    came = asyncio.run(crowd())
    refused = sum(isinstance(one, Unavailable) for one in came)
    assert (came.count(Refused()), calculated + refused) == (calculated, 60)
    assert 34 <= calculated < 60


# -- sessions --


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(database, clock) -> Sessions:
    return Sessions(database, SessionSettings(days=30, idle_hours=12), clock)


@pytest.fixture
def begin(database, sessions) -> Callable[[], Secret]:
    """Begin a session of ann's."""
    return lambda: database.transact(
        lambda session: sessions.begin(session, accounts.named(session, "ann"), DEVICE), write=True
    )


def found(sessions: Sessions, cookie: Secret) -> str | None:
    signed_in = asyncio.run(sessions.find(cookie))
    return signed_in and signed_in.account.name


def test_a_session_that_is_not_used_ends_and_one_that_is_used_ends_too(sessions, clock, begin) -> None:
    used, unused = begin(), begin()
    clock.passed = timedelta(hours=11)
    assert found(sessions, used) == "ann"
    clock.passed = timedelta(hours=12)
    assert (found(sessions, used), found(sessions, unused)) == ("ann", None)
    for hours in range(16, 30 * 24, 8):
        clock.passed = timedelta(hours=hours)
        assert found(sessions, used) == "ann"
    clock.passed = timedelta(days=30)
    assert found(sessions, used) is None


def test_when_a_session_was_used_is_written_once_a_minute(sessions, database, clock, begin) -> None:
    cookie = begin()
    seen = []
    for seconds in (0, 59, 61, 100, 130):
        clock.passed = timedelta(seconds=seconds)
        found(sessions, cookie)
        seen.append(database.transact(lambda session: session.scalar(select(BrowserSession.last_seen)))[14:19])
    assert seen == ["00:00", "00:00", "01:01", "01:01", "02:10"]


def test_an_account_has_so_many_sessions_and_the_one_that_was_not_used_for_the_longest_goes(
    sessions, clock, begin
) -> None:
    cookies = []
    for number in range(52):
        clock.passed = timedelta(minutes=number)
        cookies.append(begin())
    assert [found(sessions, cookie) for cookie in cookies] == [None] * 2 + ["ann"] * 50


def test_sessions_that_have_ended_are_removed(sessions, database, clock, begin) -> None:
    begin()
    clock.passed = timedelta(hours=11)
    begin()
    clock.passed = timedelta(hours=12)
    asyncio.run(sessions.sweep())
    assert database.transact(lambda session: session.scalar(select(func.count(BrowserSession.no)))) == 1


# -- passwords --


def test_a_password_is_known_again_however_its_letters_were_put_together() -> None:
    kept = passwords.hashed(Secret("Stra\u00dfe mit \u00c4pfeln"), CHEAP)
    assert passwords.matches(kept, Secret("Stra\u00dfe mit A\u0308pfeln"))
    assert not passwords.matches(kept, Secret("Strasse mit \u00c4pfeln"))
    assert kept != passwords.hashed(Secret("Stra\u00dfe mit \u00c4pfeln"), CHEAP)
    assert kept.startswith("$scrypt$ln=4,r=8,p=1$")
    assert not passwords.is_current(kept)


def test_what_is_kept_today_costs_what_is_recommended() -> None:
    assert 128 * COST.r * (1 << COST.ln) == 32 << 20
    assert (COST.r, COST.p) == (8, 3)
    assert not passwords.matches(None, RIGHT)


def test_a_password_is_long_enough() -> None:
    with pytest.raises(Invalid):
        passwords.chosen(Secret("x" * 14))
    assert passwords.chosen(Secret("x" * 15)).reveal() == "x" * 15
    made_up = {passwords.new_password().reveal() for _ in range(100)}
    assert (len(made_up), {len(one) for one in made_up}) == (100, {23})


# -- where a request comes from, and where it leads --


def test_a_token_belongs_to_one_cookie() -> None:
    cookie = Secret("a cookie")
    csrf.check_token(cookie, csrf.token_for(cookie))
    for wrong in (None, "", csrf.token_for(Secret("another")), csrf.token_for(cookie)[:-1], "\u00fc", cookie.reveal()):
        with pytest.raises(ForeignRequest):
            csrf.check_token(cookie, wrong)


@pytest.mark.parametrize(
    ("wish", "where"),
    [
        ("/records?q=a%2Fb&after=1.2#x", "/records?q=a%2Fb&after=1.2#x"),
        ("/files/\u00e4", "/files/\u00e4"),
        *(
            (wish, "/files")
            for wish in (
                "", "/", "files", "//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example",
                "https://evil.example", "javascript:alert(1)", "/\t/evil.example", "/\n/evil.example", "/\x00",
                "\t//evil.example", " //evil.example", "/%0d%0a\r\nX-Evil: 1", "/sign-in?next=/x", "/sign-out",
                "/" + "x" * 3_000, "@evil.example", "/x\u2028y",
            )
        ),
    ],
)  # fmt: skip
def test_only_our_own_paths_are_gone_to(wish: str, where: str) -> None:
    assert granted(wish) == where


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537 Chrome/140 Safari/537 Edg/140", "Edge on Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Version/19 Mobile Safari/604", "Safari on iPhone"),
        ("Mozilla/5.0 (Linux; Android 16) AppleWebKit/537 Chrome/140 Mobile Safari/537", "Chrome on Android"),
        ("curl/8.5.0", "curl/8.5.0"),
        ("\x01" + "x" * 500, "\ufffd" + "x" * 59),
        ("", "unknown"),
    ],
)
def test_a_browser_is_named_so_that_its_owner_knows_it(agent: str, name: str) -> None:
    assert agents.short(agent) == name


def test_values_are_written_as_people_read_them() -> None:
    assert filters.when("2026-11-02T08:05:59.999Z") == "2 Nov 2026, 08:05"
    sizes = (0, 1, 999, 1_000, 1_234_567, 9_960_000, 999_499, 999_500, 123 * 10**12)
    shown = ["0 bytes", "1 byte", "999 bytes", "1.0 kB", "1.2 MB", "10 MB", "999 kB", "1.0 MB", "123 TB"]
    assert [filters.size(count) for count in sizes] == shown
    assert filters.number(1_234_567) == "1,234,567"
