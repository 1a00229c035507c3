import asyncio
import os
import threading
import time
from types import SimpleNamespace

import pytest
from calling import answering, call, scope_of
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families

from holdfast import Holdfast, logs
from holdfast.decide.metrics import MOST_ROUTES, MOST_SERIES, MOST_SPREADS, Place
from holdfast.errors import ExtraMissing, SettingsInvalid, Unavailable
from holdfast.events import RequestFinished, WorkerEnded
from holdfast.parts import metrics
from holdfast.parts.metrics import FAMILIES, Metrics, MetricsSettings, exposition, process, settings, setup
from holdfast.parts.metrics.folder import Folder, forget_gauges, remove_abandoned
from holdfast.parts.metrics.meter import Meter
from holdfast.parts.metrics.shared import Shared

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def nothing_stays(monkeypatch):
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    yield
    setup._install(None)


def finished(route=None, *, method="GET", status=200, outcome="ok", kind="http", ms=1.0):
    return RequestFinished(
        0.0, "id", None, None, None, None, kind, method, "/", "", route, status, ms, 0, None, None, outcome, None
    )


async def told(numbers: Metrics, accept=()) -> dict[tuple, float]:
    """Every sample of ours: its name and the values of its labels, and its value."""
    _, body = await numbers.answer(list(accept))
    return samples(body.decode())


def samples(text: str) -> dict[tuple, float]:
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, *(value for _, value in sorted(sample.labels.items())))
            assert key not in found
            found[key] = sample.value
    return found


# -- counting --


async def test_requests_are_counted_by_method_route_status_and_outcome():
    numbers = Metrics(Place.APP)
    for fact in (
        finished("/a"),
        finished("/a"),
        finished("/a", status=500, outcome="failed"),
        finished(None, method="BREW", status=404, outcome="rejected"),
        finished("/ws", kind="websocket", status=101),
        finished("/-/live"),
        finished("/-/metrics"),
    ):
        numbers.meter.request_finished(fact)
    found = await told(numbers)
    assert {key[1:]: value for key, value in found.items() if key[0] == "holdfast_http_requests_total"} == {
        ("GET", "ok", "/a", "200"): 2,
        ("GET", "failed", "/a", "500"): 1,
        ("other", "rejected", "none", "404"): 1,
    }
    assert {key: value for key, value in found.items() if key[0] == "holdfast_websockets_total"} == {
        ("holdfast_websockets_total", "ok", "/ws"): 1
    }


async def test_a_duration_falls_into_the_first_bucket_that_is_not_below_it():
    numbers = Metrics(Place.APP)
    for ms in (0.5, 1.0, 1.1, 100_000.0):
        numbers.meter.request_finished(finished("/a", ms=ms))
    found = await told(numbers)
    name = "holdfast_http_request_duration_seconds"
    below = [found[f"{name}_bucket", bound, "GET", "/a"] for bound in ("0.001", "0.005", "30.0", "+Inf")]
    assert below == [2, 3, 3, 4]
    assert found[f"{name}_count", "GET", "/a"] == 4
    assert found[f"{name}_sum", "GET", "/a"] == pytest.approx(100.0026)


async def test_what_is_sent_by_the_thousand_makes_no_series_by_the_thousand():
    meter = Meter()
    for number in range(MOST_ROUTES * 4):
        for status in range(200, 206):
            meter.request_finished(finished(f"/{number}", method=f"M{number}", status=status))
            meter.request_finished(finished(f"/{number}", method="POST", status=status, outcome="failed"))
    requests = meter.lasting["holdfast_http_requests_total"]
    spreads = meter.lasting["holdfast_http_request_duration_seconds"]
    assert len(requests) <= MOST_SERIES + 7
    assert len(spreads) <= MOST_SPREADS + 1
    assert len(meter._cells) <= 2 * MOST_SERIES
    assert sum(row[0] for labels, row in requests.items() if labels[3] == "failed") == MOST_ROUTES * 4 * 6
    assert sum(sum(row[1:]) for row in spreads.values()) == MOST_ROUTES * 4 * 12


async def test_lines_that_were_dropped_are_counted_also_by_a_log_that_is_replaced(monkeypatch):
    numbers = Metrics(Place.APP)
    for dropped, total in ((2, 2), (5, 5), (5, 5)):
        monkeypatch.setattr(logs, "installed", lambda log=_log(dropped): log)
        assert (await told(numbers))["holdfast_log_lines_dropped_total",] == total
    monkeypatch.setattr(logs, "installed", lambda: SimpleNamespace(pipe=SimpleNamespace(dropped_in_all=1)))
    assert (await told(numbers))["holdfast_log_lines_dropped_total",] == 6


