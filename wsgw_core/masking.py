"""Keeps secrets out of what is printed: effective configuration, errors, logs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote_plus

MASK = "***"
_SHORTEST = 4  # characters of a secret that is looked for: fewer are found everywhere

_SECRET_KEY = re.compile(
    r"(?:password|passwd|passphrase|secret|token|credentials?|(?:api|private|access)[-_]?key"
    r"|authorization|cookie)(s?)\Z",  # the latter two: headers, which routes can ask for
    re.IGNORECASE,
)
# In the midst of other text a URL ends at a space. The password is everything up to the last @
# before the path: it may hold an @ that should have been quoted, and showing half of it would be
# worse than masking a little too much.
_URL_PASSWORD = re.compile(r"(://[^/?#\s:]*:)[^/?#\s]*(?=@)")
_URL_QUERY = re.compile(r"([?&]([^=&#\s]+)=)[^&#\s]+")
# Names in the query of a client's request, whose author has had other habits than ours.
_SECRET_FIELD = re.compile(
    r"(?:pass(?:word|wd|phrase)?|pwd|secrets?|tokens?|jwt|auth|authorization|bearer|credentials?|cookie"
    r"|api[-_]?key|key|sig|signature|hmac|ticket|otp|pin|nonce|code|sid|session(?:[-_]?id)?)\Z",
    re.IGNORECASE,
)
_RANDOM = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])[\w.~+/=:-]{16,}\Z", re.ASCII)
_WORD = re.compile(r"[A-Za-z]+")
_LONGEST_QUERY = 1024  # characters that are looked at
_PRIVATE_KEY = re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----).*", re.DOTALL)

# Of a value by itself, whatever may be a password is taken for one: with spaces, slashes and the
# like in it, with the slashes before it forgotten, and cut at its comma by whoever split a list.
_PASSWORD = re.compile(
    r"\A([a-z][\w+.-]*://[^:]*:|(?![a-z][\w+.-]*://)(?:[^:]*:)?).*(?=@)",
    re.IGNORECASE | re.DOTALL,
)
_NO_PORT = re.compile(
    r"\A([a-z][\w+.-]*:(?://)?(?:[^:/?#@]*@)?[^:/?#\[\]@]*:)(?!\d{1,5}(?:[/?#\s]|\Z))[^@]+\Z",
    re.IGNORECASE | re.DOTALL,
)
_WHOLE_URL = re.compile(r"[a-z][\w+.-]*://[^\s/?#]+(?:/[^\s?#@]*)?\?[^\s#@]*\Z", re.IGNORECASE)
_NAMED = re.compile(r"""(?<![\w/@-])([\w-]+)["']?\s*[:=]\s*(?=\S)""")


def masked_text(text: str) -> str:
    """Replaces the passwords of all URLs in a text, and query fields named like a secret."""
    text = _URL_PASSWORD.sub(rf"\g<1>{MASK}", text)
    text = _URL_QUERY.sub(
        lambda match: f"{match[1]}{MASK}" if is_secret_key(match[2]) else match[0], text
    )
    return _PRIVATE_KEY.sub(rf"\g<1>{MASK}", text)


def masked_target(target: str) -> str:
    """Returns the target of a request without the values in its query that look like secrets.

    These are values of names such as `token` or `session-id`, and whatever has 16 characters or
    more with letters and digits among them, as keys, tokens and random ids have. A long query is
    cut.
    """
    path, mark, query = target.partition("?")
    cut = query[:_LONGEST_QUERY]
    fields = [_masked_field(field) for field in cut.split("&")]
    if len(cut) < len(query):
        fields[-1] = "..."  # where it is cut, half a secret may stand
    return f"{path}{mark}{'&'.join(fields)}"


def _masked_field(field: str) -> str:
    name, equals, value = field.partition("=") if "=" in field else ("", "", field)
    decoded = unquote_plus(value)
    named = unquote_plus(name)
    last = _WORD.findall(named)[-1:]  # of user[password] or x-amz-signature
    is_secret = is_secret_key(named) or any(map(_SECRET_FIELD.match, (named, *last)))
    if value and (is_secret or _RANDOM.match(decoded) or masked_url(decoded) != decoded):
        value = MASK
    return f"{name}{equals}{value}"


def masked_url(text: str) -> str:
    """Returns a text that should be one URL, or holds a secret in another way, without it.

    Rather masks too much: whoever wrote it may have forgotten to quote what stands in a password.
    """
    password = _PASSWORD.match(text) or _NO_PORT.match(text)
    if _WHOLE_URL.match(text):  # its query can be told from the rest
        return masked_text(f"{password[1]}{MASK}{text[password.end() :]}" if password else text)
    named = next((one for one in _NAMED.finditer(text) if _SECRET_KEY.search(one[1])), None)
    if named:
        end = min(named.end(), password.end(1)) if password else named.end()
        return f"{text[:end]}{MASK}"
    if password:
        text = f"{password[1]}{MASK}{text[password.end() :]}"
    return masked_text(text)


def masked(value: Any, key: str = "") -> Any:
    """Returns a copy of plain data (mappings, lists, scalars) without its secrets.

    Args:
        value: what to copy.
        key: the key under which the value stands; one named like a secret masks it whole, one named
            like several (`tokens`) all but the keys of mappings in a list.
    """
    kind = _SECRET_KEY.search(key)
    if isinstance(value, dict) and not kind:
        return {masked(name): masked(item, str(name)) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        several = kind is not None and bool(kind[1])
        return [masked(item, "" if several and isinstance(item, dict) else key) for item in value]
    if value is not None and kind:
        return MASK
    if not isinstance(value, str):
        return value
    return masked_url(value) if key == "url" or "://" in value else masked_text(value)


def without_secrets_of(value: Any, text: str, key: str = "") -> str:
    """Returns a text in which somebody may have quoted plain data, without its secrets.

    Args:
        value: the data.
        text: such as that of an exception.
        key: the key under which the value stands.
    """
    if isinstance(value, dict):
        for name, item in value.items():
            text = without_secrets_of(item, text, key if is_secret_key(key) else str(name))
    elif isinstance(value, (list, tuple)):
        for item in value:
            text = without_secrets_of(item, text, key)
    elif isinstance(value, str) and (shown := masked(value, key)) != value:
        before, _, behind = shown.partition(MASK)
        secret = value[len(before) : len(value) - len(behind)]
        for found, instead in ((value, shown), (secret, MASK)):
            if len(found) >= _SHORTEST:
                text = text.replace(found, instead).replace(repr(found)[1:-1], instead)
    return text


def is_secret_key(key: str) -> bool:
    """Returns whether a key is named like a secret; `password-file` names no secret."""
    kind = _SECRET_KEY.search(key)
    return kind is not None and not kind[1]


def is_below_secret(path: Iterable[str | int]) -> bool:
    """Returns whether what stands at a key path is a secret, or a part of one.

    Of `tokens` the keys are known, so what stands at one of them is none.
    """
    *above, last = [part for part in path if isinstance(part, str)] or [""]
    return _SECRET_KEY.search(last) is not None or any(map(is_secret_key, above))
