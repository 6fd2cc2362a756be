"""Serves websocket clients with Flask: `waitress-serve --port=9000 flask_application:app`."""

from __future__ import annotations

from flask import Flask, Response, request

app = Flask(__name__)


@app.post("/ws/<path:path>")
def websocket(path: str) -> Response:
    """Answers one event of one client."""
    event, body = request.headers["X-Wsgw-Event"], request.get_data()
    if event == "connect":
        name = request.get_json()["query"].get("name", [""])[0]
        if not name:
            return Response("say ?name=...", status=401)
        return Response(status=204, headers={"X-Wsgw-State": name})  # sent with each message
    if event == "disconnect":
        return Response(status=204)
    name = request.headers["X-Wsgw-State"]
    if body == b"bye":
        return Response(f"bye {name}", mimetype="text/plain", headers={"X-Wsgw-Close": "1000"})
    return Response(f"{name} in {path}: {body.decode()}", mimetype="text/plain")