_LOG = SimpleNamespace(pipe=SimpleNamespace(dropped_in_all=0))


def _log(dropped: int) -> SimpleNamespace:
    _LOG.pipe.dropped_in_all = dropped
    return _LOG


async def test_the_loop_is_looked_at_and_what_holds_it_up_is_seen(monkeypatch):
    monkeypatch.setattr(process, "_LOOK_S", 0.01)
    numbers = Metrics(Place.APP)
    delays = numbers.meter.lasting["holdfast_loop_delay_seconds"][()]
    async with numbers.live():
        while not sum(delays[1:]):
            await asyncio.sleep(0.001)
        time.sleep(0.3)
        before = sum(delays[1:])
        while sum(delays[1:]) == before:
            await asyncio.sleep(0.001)
    assert delays[0] >= 0.25
    seen = sum(delays[1:])
    await asyncio.sleep(0.05)
    assert sum(delays[1:]) == seen


async def test_how_workers_ended_is_counted_from_nought():
    numbers = Metrics(Place.HEALTH)
    numbers.meter.supervise(serving=lambda: 2, wanted=3)
    numbers.meter.worker_ended(WorkerEnded(0.0, 1, 0, -9, "out of memory", planned=False, lived_s=1.0))
    found = await told(numbers)
    assert found["holdfast_worker_ends_total", "out_of_memory"] == 1
    assert found["holdfast_worker_ends_total", "hung"] == 0
    assert (found["holdfast_workers_serving",], found["holdfast_workers_wanted",]) == (2, 3)


# -- formats --


async def test_both_formats_can_be_read_and_every_family_says_what_it_is():
    numbers = Metrics(Place.APP)
    numbers.meter.request_finished(finished('/a"b\\c'))
    kind, text = await numbers.answer([])
    assert kind == "text/plain; version=0.0.4; charset=utf-8"
    ours = {one.name: one for one in text_string_to_metric_families(text.decode()) if one.name.startswith("holdfast")}
    assert [(one.type, one.documentation) for one in ours.values()] == [(one.kind, one.help) for one in FAMILIES]
    assert ours["holdfast_http_requests"].samples[0].labels["route"] == '/a"b\\c'
    kind, text = await numbers.answer(["application/openmetrics-text;version=1.0.0"])
    assert kind.startswith("application/openmetrics-text; version=1.0.0; charset=utf-8")
    again = [one for one in openmetrics_parser.text_string_to_metric_families(text.decode()) if one.name in ours]
    assert [one.documentation for one in again] == [one.documentation for one in ours.values()]


async def test_the_applications_own_metrics_and_the_processs_are_told_too():
    Counter("shop_cups", "Cups.").inc(3)
    found = await told(Metrics(Place.APP))
    assert found["shop_cups_total",] == 3
    assert found["process_resident_memory_bytes",] > 0


async def test_a_collector_of_the_application_that_fails_takes_away_no_more_than_its_own(monkeypatch, caplog):
    class Broken:
        def collect(self):
            raise RuntimeError("no numbers today")

    registry = CollectorRegistry()
    registry.register(Broken())
    monkeypatch.setattr(exposition, "REGISTRY", registry)
    for accept in ([], ["application/openmetrics-text"]):
        _, body = await Metrics(Place.APP).answer(accept)
        assert b"holdfast_http_requests_in_flight 0.0" in body
    assert {record.getMessage() for record in caplog.records} == {"the application's own metrics cannot be told"}


# -- answering --


async def test_a_scrape_beside_the_application_is_answered_and_everything_else_is_the_applications():
    numbers = Metrics(Place.APP)
    app = metrics.layer(answering(body=b"the application's"), numbers)
    answer = await call(app, scope_of("/-/metrics"))
    assert (answer.status, answer.header("cache-control")) == (200, "no-store")
    assert answer.header("content-type") == "text/plain; version=0.0.4; charset=utf-8"
    assert b"holdfast_http_requests_in_flight 0.0" in answer.body
    asked = await call(app, scope_of("/-/metrics", headers=[("accept", "application/openmetrics-text")]))
    assert asked.body.endswith(b"# EOF\n")
    head = await call(app, scope_of("/-/metrics", "HEAD"))
    assert (head.status, head.body, int(head.header("content-length")) > 1000) == (200, b"", True)
    below = await call(app, scope_of("/shop/-/metrics", root_path="/shop"))
    assert below.header("content-type") == "text/plain; version=0.0.4; charset=utf-8"
    for path, method in (("/-/metrics", "POST"), ("/x/-/metrics", "GET"), ("/", "GET")):
        assert (await call(app, scope_of(path, method))).body == b"the application's"


