"""Serves websocket clients with Django: `waitress-serve --port=9000 django_application:app`."""

from __future__ import annotations

import json

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path as url_path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["127.0.0.1"])  # yours has a project


@csrf_exempt
@require_POST
def websocket(request: HttpRequest, path: str) -> HttpResponse:
    """Answers one event of one client."""
    event = request.headers["X-Wsgw-Event"]
    if event == "connect":
        name = json.loads(request.body)["query"].get("name", [""])[0]
        if not name:
            return HttpResponse("say ?name=...", status=401)
        return HttpResponse(status=204, headers={"X-Wsgw-State": name})  # sent with each message
    if event == "disconnect":
        return HttpResponse(status=204)
    name, plain = request.headers["X-Wsgw-State"], "text/plain; charset=utf-8"
    if request.body == b"bye":
        return HttpResponse(f"bye {name}", plain, headers={"X-Wsgw-Close": "1000"})
    return HttpResponse(f"{name} in {path}: {request.body.decode()}", plain)


urlpatterns = [url_path("ws/<path:path>", websocket)]
app = get_wsgi_application()
