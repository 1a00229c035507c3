"""Durable, against kill: kill -9 amid uploads and right after acknowledgements; then everything is looked up."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from holdfast.decide.verdicts import Judgement, broken, kept, not_proven
from holdfast.prove.acts.killed_upload.tables import PATIENCE_S
from holdfast.prove.acts.killed_upload.watching import Watch
from holdfast.prove.running import App
from holdfast.prove.scenario import Facts, Scenario
from holdfast.prove.stage import Stage

_MEND: Final = "Store and sync a file under its name, whole, before it is answered: `holdfast.uploads` does."
_MEND_ROWS: Final = (
    "Note what is to be done in the same transaction that takes the file, take it up again at the start, "
    "and write its rows in one transaction with how far it is."
)


class KilledUpload(Facts, frozen=True):
    """What became of uploads around kill -9."""

    rounds: int = 0
    acknowledged: int = 0
    """Files that were acknowledged as a whole, and looked up after the restart."""
    lost: tuple[str, ...] = ()
    """Those that were gone, and what was said for them."""
    changed: tuple[str, ...] = ()
    """Those that came back with other bytes."""
    half: tuple[str, ...] = ()
    """Files that were not acknowledged, and came back as if they were whole."""
    under_way: int = 0
    """Uploads that were cut off."""
    resumable: int = 0
    """Uploads that were to be gone on with."""
    forgotten: tuple[str, ...] = ()
    """Those of which less was there than was acknowledged."""
    resumed: int = 0
    """Those that were brought to their end."""
    spoiled: tuple[str, ...] = ()
    """Those that were refused, or whose bytes were others then."""
    unsure: tuple[str, ...] = ()
    """What was not answered well in time, so that nobody knows whether it is there."""
    rows: int = 0
    """Rows of acknowledged tables."""
    rows_missing: int = 0
    rows_doubled: int = 0
    rows_after_s: float = 0.0
    """How long after the last restart they were all there."""
    restart: str = ""
    """What happened where it did not start again."""
    unknown: str = ""
    """Why nothing could be looked up."""
    unlooked: str = ""
    """What else could not be looked up."""
    told: int = 0
    """Acknowledged files that a dependency was told of. It explains, and decides nothing."""
    left_kb: int = 0
    """What the backend's folder has beyond the acknowledged files. It explains, and decides nothing."""


async def gather(stage: Stage) -> KilledUpload:
    """Upload, kill, start again, look it all up; several times."""
    upload = stage.target.upload
    if upload is None:
        return KilledUpload(unknown="no upload is known")
    async with stage.app() as app:
        watch = Watch(stage, app, upload)
        stage.tell("sending and fetching before anything is killed")
        well, unknown = await watch.well()
        if unknown:
            return KilledUpload(unknown=unknown)
        for number in range(2 if stage.quick else 3):
            stage.tell(f"sending, to be killed ({number + 1})")
            if not await watch.round(number):
                break
        if watch.tables is not None and not watch.restart:
            await watch.tables.look()
        size = await asyncio.to_thread(_size, app)
        return _facts(watch, well, size - sum(len(each.content) for each in watch.kept))


def _size(app: App) -> int:
    return sum(path.stat().st_size for path in app.folder.rglob("*") if path.is_file() and path != app.log)


def _told(watch: Watch) -> int:
    """How many acknowledged files are named in what stand-ins of dependencies received."""
    said = b" ".join(
        one.body for each in watch.app.neighbours.values() if each.stand_in for one in each.stand_in.received
    )
    return sum(any(name and name.encode() in said for name in sending.ids) for sending in watch.kept)