async def test_at_the_health_address_means_not_beside_the_application():
    app = metrics.layer(answering(body=b"the application's"), Metrics(Place.HEALTH))
    assert (await call(app, scope_of("/-/metrics"))).body == b"the application's"


async def test_without_metrics_there_is_no_layer():
    app = answering()
    assert metrics.layer(app, None) is app


async def test_what_the_application_is_busy_with_is_in_flight_until_it_ends_however_it_ends():
    numbers = Metrics(Place.APP)
    seen = []

    async def app(scope, receive, send):
        seen.append((numbers.meter.in_flight, numbers.meter.websockets_open))
        raise ValueError("mended later")

    layered = metrics.layer(app, numbers)
    for kind in ("http", "websocket"):
        with pytest.raises(ValueError, match="mended later"):
            await layered({**scope_of(), "type": kind}, None, None)
    assert seen == [(1, 0), (0, 1)]
    assert (numbers.meter.in_flight, numbers.meter.websockets_open) == (0, 0)


async def test_many_scrapes_at_once_are_one_collection(monkeypatch):
    begun, may_end = [], threading.Event()

    def collect(self, *, openmetrics):
        begun.append(openmetrics)
        assert may_end.wait(10)
        return "text/plain", b"numbers"

    monkeypatch.setattr(Metrics, "_collect", collect)
    numbers = Metrics(Place.APP)
    asked = [asyncio.create_task(numbers.answer([])) for _ in range(50)]
    while not begun:
        await asyncio.sleep(0.001)
    asked[0].cancel()
    await asyncio.wait(asked[:1])
    may_end.set()
    assert await asyncio.gather(*asked[1:]) == [("text/plain", b"numbers")] * 49
    assert begun == [False]


async def test_a_collection_that_hangs_is_given_up_and_the_next_scrape_waits_for_the_same_one(monkeypatch):
    may_end = threading.Event()
    begun = []

    def collect(self, *, openmetrics):
        begun.append(openmetrics)
        may_end.wait(10)
        return "text/plain", b""

    monkeypatch.setattr(Metrics, "_collect", collect)
    monkeypatch.setattr(process, "_ANSWER_S", 0.02)
    numbers = Metrics(Place.APP)
    for _ in range(3):
        with pytest.raises(Unavailable):
            await numbers.answer([])
    may_end.set()
    assert begun == [False]


async def test_shared_work_that_fails_fails_for_all_and_is_done_anew_for_the_next():
    failing = [True]

    def work():
        if failing[0]:
            raise ValueError("not now")
        return 7

    shared = Shared(work, "work")
    for found in await asyncio.gather(shared.begin(), shared.begin(), return_exceptions=True):
        assert isinstance(found, ValueError)
    failing[0] = False
    assert await shared.begin() == 7


# -- several processes --


def opened(folder, wanted=None) -> Metrics:
    numbers = Metrics(Place.APP, folder=folder, wanted=wanted, application=folder)
    numbers.open()
    return numbers


def end(numbers: Metrics) -> None:
    """What the system does when a process ends, however it ends."""
    os.close(numbers._folder._lock)


async def test_whichever_process_answers_the_numbers_are_those_of_all(tmp_path):
    one, two = opened(tmp_path), opened(tmp_path)
    one.meter.request_finished(finished("/a"))
    two.meter.request_finished(finished("/a", ms=3.0))
    two.meter.request_finished(finished("/b"))
    one.meter.in_flight = two.meter.in_flight = 2
    one.flush(), two.flush()
    for answering_one in (one, two):
        found = await told(answering_one)
        assert found["holdfast_http_requests_total", "GET", "ok", "/a", "200"] == 2
        assert found["holdfast_http_requests_total", "GET", "ok", "/b", "200"] == 1
        assert found["holdfast_http_request_duration_seconds_bucket", "0.001", "GET", "/a"] == 1
        assert found["holdfast_http_request_duration_seconds_count", "GET", "/a"] == 2
        assert found["holdfast_http_requests_in_flight",] == 4
        assert {key[1] for key in found if key[0] == "holdfast_process_start_time_seconds"} == {"0", "1"}


