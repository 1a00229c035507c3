"""Problem details (RFC 9457): every failure answered so that the caller can do something with it.

{"type": "urn:holdfast:problem:not-found", "title": "Not Found", "status": 404,
 "detail": "There is nothing here.", "advice": "Check the address ...", "request_id": "0192..."}
"""

from holdfast.problems.answering import is_logged, layer, log_failure, log_unheard
from holdfast.problems.document import NOT_EXECUTED, TYPE, Problem, Refusal, document, problem, told_as
from holdfast.problems.page import wants_page

__all__ = [
    "NOT_EXECUTED",
    "TYPE",
    "Problem",
    "Refusal",
    "document",
    "is_logged",
    "layer",
    "log_failure",
    "log_unheard",
    "problem",
    "told_as",
    "wants_page",
]
