"""The application with Holdfast around it, for any ASGI server."""

from app import app as bare

from holdfast.app import Holdfast

app = Holdfast(bare)