async def test_who_takes_the_place_of_one_that_ended_goes_on_with_its_counters_and_not_with_its_gauges(tmp_path):
    one, two = opened(tmp_path), opened(tmp_path)
    for numbers in (one, two):
        numbers.meter.request_finished(finished("/a"))
        numbers.meter.in_flight = 5
        numbers.flush()
    end(two)
    found = await told(one)
    assert found["holdfast_http_requests_total", "GET", "ok", "/a", "200"] == 2
    assert found["holdfast_http_requests_in_flight",] == 5
    assert ("holdfast_process_start_time_seconds", "1") not in found
    successor = opened(tmp_path)
    successor.meter.request_finished(finished("/a"))
    found = await told(successor)
    assert found["holdfast_http_requests_total", "GET", "ok", "/a", "200"] == 3
    assert found["holdfast_http_requests_in_flight",] == 5
    assert len(list(tmp_path.iterdir())) == 4


async def test_what_was_told_once_is_never_told_as_less_by_another(tmp_path):
    one, two = opened(tmp_path), opened(tmp_path)
    one.meter.request_finished(finished("/a"))
    assert (await told(one))["holdfast_http_requests_total", "GET", "ok", "/a", "200"] == 1
    assert (await told(two))["holdfast_http_requests_total", "GET", "ok", "/a", "200"] == 1


async def test_numbers_are_let_go_while_the_process_lives_and_at_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(process, "_LOOK_S", 0.01)
    one, two = opened(tmp_path), opened(tmp_path)
    key = ("holdfast_http_requests_total", "GET", "ok", "/a", "200")
    async with one.live():
        one.meter.request_finished(finished("/a"))
        while (await told(two)).get(key) != 1:
            await asyncio.sleep(0.01)
        one.meter.request_finished(finished("/a"))
    assert (await told(two))[key] == 2


@pytest.mark.parametrize("torn", [b"", b"\x92", b"not numbers", b"\x92\x80\x93"])
async def test_a_file_that_cannot_be_read_is_left_out_and_told_of_once(tmp_path, torn, caplog):
    one, two = opened(tmp_path), opened(tmp_path)
    end(two)
    (tmp_path / "holdfast-1.numbers").write_bytes(torn)
    one.meter.request_finished(finished("/a"))
    for _ in range(2):
        assert (await told(one))["holdfast_http_requests_total", "GET", "ok", "/a", "200"] == 1
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert opened(tmp_path).meter.process == "1"


async def test_where_nothing_can_be_written_it_is_told_once_and_the_service_goes_on(tmp_path, caplog, monkeypatch):
    one = opened(tmp_path)
    monkeypatch.setattr(os, "fdopen", _no_room)
    one.flush(), one.flush()
    assert [record.getMessage() for record in caplog.records] == [
        "metrics cannot be written: [Errno 28] No space left on device"
    ]
    monkeypatch.undo()
    lost = Metrics(Place.APP, folder=tmp_path / "nowhere")
    lost.open()
    assert (await told(lost))["holdfast_http_requests_in_flight",] == 0


def _no_room(number, *_):
    os.close(number)
    raise OSError(28, "No space left on device")


def test_a_forked_child_does_not_write_in_its_parents_place(tmp_path):
    folder = Folder(tmp_path)
    meter = Meter()
    folder.write(meter.snapshot())
    written = (tmp_path / "holdfast-0.numbers").stat().st_ino
    folder._leave()  # what the child does first of all; to fork from a test with threads would be unsafe
    folder.write(meter.snapshot())
    assert (tmp_path / "holdfast-0.numbers").stat().st_ino == written


async def test_torn_files_of_the_applications_metrics_are_left_out(tmp_path, caplog):
    from prometheus_client.mmap_dict import MmapedDict, mmap_key

    good = MmapedDict(str(tmp_path / "counter_w0.db"))
    good.write_value(mmap_key("shop_cups", "shop_cups_total", [], [], "Cups."), 4.0, 0.0)
    good.close()
    (tmp_path / "counter_w1.db").write_bytes(b"")  # killed between making and sizing it
    (tmp_path / "histogram_w1.db").write_bytes(b"\x00\x10\x00\x00" + b"\xff" * 5000)
    found = await told(opened(tmp_path))
    assert found["shop_cups_total",] == 4
    assert [record.files for record in caplog.records] == [2]


def test_gauges_of_the_living_go_with_their_process_and_other_files_stay(tmp_path):
    gone = ["gauge_livesum_w1.db", "gauge_liveall_w1.db", "gauge_livesum_w1-77.db"]
    stays = ["gauge_livesum_w11.db", "gauge_all_w1.db", "counter_w1.db"]
    for name in (*gone, *stays):
        (tmp_path / name).touch()
    forget_gauges(tmp_path, "w1")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(stays)


