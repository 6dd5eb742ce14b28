"""JSON sent to a web address."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from segkit.errors import ParameterError, RunError


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: it would lose the body, and show another host the headers."""

    def redirect_request(self, *_: Any) -> None:
        """Make no second request, so that the answer counts as a refusal."""


class Webhook:
    """A web address that takes JSON by POST; a redirect counts as a refusal.

    Parameters
    ----------
    url : str
    headers : mapping of str to str, optional
    timeout : float
        Seconds for one answer.

    Raises
    ------
    ParameterError
        If the address is neither http nor https.

    Examples
    --------
    >>> Webhook("https://example.org/hook?secret=1").host
    'example.org'
    """

    def __init__(
        self, url: str, *, headers: Mapping[str, str] | None = None, timeout: float = 10.0
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise ParameterError("expected a web address that begins with https:// or http://")
        self.url, self.timeout = url, timeout
        self.headers = {"Content-Type": "application/json", **(headers or {})}
        # Addresses may hold secrets: messages name the host alone.
        self.host = urlsplit(url).netloc.rpartition("@")[2]
        self._opener = urllib.request.build_opener(_NoRedirects)

    def post(self, body: str, **headers: str) -> int:
        """Send a text of JSON, and return the status of a successful answer.

        Raises
        ------
        RunError
            If nobody answers, or anything but success.
        """
        request = urllib.request.Request(  # noqa: S310 - http and https alone
            self.url, body.encode(), {**self.headers, **headers}
        )
        try:
            with self._opener.open(request, timeout=self.timeout) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            trouble = f"answers {error.code} {error.reason}"
            error.close()
        except http.client.HTTPException as error:
            trouble = f"answers what is no HTTP ({type(error).__name__})"
        except OSError as error:
            trouble = f"is not reached: {getattr(error, 'reason', error)}"
        raise RunError(f"{self.host} {trouble}")
