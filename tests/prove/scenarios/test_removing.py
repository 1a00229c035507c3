"""How something is removed again: what OpenAPI says, or what may be tried."""

import pytest

from holdfast.prove.props.removing import _fits


@pytest.mark.parametrize(
    ("path", "template", "fits"),
    [
        ("/files/{id}", "/files/{file_id}", True),
        ("/files/{id}/content", "/files/{file_id}", False),
        ("/files/{id}", "/{kind}/{file_id}", False),
        ("/files/{id}", "/files/latest", False),
    ],
)
def test_a_path_is_one_that_a_template_describes(path, template, fits):
    assert _fits(path, template) is fits