async def test_what_another_version_left_in_the_folder_is_left_out(tmp_path):
    one, other = opened(tmp_path), opened(tmp_path)
    requests = other.meter.lasting["holdfast_http_requests_total"]
    requests["GET", "/a", "ok"] = [7.0]
    requests["GET", "/a", "200", "ok"] = [1.0]
    other.meter.lasting["holdfast_http_request_duration_seconds"]["GET", "/a"] = [1.0, 1.0]
    other.meter.lasting["holdfast_gone_total"] = {(): [1.0]}
    other.flush()
    end(other)
    successor = opened(tmp_path)
    for numbers in (one, successor):
        found = await told(numbers)
        assert {key: value for key, value in found.items() if "/a" in key} == {
            ("holdfast_http_requests_total", "GET", "ok", "/a", "200"): 1
        }
    successor.meter.request_finished(finished("/a"))
    assert (await told(one))["holdfast_process_start_time_seconds", "1"] > 0


async def test_a_place_that_is_wanted_is_waited_for_while_a_reader_looks_at_it(tmp_path):
    import fcntl

    end(opened(tmp_path, "7"))
    looking = os.open(tmp_path / "holdfast-7.lock", os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_SH)
    timer = threading.Timer(0.02, os.close, [looking])
    timer.start()
    assert opened(tmp_path, "7").meter.process == "7"
    timer.join()
    assert opened(tmp_path, "7").meter.process == "0"  # a place that stays taken is not waited for for ever


def test_folders_whose_processes_were_all_killed_are_removed_and_no_others(tmp_path):
    for name in ("mine-old", "mine-alive", "mine-new", "other"):
        (tmp_path / name).mkdir()
        folder = Folder(tmp_path / name)
        if name != "mine-alive":
            os.close(folder._lock)
        if name != "mine-new":
            os.utime(tmp_path / name, (0, 0))
    remove_abandoned(tmp_path, "mine-", time.time())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine-alive", "mine-new", "other"]


# -- putting them in place --


def test_what_is_asked_for_and_cannot_be_had_is_said_at_the_start(monkeypatch):
    with pytest.raises(SettingsInvalid, match="HOLDFAST_HEALTH_ADDRESS"):
        metrics.place_of(MetricsSettings(where="health"), health=False)
    monkeypatch.setattr(settings, "_PACKAGE", "not_installed_at_all")
    assert metrics.place_of(MetricsSettings(), health=False) is Place.NOWHERE
    for where in ("app", "health"):
        with pytest.raises(ExtraMissing, match=r"holdfast\[prometheus\]"):
            metrics.place_of(MetricsSettings(where=where), health=True)


async def test_a_request_through_all_layers_is_counted_once_and_a_second_configure_replaces_the_first(monkeypatch):
    metrics.configure(MetricsSettings())
    numbers = metrics.configure(MetricsSettings())
    app = Holdfast(answering(), own_logs=False)
    await call(app, scope_of("/teas"))
    await call(app, scope_of("/-/metrics"))
    await call(app, scope_of("/-/live"))
    assert app.metrics is numbers
    assert {key: value for key, value in (await told(numbers)).items() if key[0] == "holdfast_http_requests_total"} == {
        ("holdfast_http_requests_total", "GET", "ok", "none", "200"): 1
    }
    monkeypatch.setenv("HOLDFAST_METRICS_WHERE", "off")
    metrics.configure(MetricsSettings(where="off"))
    off = Holdfast(answering(body=b"the application's"), own_logs=False)
    assert (await call(off, scope_of("/-/metrics"))).body == b"the application's"
    assert logs.setup._also == []


async def test_a_failed_collection_is_answered_as_any_failure(monkeypatch):
    def collect(self, *, openmetrics):
        raise MemoryError("no room")

    metrics.configure(MetricsSettings())
    monkeypatch.setattr(Metrics, "_collect", collect)
    answer = await call(Holdfast(answering(), own_logs=False), scope_of("/-/metrics"))
    assert answer.status == 500
    assert b"no room" not in answer.body


def test_processes_of_another_server_share_the_folder_that_the_operator_named(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    numbers = metrics.configure(MetricsSettings())
    assert list(tmp_path.iterdir()) == []  # it may be forked off yet
    numbers.open()
    assert (tmp_path / "holdfast-0.numbers").exists()
    metrics.configure(MetricsSettings(where="health"))
    assert "health address" in caplog.text
