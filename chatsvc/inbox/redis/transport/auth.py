"""The log-in of a connection to Redis, or to a sentinel."""

from __future__ import annotations

from typing import Any

from chatsvc.storage.url import StoreURL


async def authenticate(protocol: Any, url: StoreURL) -> None:
    """
    Log in with the URL's password, and its user if it names one; without a password do nothing.

    :raise txredisapi.ResponseError: it was refused.
    """
    if url.password:
        user = (url.user,) if url.user else ()
        await protocol.execute_command("AUTH", *user, url.password)
