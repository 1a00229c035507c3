"""A proof for machines that watch: JUnit, and annotations of GitHub Actions."""

from collections.abc import Iterator
from xml.etree import ElementTree as ET

from holdfast.decide.verdicts import Verdict
from holdfast.prove.record import Promised, Proof
from holdfast.prove.repeating import repeat


def junit(proof: Proof) -> bytes:
    """A test suite with a case for each promise: broken is a failure, not proven is skipped."""
    suite = ET.Element(
        "testsuite",
        name=f"holdfast prove {proof.shown}",
        tests=str(len(proof.promises)),
        failures=str(proof.count(Verdict.BROKEN)),
        skipped=str(proof.count(Verdict.NOT_PROVEN)),
        errors="0",
        time=f"{proof.took_s:.3f}",
    )
    for promise in proof.promises:
        took_s = sum(each.took_s for each in promise.outcomes)
        case = ET.SubElement(suite, "testcase", classname="holdfast", name=promise.name, time=f"{took_s:.3f}")
        why = _plain(promise.judgement.why)
        if promise.judgement.verdict is Verdict.BROKEN:
            failure = ET.SubElement(case, "failure", message=why)
            failure.text = "\n".join((*map(_plain, _lines(promise)), _repeat(proof, promise)))
        elif promise.judgement.verdict is Verdict.NOT_PROVEN:
            ET.SubElement(case, "skipped", message=why)
    return ET.tostring(suite, encoding="utf-8", xml_declaration=True)


def annotations(proof: Proof) -> Iterator[str]:
    """A workflow command for each promise that is broken, and one notice of all."""
    for promise in proof.promises:
        if promise.judgement.verdict is Verdict.BROKEN:
            text = "\n".join((promise.judgement.why, promise.judgement.mend, _repeat(proof, promise)))
            yield f"::error title={_property(f'{promise.name} is broken')}::{_message(text)}"
    counts = ", ".join(f"{proof.count(verdict)} {verdict.value}" for verdict in Verdict)
    yield f"::notice title=holdfast prove::{_message(counts)}"


def _lines(promise: Promised) -> Iterator[str]:
    for each in promise.outcomes:
        yield f"{each.scenario.name}: {each.judgement.verdict.value}: {each.judgement.why}"


def _repeat(proof: Proof, promise: Promised) -> str:
    return f"Again: {repeat(proof, promise.decided.scenario.name if promise.decided else None)}"


def _plain(text: str) -> str:
    """Text without what XML cannot have."""
    return "".join(each for each in text if each >= " " or each in "\n\t")


def _message(text: str) -> str:
    return text.strip().replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
