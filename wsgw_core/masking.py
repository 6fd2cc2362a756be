"""Masks secrets in output: the effective configuration, errors and logs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote_plus

MASK = "***"
_SHORTEST = 4  # characters; a shorter secret would match everywhere

_SECRET_KEY = re.compile(
    r"(?:password|passwd|passphrase|secret|token|credentials?|(?:api|private|access)[-_]?key"
    r"|authorization|cookie)(s?)\Z",  # the last two are headers, which routes can match
    re.IGNORECASE,
)
# Inside other text, a URL ends at a space. The password is everything up to the last @ before the
# path, because it may contain an unquoted @. Masking too much is better than showing a part of it.
_URL_PASSWORD = re.compile(r"(://[^/?#\s:]*:)[^/?#\s]*(?=@)")
_URL_QUERY = re.compile(r"([?&]([^=&#\s]+)=)[^&#\s]+")
# Names in the query of a client's request, whose author may use other names.
_SECRET_FIELD = re.compile(
    r"(?:pass(?:word|wd|phrase)?|pwd|secrets?|tokens?|jwt|auth|authorization|bearer|credentials?|cookie"
    r"|api[-_]?key|key|sig|signature|hmac|ticket|otp|pin|nonce|code|sid|session(?:[-_]?id)?)\Z",
    re.IGNORECASE,
)
_RANDOM = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])[\w.~+/=:-]{16,}\Z", re.ASCII)
_WORD = re.compile(r"[A-Za-z]+")
_LONGEST_QUERY = 1024  # characters
_PRIVATE_KEY = re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----).*", re.DOTALL)

# In a value by itself, everything that may be a password counts as one: with spaces or slashes in
# it, without the slashes before it, or cut at a comma because a list was split there.
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
    """Masks passwords of URLs, query fields named like secrets, and private keys in a text."""
    text = _URL_PASSWORD.sub(rf"\g<1>{MASK}", text)
    text = _URL_QUERY.sub(
        lambda match: f"{match[1]}{MASK}" if is_secret_key(match[2]) else match[0], text
    )
    return _PRIVATE_KEY.sub(rf"\g<1>{MASK}", text)


def masked_target(target: str) -> str:
    """Masks the values in the query of a request target that look like secrets.

    These are values of names such as `token` or `session-id`, and values of 16 or more characters
    with both letters and digits, such as keys, tokens and random ids. Cuts a long query.
    """
    path, mark, query = target.partition("?")
    cut = query[:_LONGEST_QUERY]
    fields = [_masked_field(field) for field in cut.split("&")]
    if len(cut) < len(query):
        fields[-1] = "..."  # the cut may split a secret
    return f"{path}{mark}{'&'.join(fields)}"


def _masked_field(field: str) -> str:
    name, equals, value = field.partition("=") if "=" in field else ("", "", field)
    decoded = unquote_plus(value)
    named = unquote_plus(name)
    last = _WORD.findall(named)[-1:]  # as in user[password] or x-amz-signature
    is_secret = is_secret_key(named) or any(map(_SECRET_FIELD.match, (named, *last)))
    if value and (is_secret or _RANDOM.match(decoded) or masked_url(decoded) != decoded):
        value = MASK
    return f"{name}{equals}{value}"


def masked_url(text: str) -> str:
    """Masks secrets in a text that should be one URL.

    Masks too much rather than too little: a password may contain unquoted characters.
    """
    password = _PASSWORD.match(text) or _NO_PORT.match(text)
    if _WHOLE_URL.match(text):  # the query is recognizable
        return masked_text(f"{password[1]}{MASK}{text[password.end() :]}" if password else text)
    named = next((one for one in _NAMED.finditer(text) if _SECRET_KEY.search(one[1])), None)
    if named:
        end = min(named.end(), password.end(1)) if password else named.end()
        return f"{text[:end]}{MASK}"
    if password:
        text = f"{password[1]}{MASK}{text[password.end() :]}"
    return masked_text(text)


def masked(value: Any, key: str = "") -> Any:
    """Returns a copy of plain data (mappings, lists, scalars) with masked secrets.

    Args:
        value: the data.
        key: the key of the value. A key named like a secret masks the whole value; a plural
            (`tokens`) masks the values but keeps the keys of mappings in a list.
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
    """Masks the secrets of plain data in a text that may quote the data.

    Args:
        value: the data.
        text: the text, for example of an exception.
        key: the key of the value.
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
    """Returns whether the value at a key path is a secret or a part of one.

    The values inside `tokens` have keys of their own, which decide.
    """
    *above, last = [part for part in path if isinstance(part, str)] or [""]
    return _SECRET_KEY.search(last) is not None or any(map(is_secret_key, above))
