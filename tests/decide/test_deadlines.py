import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.decide.deadlines import (
    allowed,
    asked,
    ends_when_client_leaves,
    in_grpc,
    in_milliseconds,
    passed_on,
    timeouts,
)
from holdfast.decide.patterns import Patterns

WALL = 1_800_000_000.0
UNITS = {"H": 3600, "M": 60, "S": 1, "m": 1e-3, "u": 1e-6, "n": 1e-9}


@pytest.mark.parametrize(
    ("name", "value", "seconds"),
    [
        (b"holdfast-timeout-ms", "1500", 1.5),
        (b"holdfast-timeout-ms", "0", 0),
        (b"grpc-timeout", "2H", 7200),
        (b"grpc-timeout", "3M", 180),
        (b"grpc-timeout", "4S", 4),
        (b"grpc-timeout", "250m", 0.25),
        (b"grpc-timeout", "99999999u", 99.999999),
        (b"grpc-timeout", "500n", 5e-7),
        (b"x-envoy-expected-rq-timeout-ms", "15000", 15),
        (b"x-yataxi-client-timeoutms", "700", 0.7),
        (b"x-request-deadline", "1800000002500000", 2.5),
        (b"x-request-deadline", "1799999990000000", 0),
    ],
)
def test_what_each_header_says_is_understood(name, value, seconds):
    assert asked({name: value}, WALL) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"holdfast-timeout-ms", ""),
        (b"holdfast-timeout-ms", "-5"),
        (b"holdfast-timeout-ms", "1.5"),
        (b"holdfast-timeout-ms", "1e3"),
        (b"holdfast-timeout-ms", "٣"),
        (b"holdfast-timeout-ms", "1000,2000"),
        (b"holdfast-timeout-ms", "9" * 400),
        (b"grpc-timeout", "100000000S"),
        (b"grpc-timeout", "5"),
        (b"grpc-timeout", "5s"),
        (b"grpc-timeout", "S"),
        (b"grpc-timeout", " 5S"),
        (b"x-envoy-expected-rq-timeout-ms", "0"),
        (b"x-request-deadline", "1799999000000000"),
        (b"x-request-deadline", "tomorrow"),
    ],
)
def test_nonsense_is_not_there(name, value):
    assert asked({name: value}, WALL) is None


def test_of_several_the_shortest_counts():
    found = {b"x-envoy-expected-rq-timeout-ms": "15000", b"grpc-timeout": "2S", b"holdfast-timeout-ms": "x"}
    assert asked(found, WALL) == 2
    assert asked({}, WALL) is None


def test_a_moment_that_is_far_from_the_time_that_is_left_is_of_a_clock_that_is_wrong():
    near = {b"x-yataxi-client-timeoutms": "5000", b"x-request-deadline": "1800000004000000"}
    far = {b"x-yataxi-client-timeoutms": "5000", b"x-request-deadline": "1799999900000000"}
    assert asked(near, WALL) == pytest.approx(4)
    assert asked(far, WALL) == 5


headers = st.dictionaries(
    st.sampled_from(
        [
            b"holdfast-timeout-ms",
            b"grpc-timeout",
            b"x-envoy-expected-rq-timeout-ms",
            b"x-yataxi-client-timeoutms",
            b"x-request-deadline",
        ]
    ),
    st.text(max_size=24) | st.integers(-5, 10**20).map(str),
)


@given(headers)
def test_whatever_is_sent_is_a_time_from_nought_on_or_nothing(found):
    seconds = asked(found, WALL)
    assert seconds is None or 0 <= seconds < math.inf


@given(
    st.floats(0.001, 1e6) | st.just(math.inf),
    st.none() | st.floats(0, 1e9),
    st.booleans(),
    st.floats(0.001, 1e6) | st.just(math.inf),
)
def test_nobody_but_a_trusted_peer_has_more_than_the_service_gives_and_that_no_more_than_the_ceiling(
    given_s, asked_s, trusted, ceiling_s
):
    seconds = allowed(given_s, asked_s, trusted=trusted, ceiling_s=ceiling_s)
    assert seconds <= (max(given_s, ceiling_s) if trusted else given_s)
    if asked_s is None:
        assert seconds == given_s
    elif asked_s <= given_s:
        assert seconds == asked_s
    elif trusted:
        assert seconds == max(given_s, min(asked_s, ceiling_s))


@given(st.floats(0, 1e6))
def test_less_is_passed_on_than_is_left_by_five_milliseconds_at_least(left):
    passed = passed_on(left)
    assert passed == max(0, left - max(0.005, 0.02 * left))
    assert int(in_milliseconds(passed)) <= passed * 1000


@given(st.floats(0, 1e12))
def test_a_grpc_timeout_has_eight_digits_at_most_and_is_never_longer_than_what_is_left(seconds):
    text = in_grpc(seconds)
    assert len(text) <= 9
    said = int(text[:-1]) * UNITS[text[-1]]
    assert said <= seconds * (1 + 1e-12)
    assert seconds - said < max(0.001, seconds * 1e-3) or text == "99999999H"


def test_work_for_a_client_that_left_is_ended_where_nothing_is_half_done_by_that():
    ended = [method for method in ("GET", "HEAD", "OPTIONS", "QUERY", "POST", "PUT", "PATCH", "DELETE", "BREW")
             if ends_when_client_leaves(method, None)]  # fmt: skip
    assert ended == ["GET", "HEAD", "OPTIONS", "QUERY"]
    assert ends_when_client_leaves("POST", True)
    assert not ends_when_client_leaves("GET", False)


# -- what an operator says of routes --


def test_the_first_entry_that_matches_counts():
    found = Patterns(["POST /import=300", "/reports/*.pdf=60", "/reports/*=120", "/=1"], float)
    assert found.find("POST", "/import") == ("POST /import", 300)
    assert found.find("GET", "/import") is None
    assert found.find("GET", "/reports/2026/all.pdf") == ("/reports/*.pdf", 60)
    assert found.find("GET", "/reports/") == ("/reports/*", 120)
    assert found.find("GET", "/") == ("/", 1)
    assert found.find("GET", "/reportsx") is None


@pytest.mark.parametrize("text", ["", "/a", "a=1", "GET=1", "/a=", "/a b=1"])
def test_an_entry_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match="is not a path"):
        Patterns([text], float)


def test_nought_is_no_limit_anywhere():
    rule = timeouts(usual_s=0, ceiling_s=0, idle_s=0, routes=("/slow=0", "/fast=0.5"))
    assert rule[:3] == (math.inf, math.inf, math.inf)
    assert rule.routes is not None
    assert rule.routes.find("GET", "/slow") == ("/slow", math.inf)
    with pytest.raises(ValueError, match="seconds"):
        timeouts(usual_s=1, ceiling_s=1, idle_s=1, routes=("/x=soon",))
