"""Serves websocket clients with FastAPI: `uvicorn fastapi_application:app --port 9000`."""

from __future__ import annotations

import json

from fastapi import FastAPI, Request, Response

app = FastAPI()


@app.post("/ws/{path:path}")
async def websocket(path: str, request: Request) -> Response:
    """Answers one event of one client."""
    event, body = request.headers["X-Wsgw-Event"], await request.body()
    if event == "connect":
        name = json.loads(body)["query"].get("name", [""])[0]
        if not name:
            return Response("say ?name=...", status_code=401)
        return Response(status_code=204, headers={"X-Wsgw-State": name})  # sent with each message
    if event == "disconnect":
        return Response(status_code=204)
    name = request.headers["X-Wsgw-State"]
    if body == b"bye":
        return Response(f"bye {name}", media_type="text/plain", headers={"X-Wsgw-Close": "1000"})
    return Response(f"{name} in {path}: {body.decode()}", media_type="text/plain")
