"""Events as webhooks, by the specification of Standard Webhooks (standardwebhooks.com)."""

import base64
import binascii
import hashlib
import hmac
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import aiohttp

from reelbase.cli.delivery import NotDelivered, as_json
from reelbase.errors import ConfigurationError, ReelbaseError
from reelbase.execution.async_http import new_session
from reelbase.models import JobEvent

_PREFIX = "whsec_"
_SHORTEST_SECRET = 24
_LONGEST_SECRET = 64
_SHOWN = 200


class EndpointGone(ReelbaseError):
    """The endpoint wants no webhooks any more."""


class Webhook:
    """POSTs events to a URL, signed with each of the secrets. `timeout` is seconds for one attempt.

    Use as `async with`.
    """

    def __init__(self, url: str, secrets: tuple[bytes, ...], *, timeout: float) -> None:
        self._url = _checked(url)
        self._secrets = secrets
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = new_session(self._url)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def deliver(self, event: JobEvent) -> None:
        """One attempt. Raises NotDelivered, and EndpointGone for 410."""
        assert self._session is not None  # noqa: S101 # used as `async with`
        body = as_json({"type": event.type, "timestamp": event.created_at, "data": event})
        try:
            async with self._session.post(
                self._url,
                data=body,
                headers=signed(f"evt_{event.id}", int(time.time()), body, self._secrets),
                timeout=aiohttp.ClientTimeout(total=self._timeout),
                allow_redirects=False,
            ) as response:
                await self._judge(response)
        except TimeoutError as error:
            raise NotDelivered(f"no answer within {self._timeout:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise NotDelivered(f"no answer ({error or type(error).__name__})") from error

    async def _judge(self, response: aiohttp.ClientResponse) -> None:
        if HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
            return
        if response.status == HTTPStatus.GONE:
            raise EndpointGone(
                "The endpoint answered 410 Gone: it wants no webhooks any more.",
                hint="The event is not committed. Give another --webhook, or delete the consumer.",
            )
        answer = f"HTTP {response.status} {response.reason or ''}".strip()
        if HTTPStatus.MULTIPLE_CHOICES <= response.status < HTTPStatus.BAD_REQUEST:
            answer += ", and redirects are not followed"
        elif said := await _beginning(response):
            answer += f": {said}"
        raise NotDelivered(answer, retry_after=_retry_after(response.headers))


def signed(message_id: str, timestamp: int, body: bytes, secrets: tuple[bytes, ...]) -> dict[str, str]:
    """The headers of a message. The timestamp is the attempt's; the id is the same at each attempt."""
    content = f"{message_id}.{timestamp}.".encode() + body
    signatures = (hmac.digest(secret, content, hashlib.sha256) for secret in secrets)
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{base64.b64encode(each).decode()}" for each in signatures),
    }


def signing_secrets(setting: str | None) -> tuple[bytes, ...]:
    """The secrets of REELBASE_WEBHOOK_SECRET. Raises ConfigurationError, which shows none of them."""
    hint = 'Make one with: echo "whsec_$(openssl rand -base64 32)".'
    if setting is None or not setting.split():
        raise ConfigurationError(
            "REELBASE_WEBHOOK_SECRET, which signs webhooks, is not set. Set it in the environment or .env.",
            hint=hint,
        )
    secrets = tuple(_secret(each) for each in setting.split())
    if not all(_SHORTEST_SECRET <= len(each) <= _LONGEST_SECRET for each in secrets):
        raise ConfigurationError(
            "REELBASE_WEBHOOK_SECRET is wrong: it must be whsec_ and 24 to 64 bytes in base64, or several.",
            hint=hint,
        )
    return secrets


def _secret(text: str) -> bytes:
    """Its bytes; none when it is no secret."""
    with suppress(binascii.Error, ValueError):
        if text.startswith(_PREFIX):
            encoded = text.removeprefix(_PREFIX)
            return base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    return b""


def _checked(url: str) -> str:
    if not _is_web_address(url):
        # Nor would it be one with the name and password that it may hold.
        shown = re.sub(r"(?s)^(\w+://)?.*@", r"\1", url)
        raise ConfigurationError(f"{shown} is no web address.", hint="Give one that begins with https://.")
    if urlsplit(url).username is not None:
        raise ConfigurationError("The web address holds a password.", hint="The signature says who sends.")
    return url


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        # As it is looked up: labels may be empty or too long.
        (parts.hostname or "").encode("idna")
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


async def _beginning(response: aiohttp.ClientResponse) -> str:
    """The first words of an answer, on one line."""
    return " ".join((await response.content.read(_SHOWN)).decode(errors="replace").split())


def _retry_after(headers: Mapping[str, str]) -> float:
    """Seconds, which the header may also tell as a date."""
    asked = headers.get("Retry-After", "")
    if asked.isdecimal():
        return float(asked)
    with suppress(ValueError, OverflowError, OSError):
        return max(0.0, parsedate_to_datetime(asked).timestamp() - time.time())
    return 0.0
