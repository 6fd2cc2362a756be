"""The URLs of one session's events."""

from __future__ import annotations

from dataclasses import dataclass

from yarl import URL

from wsgw_core.api import BackendDeclined, DialRequest, UrlTemplate

from .exchange import Target
from .settings import HttpSettings


@dataclass(frozen=True, slots=True)
class SessionUrls:
    """The URLs of a session's events; None: wsgw does not send this kind of event."""

    connect: Target | None
    message: Target
    disconnect: Target | None

    @classmethod
    def of(
        cls, settings: HttpSettings, request: DialRequest, subprotocol: str | None
    ) -> SessionUrls:
        """Returns the URLs of a session, from the templates.

        Raises:
            BackendDeclined: with 400; see UrlTemplate.
        """
        query = request.path.partition("?")[2] if settings.pass_query else ""

        def target(template: UrlTemplate | bool | None) -> Target | None:
            if template is False:
                return None
            used = template if isinstance(template, UrlTemplate) else settings.url
            return _target(used.expand(request, subprotocol), query)

        events = settings.events
        message = target(events.message)
        assert message is not None  # noqa: S101 - for the type checker
        return cls(target(events.connect), message, target(events.disconnect))

    def hosts(self) -> set[tuple[str, int]]:
        """Returns the host and port of each URL."""
        targets = (self.connect, self.message, self.disconnect)
        urls = (target.url for target in targets if target is not None)
        return {(url.raw_host or "", url.port or 0) for url in urls}


def _target(text: str, query: str) -> Target:
    if query:
        text += ("&" if "?" in text else "?") + query
    try:
        return Target(URL(text, encoded=True))
    except ValueError as error:
        raise BackendDeclined.with_text(400, "the URL is not valid") from error
