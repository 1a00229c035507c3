"""What an OpenAPI document says; and that one that is wrong says less, never more."""

from hypothesis import given
from hypothesis import strategies as st

from holdfast.decide.openapi import operations, roles

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)


def document(**paths):
    return {"openapi": "3.1.0", "paths": {f"/{name}": item for name, item in paths.items()}}


def found(**paths):
    return operations(document(**paths))[0]


def test_what_can_be_asked_for_without_knowing_anything_is_told_from_the_rest():
    needs = {"parameters": [{"name": "q", "in": "query", "required": True}]}
    all_of_them = found(items={"get": {}}, search={"get": needs})
    assert [(one.path, one.plain) for one in all_of_them] == [("/items", True), ("/search", False)]


def test_a_parameter_may_be_a_part_of_a_name_in_the_path():
    [one] = operations({"openapi": "3.1.0", "paths": {"/tables/{table}.{form}": {"get": {}}}})[0]
    assert one.parameters == ("table", "form")
    assert not one.plain


def test_a_form_with_a_file_is_an_upload():
    schema = {"properties": {"title": {"type": "string"}, "upload": {"type": "string", "format": "binary"}}}
    body = {"requestBody": {"content": {"multipart/form-data": {"schema": schema}}}}
    upload = roles(found(files={"post": body})).upload
    assert upload is not None
    assert upload.file == "upload"


def test_a_table_that_is_produced_is_an_export_and_no_read():
    csv = {"responses": {"200": {"content": {"text/csv": {}}}}}
    played = roles(found(table={"get": csv}, items={"get": {}}))
    assert played.export is not None
    assert played.read is not None
    assert (played.export.path, played.read.path) == ("/table", "/items")


def test_a_json_body_gets_an_example_of_what_is_required():
    schema = {
        "type": "object",
        "required": ["name", "age", "mail"],
        "properties": {
            "name": {"type": "string", "minLength": 8},
            "age": {"type": "integer", "minimum": 18},
            "mail": {"type": "string", "format": "email"},
            "more": {"type": "string"},
        },
    }
    write = roles(found(people={"post": {"requestBody": {"content": {"application/json": {"schema": schema}}}}})).write
    assert write is not None
    assert write.example == {"name": "xxxxxxxx", "age": 18, "mail": "someone@example.com"}


def test_references_are_followed_and_circles_end():
    node = {"type": "object", "required": ["next"], "properties": {"next": {"$ref": "#/components/schemas/Node"}}}
    body = {"requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Node"}}}}}
    whole = document(nodes={"post": body}) | {"components": {"schemas": {"Node": node}}}
    assert operations(whole)[0][0].example is not None


def test_signing_in_is_no_write():
    schema = {"type": "object", "required": ["password"], "properties": {"password": {"type": "string"}}}
    body = {"requestBody": {"content": {"application/json": {"schema": schema}}}}
    assert roles(found(login={"post": body})).write is None


@given(JSON)
def test_whatever_a_document_holds_nothing_is_raised(junk):
    operations(junk)
    operations({"openapi": "3.0.0", "paths": junk})
    operations({"openapi": "3.0.0", "paths": {"/x": {"post": junk}}})


def test_whole_numbers_of_the_query_are_known_with_their_maximum():
    parameters = [
        {"name": "limit", "in": "query", "schema": {"type": "integer", "maximum": 200}},
        {"name": "after", "in": "query", "schema": {"anyOf": [{"type": "integer"}, {"type": "null"}]}},
        {"name": "name", "in": "query", "schema": {"type": "string"}},
        {"name": "number", "in": "path", "schema": {"type": "integer"}},
    ]
    (found,), _ = operations({"openapi": "3.1.0", "paths": {"/items": {"get": {"parameters": parameters}}}})
    assert found.numbers == {"limit": 200, "after": None}


def test_work_that_is_done_later_and_what_its_parameters_may_be():
    said = [
        {"name": "form", "in": "query", "required": True, "schema": {"enum": ["csv", "xlsx"]}},
        {"name": "year", "in": "query", "required": True, "example": 2026},
        {"name": "word", "in": "query", "required": True},
        {"name": "page", "in": "query", "schema": {"default": 1}},
    ]
    (job,) = found(jobs={"post": {"parameters": said, "responses": {"202": {}}}})
    assert job.accepted
    assert job.values == {"form": ("csv", "xlsx"), "year": ("2026",), "word": ()}
    assert not found(jobs={"post": {"responses": {"201": {}}}})[0].accepted
