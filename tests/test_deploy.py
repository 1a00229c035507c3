"""The examples of deployment are true: their options exist, their settings are settings, their times fit the code's."""

import re
import shlex
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
import yaml

from holdfast.cli import main as command_line
from holdfast.parts.drain import DrainSettings
from holdfast.serve import exchange, server
from holdfast.serve.settings import StartSettings
from holdfast.settings import declared, options_of
from holdfast.settings.values import Taken, judge

DEPLOY = Path(__file__).parent.parent / "docs" / "deploy"
UNIT = DEPLOY / "holdfast.service"
MANIFEST = DEPLOY / "kubernetes.yaml"


def unit() -> dict[str, list[str]]:
    """Each name in the unit with its values: some come more than once, which configparser does not know."""
    found: dict[str, list[str]] = defaultdict(list)
    for line in UNIT.read_text().splitlines():
        if line and not line.startswith(("#", "[")):
            name, _, value = line.partition("=")
            found[name].append(value)
    return found


def manifest(kind: str) -> dict:
    (found,) = [document for document in yaml.safe_load_all(MANIFEST.read_text()) if document["kind"] == kind]
    return found["spec"]


def pod() -> dict:
    return manifest("Deployment")["template"]["spec"]


def container() -> dict:
    (only,) = pod()["containers"]
    return only


UNIT_ENVIRONMENT = dict(value.split("=", 1) for value in unit()["Environment"])
POD_ENVIRONMENT = {entry["name"]: entry["value"] for entry in container()["env"]}
UNIT_COMMAND = shlex.split(unit()["ExecStart"][0])
POD_COMMAND = container()["command"]
EACH = pytest.mark.parametrize(
    ("environment", "command", "stop_s", "start_s", "memory_mb"),
    [
        (
            UNIT_ENVIRONMENT,
            UNIT_COMMAND,
            float(unit()["TimeoutStopSec"][0]),
            float(unit()["TimeoutStartSec"][0]),
            float(unit()["MemoryMax"][0].removesuffix("M")) * 1.048576,
        ),
        (
            POD_ENVIRONMENT,
            POD_COMMAND,
            float(pod()["terminationGracePeriodSeconds"]),
            float(container()["startupProbe"]["periodSeconds"] * container()["startupProbe"]["failureThreshold"]),
            float(container()["resources"]["limits"]["memory"].removesuffix("Mi")) * 1.048576,
        ),
    ],
    ids=["systemd", "kubernetes"],
)


def workers(command: list[str]) -> int:
    return int(command[command.index("--workers") + 1])


@EACH
def test_what_is_run_is_a_command_with_options_that_are_there(environment, command, stop_s, start_s, memory_mb):
    assert Path(command[0]).name == "holdfast"
    run = command_line.commands[command[1]]
    run.make_context("run", command[2:])  # raises for what is not there, or not allowed


@EACH
def test_each_variable_is_a_setting_and_its_value_is_allowed(environment, command, stop_s, start_s, memory_mb):
    known = {name: option for cls in declared("holdfast") for option in options_of(cls) for name in option.variables}
    for name, value in environment.items():
        assert isinstance(judge(known[name].kind, value), Taken), name


@EACH
def test_what_stops_it_waits_for_longer_than_it_takes(environment, command, stop_s, start_s, memory_mb):
    drain = DrainSettings()
    delay = float(environment["HOLDFAST_DRAIN_DELAY_S"])
    grace = float(environment["HOLDFAST_DRAIN_GRACE_S"])
    assert (delay, grace) == (drain.delay_s, drain.grace_s)  # what the page says of the defaults is about these
    assert server._UNWIND_S + server._CLOSE_S < exchange.SPARE_S
    assert stop_s > delay + grace + exchange.SPARE_S


@EACH
def test_what_gives_up_its_start_waits_until_the_supervisor_has_said_why(
    environment, command, stop_s, start_s, memory_mb
):
    limit = float(environment.get("HOLDFAST_START_LIMIT_S", StartSettings().limit_s))
    assert limit == StartSettings().limit_s
    assert start_s > limit


