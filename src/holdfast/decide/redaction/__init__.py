"""What must not reach a log line, an error page or a trace, and what stands there instead.

The one face is `Redactor`. A value is secret because of the name it stands under (`names`), because of its shape
(`shapes`, `keys`), because free text names it (`named`), or because it looks drawn by lot (`opaque`).
"""

from holdfast.decide.redaction.redactor import Redactor
from holdfast.decide.redaction.shapes import Finding

__all__ = ["Finding", "Redactor"]
