"""What the OpenAPI document allows, and what it does not, never makes the depot fail."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, status_code_conformance

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance]


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_no_request_makes_the_depot_fail_or_answer_what_it_did_not_declare(depot, mode: GenerationMode) -> None:
    document = schemathesis.openapi.from_url(f"{depot.running.url}/openapi.json")
    headers = {"authorization": depot.http.headers["authorization"]}
    known = depot.send("known.csv", "a,b\n1,2\n")["id"]
    answered: set[str] = set()
    for operation in (found.ok() for found in document.get_all_operations()):

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(
            max_examples=15,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def holds(case) -> None:
            if "file_id" in case.path_parameters and len(answered) % 2:
                case.path_parameters["file_id"] = known
            answered.add(f"{case.method} {case.call_and_validate(headers=headers, checks=CHECKS).status_code}")

        holds()
    wanted = {"GET 200", "POST 201"} if mode is GenerationMode.POSITIVE else {"GET 422"}
    assert wanted <= answered
