"""A small shop on Flask, which is WSGI, for `asgiref.wsgi.WsgiToAsgi`."""

import shelf
from asgiref.wsgi import WsgiToAsgi
from flask import Flask, request

flask = Flask(__name__)


@flask.after_request
def open_shop(response):
    response.headers["x-shop"] = "open"
    return response


@flask.get("/items/<item_id>")
def item(item_id):
    shelf.log.info("item read", extra={"item": item_id})
    return {"id": item_id}


@flask.put("/items/<item_id>")
def put_item(item_id):
    return {"id": item_id, **request.get_json()}


@flask.get("/breaks")
def breaks():
    raise RuntimeError("the shelf fell down")


app = WsgiToAsgi(flask)
