"""The names of some accounts as they are shown, for transactions about something else in the accounts' database."""

from __future__ import annotations

from collections.abc import Sequence

from chatsvc.accounts.name_index import as_text, in_pages
from chatsvc.accounts.names import display_name
from chatsvc.storage.sql import Transaction


def shown_names(transaction: Transaction, uids: Sequence[int]) -> dict[int, str]:
    """Return the names of accounts by uid, safe to show; those that are not there are left out."""
    rows = in_pages(transaction, "SELECT id, username FROM user WHERE id IN", uids)
    return {uid: display_name(as_text(name), uid) for uid, name in rows}
