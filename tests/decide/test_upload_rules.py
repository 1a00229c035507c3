"""What is done about each command, in each phase."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.decide.uploads.errors import CompletedUpload, Finishing, InconsistentLength, MismatchingOffset
from holdfast.decide.uploads.rules import (
    TABLE,
    Begin,
    Finish,
    Keep,
    Limits,
    Receive,
    Refuse,
    Remove,
    Show,
    after,
    decide,
)
from holdfast.decide.uploads.vocabulary import Append, Cancel, Create, Kind, Look, Phase, Upload
from holdfast.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    MethodNotAllowed,
    NotFound,
    TooLarge,
    UnsupportedMedia,
    UploadGone,
)

ANN, NOW, LATER = "ann", 1_000.0, 2_000.0
RECEIVING = Upload("a" * 32, ANN, NOW, LATER, offset=4, length=10)
OPEN = replace(RECEIVING, length=None)
FINISHING = replace(RECEIVING, phase=Phase.FINISHING, offset=10)
FINISHED = replace(FINISHING, phase=Phase.FINISHED, sha256="00" * 32, result="f1")
REFUSED = replace(RECEIVING, phase=Phase.REFUSED, problem="wrong-digest")
PARTIAL = replace(FINISHED, kind=Kind.PARTIAL, result=None)
FINAL = replace(FINISHED, kind=Kind.FINAL, parts=("b" * 32,))


def decided(upload, command, limits=Limits(), owner=ANN, now=NOW, parts=()):
    return decide(upload, command, limits, owner=owner, now=now, parts=parts)


def refused(decision, error, *, ends=False):
    assert isinstance(decision, Refuse), decision
    assert type(decision.error) is error
    assert decision.ends is ends
    return decision.error


@pytest.mark.parametrize(
    ("command", "limits", "length", "reserve", "most", "finishes"),
    [
        (Create(10), Limits(), 10, 10, 10, False),
        (Create(None), Limits(), None, 0, None, False),
        (Create(None), Limits(max_size=50), None, 0, 50, False),
        (Create(10, has_content=True, content_length=4), Limits(), 10, 10, 10, False),
        (Create(None, has_content=True, content_length=4), Limits(), None, 4, None, False),
        (Create(None, has_content=True, content_length=4, ends=True), Limits(), 4, 4, 4, False),
        (Create(10, has_content=True, ends=True), Limits(max_append=8), 10, 10, 8, False),
        (Create(0), Limits(), 0, 0, 0, True),
        (Create(0, ends=False, content_length=0), Limits(), 0, 0, 0, False),
        (Create(None, ends=True, content_length=0), Limits(), 0, 0, 0, True),
        (Create(10, ends=False, content_length=0), Limits(min_append=5), 10, 10, 10, False),
        (Create(3, ends=True, has_content=True, content_length=3), Limits(min_size=5, min_append=5), 3, 3, 3, False),
        (Create(10, media_type="image/png"), Limits(types=("text/csv", "image/*")), 10, 10, 10, False),
        (Create(10, kind=Kind.PARTIAL), Limits(types=("text/csv",)), 10, 10, 10, False),
        (Create(10), Limits(types=("application/octet-stream",)), 10, 10, 10, False),
    ],
)
def test_an_upload_is_begun(command, limits, length, reserve, most, finishes):
    begun = decided(None, command, limits)
    assert isinstance(begun, Begin), begun
    assert (begun.length, begun.reserve, begun.most, begun.finishes) == (length, reserve, most, finishes)


@pytest.mark.parametrize(
    ("command", "limits", "error", "ends"),
    [
        (Create(11), Limits(max_size=10), TooLarge, False),
        (Create(None, has_content=True, content_length=11, ends=True), Limits(max_size=10), TooLarge, False),
        (Create(None, has_content=True, content_length=11), Limits(max_size=10), TooLarge, True),
        (Create(100, has_content=True, content_length=11), Limits(max_append=10), TooLarge, False),
        (Create(4), Limits(min_size=5), BadRequest, False),
        (Create(100, has_content=True, content_length=4, ends=False), Limits(min_append=5), BadRequest, False),
        (Create(100, has_content=True, content_length=5, ends=True), Limits(), InconsistentLength, False),
        (Create(4, has_content=True, content_length=5), Limits(), InconsistentLength, True),
        (Create(10, media_type="text/html"), Limits(types=("text/csv",)), UnsupportedMedia, False),
        (Create(10), Limits(types=("text/csv",)), UnsupportedMedia, False),
    ],
)
def test_an_upload_is_not_begun(command, limits, error, ends):
    refused(decided(None, command, limits), error, ends=ends)


def test_a_final_upload_is_made_of_finished_parts_of_the_same_owner():
    command = Create(None, kind=Kind.FINAL, parts=("b" * 32, "b" * 32))
    other = replace(PARTIAL, length=7, offset=7)
    begun = decided(None, command, parts=(PARTIAL, other))
    assert isinstance(begun, Begin)
    assert (begun.length, begun.reserve, begun.finishes) == (17, 17, True)
    refused(decided(None, command, parts=(PARTIAL, None)), BadRequest)
    refused(decided(None, command, parts=(PARTIAL, FINISHED)), BadRequest)
    refused(decided(None, command, parts=(PARTIAL, replace(PARTIAL, owner="eve"))), BadRequest)
    refused(decided(None, command, parts=(PARTIAL, replace(PARTIAL, phase=Phase.RECEIVING))), Conflict)
    refused(decided(None, command, parts=(PARTIAL,)), BadRequest)
    refused(decided(None, command, Limits(max_size=16), parts=(PARTIAL, other)), TooLarge)
    refused(decided(None, command, Limits(max_parts=1), parts=(PARTIAL, other)), BadRequest)
    refused(decided(None, Create(None, kind=Kind.FINAL)), BadRequest)
    refused(decided(None, replace(command, has_content=True), parts=(PARTIAL, other)), Forbidden)


@pytest.mark.parametrize(
    ("upload", "command", "limits", "length", "most"),
    [
        (RECEIVING, Append(4), Limits(), 10, 6),
        (RECEIVING, Append(4, content_length=6), Limits(), 10, 6),
        (RECEIVING, Append(4, length=10, content_length=6, ends=True), Limits(), 10, 6),
        (RECEIVING, Append(4, content_length=2), Limits(max_append=3), 10, 3),
        (RECEIVING, Append(4, content_length=6), Limits(min_append=9), 10, 6),
        (OPEN, Append(4), Limits(), None, None),
        (OPEN, Append(4), Limits(max_size=9), None, 5),
        (OPEN, Append(4, length=9), Limits(), 9, 5),
        (OPEN, Append(4, content_length=3, ends=True), Limits(min_append=9), 7, 3),
        (OPEN, Append(4, content_length=0, ends=True), Limits(min_append=9), 4, 0),
    ],
)
def test_bytes_are_received(upload, command, limits, length, most):
    decision = decided(upload, command, limits)
    assert isinstance(decision, Receive), decision
    assert (decision.length, decision.most) == (length, most)


@pytest.mark.parametrize(
    ("upload", "command", "limits", "error", "ends"),
    [
        (RECEIVING, Append(3), Limits(), MismatchingOffset, False),
        (RECEIVING, Append(5, content_length=100), Limits(), MismatchingOffset, False),
        (RECEIVING, Append(4, length=11), Limits(), InconsistentLength, False),
        (RECEIVING, Append(4, content_length=7), Limits(), InconsistentLength, True),
        (RECEIVING, Append(4, content_length=5, ends=True), Limits(), InconsistentLength, False),
        (RECEIVING, Append(4, content_length=4), Limits(max_append=3), TooLarge, False),
        (RECEIVING, Append(4, content_length=99), Limits(max_append=98), TooLarge, False),
        (RECEIVING, Append(4, content_length=2), Limits(min_append=3), BadRequest, False),
        (RECEIVING, Append(4, content_length=6, ends=False), Limits(min_append=9), BadRequest, False),
        (OPEN, Append(4, length=3), Limits(), InconsistentLength, False),
        (OPEN, Append(4, length=11), Limits(max_size=10), TooLarge, False),
        (OPEN, Append(4, content_length=7), Limits(max_size=10), TooLarge, True),
        (OPEN, Append(4, content_length=7, ends=True), Limits(max_size=10), TooLarge, False),
        (replace(FINAL, phase=Phase.RECEIVING), Append(10), Limits(), Forbidden, False),
    ],
)
def test_bytes_are_refused_before_one_is_read(upload, command, limits, error, ends):
    refused(decided(upload, command, limits), error, ends=ends)


def test_a_mismatch_names_both_offsets():
    error = refused(decided(RECEIVING, Append(99)), MismatchingOffset)
    assert error.members == {
        "type": "https://iana.org/assignments/http-problem-types#mismatching-upload-offset",
        "expected-offset": 4,
        "provided-offset": 99,
    }
    assert error.headers == {"upload-offset": "4"}


@pytest.mark.parametrize("phase", [Phase.FINISHING, Phase.FINISHED])
@pytest.mark.parametrize(
    ("command", "error"),
    [
        (Append(10, content_length=0), None),
        (Append(10, content_length=0, ends=True), None),
        (Append(10, length=10, content_length=0, ends=True), None),
        (Append(10, content_length=0, ends=False), CompletedUpload),
        (Append(10, content_length=1, ends=True), CompletedUpload),
        (Append(10, ends=True), CompletedUpload),
        (Append(10, length=11, content_length=0, ends=True), InconsistentLength),
        (Append(9, content_length=1), MismatchingOffset),
    ],
)
def test_ending_once_more_is_answered_and_nothing_is_added_to_a_whole(phase, command, error):
    decision = decided(replace(FINISHED, phase=phase), command)
    if error is None:
        assert decision == Finish(10)
    else:
        refused(decision, error)


@pytest.mark.parametrize(
    ("upload", "decision"),
    [
        (RECEIVING, Remove(bytes=True)),
        (REFUSED, Remove(bytes=True)),
        (PARTIAL, Remove(bytes=True)),
        (FINISHED, Remove(bytes=False)),
        (FINAL, Remove(bytes=False)),
    ],
)
def test_a_cancelled_upload_goes_but_the_file_that_came_of_one_is_the_applications(upload, decision):
    assert decided(upload, Cancel()) == decision


def test_what_is_being_finished_is_not_cancelled():
    refused(decided(FINISHING, Cancel()), Finishing)


@pytest.mark.parametrize("upload", [RECEIVING, FINISHING, FINISHED, FINAL, PARTIAL])
def test_how_far_an_upload_is_may_always_be_asked(upload):
    assert decided(upload, Look()) == Show()


@pytest.mark.parametrize("command", [Look(), Append(4), Append(0, content_length=0, ends=True)])
def test_a_refused_upload_says_so(command):
    error = refused(decided(REFUSED, command), UploadGone)
    assert error.members == {"reason": "wrong-digest"}


@pytest.mark.parametrize("upload", [RECEIVING, FINISHED, REFUSED])
def test_an_upload_whose_time_is_over_is_gone_but_may_be_cancelled(upload):
    refused(decided(upload, Look(), now=LATER), UploadGone)
    refused(decided(upload, Append(upload.offset), now=LATER + 1), UploadGone)
    assert isinstance(decided(upload, Cancel(), now=LATER), Remove)
    assert decided(FINISHING, Look(), now=LATER) == Show()


@pytest.mark.parametrize("command", [Look(), Append(4), Cancel()])
@pytest.mark.parametrize("upload", [None, RECEIVING, FINISHED, REFUSED])
def test_somebody_elses_upload_is_as_good_as_none(upload, command):
    error = refused(decided(upload, command, owner="eve"), NotFound)
    assert str(error) == "There is no such upload."


def test_nothing_is_begun_at_the_address_of_an_upload():
    for upload in (RECEIVING, FINISHING, FINISHED, REFUSED):
        refused(decided(upload, Create(1)), MethodNotAllowed)


@pytest.mark.parametrize(
    ("upload", "command", "offset", "next_step"),
    [
        (RECEIVING, Append(4), 7, Keep()),
        (RECEIVING, Append(4), 10, Finish(10)),
        (RECEIVING, Append(4, ends=False), 10, Keep()),
        (RECEIVING, Append(4, ends=True), 10, Finish(10)),
        (OPEN, Append(4), 10, Keep()),
        (OPEN, Append(4, ends=False), 10, Keep()),
        (OPEN, Append(4, ends=True), 7, Finish(7)),
        (OPEN, Append(4, ends=True), 4, Finish(4)),
    ],
)
def test_a_body_that_came_whole_ends_the_upload_or_not(upload, command, offset, next_step):
    assert after(upload, command, offset) == next_step


def test_a_body_that_says_it_is_the_last_and_is_too_short_ends_nothing():
    refused(after(RECEIVING, Append(4, ends=True), 9), InconsistentLength)
    refused(after(RECEIVING, Append(4), 11), InconsistentLength, ends=True)


# -- what always holds --

sizes = st.none() | st.integers(0, 40)
creates = st.builds(
    Create,
    length=sizes,
    kind=st.sampled_from(Kind),
    parts=st.lists(st.just("b" * 32), max_size=2).map(tuple),
    has_content=st.booleans(),
    ends=st.sampled_from([None, True, False]),
    content_length=sizes,
    media_type=st.none() | st.just("text/csv"),
)
appends = st.builds(
    Append,
    offset=st.integers(0, 40),
    length=sizes,
    ends=st.sampled_from([None, True, False]),
    content_length=sizes,
)
bounds = st.builds(
    Limits,
    max_size=sizes,
    min_size=sizes,
    max_append=sizes,
    min_append=sizes,
    types=st.sampled_from([(), ("text/csv",)]),
)
uploads = st.builds(
    lambda phase, kind, offset, more: replace(
        RECEIVING, phase=phase, kind=kind, offset=offset, length=None if more is None else offset + more
    ),
    st.sampled_from(Phase),
    st.sampled_from(Kind),
    st.integers(0, 30),
    sizes,
)


def test_the_table_has_an_answer_for_every_command_in_every_phase():
    assert set(TABLE) == {(phase, kind) for phase in (None, *Phase) for kind in (Create, Append, Look, Cancel)}


@given(
    st.none() | uploads, creates | appends | st.just(Look()) | st.just(Cancel()), bounds, st.sampled_from([NOW, LATER])
)
def test_no_command_is_without_an_answer(upload, command, limits, now):
    decision = decided(upload, command, limits, now=now, parts=(PARTIAL, PARTIAL))
    assert isinstance(decision, Begin | Receive | Finish | Show | Remove | Refuse)
    assert not isinstance(decision, Begin) or upload is None
    assert not isinstance(decision, Receive) or upload.phase is Phase.RECEIVING


@settings(max_examples=300)
@given(creates, bounds, st.lists(st.tuples(appends, st.booleans(), st.integers(0, 40), st.booleans()), max_size=8))
def test_an_offset_never_goes_back_and_what_ends_is_at_its_length(create, limits, steps):
    """A small engine, which believes no declared length, over any commands, bodies and interruptions."""
    create = replace(create, kind=Kind.WHOLE)
    begun = decided(None, create, limits)
    if not isinstance(begun, Begin):
        return
    upload = replace(RECEIVING, offset=0, length=begun.length)
    if begun.finishes:
        assert begun.length == 0
        return
    if create.has_content:
        upload = received(upload, create, begun, create.content_length or 7, breaks_off=False, limits=limits)
    for append, aims_well, size, breaks_off in steps:
        command = replace(append, offset=upload.offset) if aims_well else append
        decision = decided(upload, command, limits)
        if isinstance(decision, Receive):
            sent = size if command.content_length is None else command.content_length
            upload = received(upload, command, decision, sent, breaks_off=breaks_off, limits=limits)
        elif isinstance(decision, Refuse) and decision.ends:
            upload = replace(upload, phase=Phase.REFUSED)
        else:
            assert isinstance(decision, Refuse | Finish)


def received(upload, command, decision, sent, *, breaks_off, limits):
    length = decision.length
    if decision.most is not None and sent > decision.most:
        return replace(upload, phase=Phase.REFUSED) if decision.over.ends else upload
    if breaks_off:
        return replace(upload, offset=upload.offset + sent // 2, length=length)
    upload_then = replace(upload, length=length)
    offset = upload.offset + sent
    step = after(upload_then, command, offset)
    if isinstance(step, Refuse):
        return replace(upload, phase=Phase.REFUSED) if step.ends else upload
    assert offset >= upload.offset
    assert length is None or offset <= length
    assert limits.max_size is None or offset <= limits.max_size
    assert limits.max_append is None or sent <= limits.max_append
    if isinstance(step, Finish):
        assert step.length == offset
        assert length in {None, offset}
        return replace(upload_then, phase=Phase.FINISHING, offset=offset, length=offset)
    return replace(upload_then, offset=offset)