def _facts(watch: Watch, well: str, left: int) -> KilledUpload:
    rows = watch.tables
    return KilledUpload(
        well=well,
        fault=f"{watch.rounds} times it ended by SIGKILL, with {watch.under_way} uploads under way"
        if watch.rounds
        else "",
        rounds=watch.rounds,
        acknowledged=len(watch.kept),
        lost=tuple(watch.lost),
        changed=tuple(watch.changed),
        half=tuple(watch.half),
        under_way=watch.under_way,
        resumable=watch.resumable,
        forgotten=tuple(watch.forgotten),
        resumed=watch.resumed,
        spoiled=tuple(watch.spoiled),
        unsure=tuple(watch.unsure),
        rows=rows.rows if rows else 0,
        rows_missing=rows.missing if rows else 0,
        rows_doubled=rows.doubled if rows else 0,
        rows_after_s=rows.after_s if rows else 0.0,
        told=_told(watch),
        restart=watch.restart,
        unlooked="; ".join(watch.unlooked),
        left_kb=max(0, left) >> 10,
    )


def judge(facts: KilledUpload) -> Judgement:
    """What was acknowledged is there, as it was; and nothing else pretends to be whole."""
    if facts.unknown:
        return not_proven(f"It could not be looked up what an upload became: {facts.unknown}.")
    if facts.restart:
        return broken(f"After kill -9 it did not start again: {facts.restart}", "no restart", mend=_MEND)
    found = _bytes_lost(facts) or _rows_wrong(facts)
    if found is not None:
        return found
    if not facts.acknowledged and not facts.resumable:
        return not_proven("No upload was acknowledged before the kills, so there was nothing to be lost.")
    rows = f", and {facts.rows} rows each once" if facts.rows else ""
    resumed = f", {facts.resumed} uploads that were cut off went on to their end" if facts.resumed else ""
    return kept(
        f"After {facts.rounds} kills all {facts.acknowledged} acknowledged files were there as sent{resumed}{rows}.",
        f"0 of {facts.acknowledged + facts.resumed} lost",
    )


def _bytes_lost(facts: KilledUpload) -> Judgement | None:
    """What is wrong with the files: certain, for no chance takes bytes away, but where only an answer was missing."""
    table: Mapping[str, tuple[Sequence[str], int, str]] = {
        "acknowledged files were gone after kill -9": (facts.lost, facts.acknowledged, "lost"),
        "acknowledged files came back with other bytes after kill -9": (facts.changed, facts.acknowledged, "changed"),
        "files that were cut off were given out as if they were whole": (facts.half, facts.under_way, "half"),
        "uploads had less than was acknowledged after kill -9": (facts.forgotten, facts.resumable, "forgotten"),
        "uploads that went on after kill -9 did not become what was sent": (facts.spoiled, facts.resumable, "spoiled"),
    }
    for what, (bad, of, word) in table.items():
        if bad:
            number = f"{len(bad)} of {of} {word}"
            return broken(f"{len(bad)} of {of} {what}; one of them: {bad[0]}.", number, mend=_MEND, certain=True)
    if facts.unsure:
        of = facts.acknowledged + facts.resumable
        why = f"{len(facts.unsure)} of {of} uploads could not be had after kill -9; one of them: {facts.unsure[0]}."
        return broken(why, f"{len(facts.unsure)} of {of} not there", mend=_MEND)
    return None


def _rows_wrong(facts: KilledUpload) -> Judgement | None:
    if facts.rows_doubled:
        why = (
            f"{facts.rows_doubled} of {facts.rows} rows of acknowledged tables were there twice or more after kill -9."
        )
        return broken(why, f"{facts.rows_doubled} rows doubled", mend=_MEND_ROWS, certain=True)
    if facts.rows_missing:
        why = (
            f"{facts.rows_missing} of {facts.rows} rows of acknowledged tables never came after kill -9: "
            f"nothing more had come for {PATIENCE_S:g} s."
        )
        return broken(why, f"{facts.rows_missing} rows lost", mend=_MEND_ROWS)
    return None


SCENARIO: Final = Scenario(
    name="killed-upload",
    promise="durable",
    title="kills it with -9 amid uploads and right after acknowledgements, and looks everything up",
    seconds=14,
    facts=KilledUpload,
    gather=gather,
    judge=judge,
    needs=("upload",),
    part="against kill",
)