@EACH
def test_the_memory_is_enough_for_all_workers_and_one_more(environment, command, stop_s, start_s, memory_mb):
    ceiling = float(environment["HOLDFAST_WORKER_MEMORY_MAX_MB"])
    assert memory_mb > ceiling * (workers(command) + 1) + 100


def test_the_unit_stops_the_supervisor_and_reloads_it():
    assert unit()["Type"] == ["notify"]
    assert unit()["KillMode"] == ["mixed"]
    assert unit()["KillSignal"] == ["SIGTERM"]
    assert unit()["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
    assert unit()["Restart"] == ["on-failure"]
    assert unit()["OOMPolicy"] == ["continue"]


def test_systemd_has_nothing_to_say_against_the_unit(tmp_path):
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    copy = tmp_path / "shop.service"
    here = str(Path(sys.executable).with_name("holdfast"))
    copy.write_text(UNIT.read_text().replace(UNIT_COMMAND[0], here))
    said = subprocess.run([analyze, "verify", str(copy)], capture_output=True, text=True, timeout=30)
    assert (said.returncode, [line for line in said.stderr.splitlines() if "shop.service" in line]) == (0, [])


def test_a_pod_is_asked_where_the_supervisor_answers():
    ports = {port["name"]: port["containerPort"] for port in container()["ports"]}
    assert POD_ENVIRONMENT["HOLDFAST_HEALTH_ADDRESS"] == f"0.0.0.0:{ports['health']}"
    assert POD_COMMAND[POD_COMMAND.index("--port") + 1] == str(ports["http"])
    asked = {name: container()[name]["httpGet"] for name in ("startupProbe", "readinessProbe", "livenessProbe")}
    assert asked == {
        "startupProbe": {"path": "/-/ready", "port": "health"},
        "readinessProbe": {"path": "/-/ready", "port": "health"},
        "livenessProbe": {"path": "/-/live", "port": "health"},
    }


def test_a_pod_that_goes_is_noticed_before_the_delay_is_over():
    probe = container()["readinessProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] < float(POD_ENVIRONMENT["HOLDFAST_DRAIN_DELAY_S"])


def test_a_deploy_takes_no_pod_away_before_another_serves():
    assert manifest("Deployment")["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert manifest("PodDisruptionBudget")["maxUnavailable"] < manifest("Deployment")["replicas"]


def test_a_pod_may_do_little():
    assert pod()["securityContext"]["runAsNonRoot"] is True
    assert pod()["automountServiceAccountToken"] is False
    assert pod()["enableServiceLinks"] is False
    own = container()["securityContext"]
    assert own["readOnlyRootFilesystem"] is True
    assert own["allowPrivilegeEscalation"] is False
    assert own["capabilities"] == {"drop": ["ALL"]}
    assert {mount["mountPath"] for mount in container()["volumeMounts"]} == {
        "/tmp",
        POD_ENVIRONMENT["HOLDFAST_SECRETS_DIR"],
    }


def test_only_the_application_is_shown_to_others():
    assert [port["targetPort"] for port in manifest("Service")["ports"]] == ["http"]
    assert manifest("Service")["selector"] == manifest("Deployment")["selector"]["matchLabels"]


def test_the_page_has_the_numbers_of_the_examples():
    page = (DEPLOY.parent / "deploy.md").read_text()
    assert f"delay + grace + {exchange.SPARE_S:.0f} s" in page
    assert f"| {unit()['TimeoutStopSec'][0]} s |" in page
    assert f"| {unit()['TimeoutStartSec'][0]} s |" in page
    assert f"`HOLDFAST_START_LIMIT_S`, {StartSettings().limit_s:.0f} s" in page
    assert re.search(rf"the {DrainSettings().delay_s:.0f} s .* the {DrainSettings().grace_s:.0f} s", page)
