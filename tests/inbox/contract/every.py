"""All that every store does."""

from __future__ import annotations

from tests.inbox.contract.admin import AdminContract
from tests.inbox.contract.claims import ClaimsContract
from tests.inbox.contract.devices import DevicesContract
from tests.inbox.contract.limits import LimitsContract
from tests.inbox.contract.messages import MessagesContract


class InboxContract(
    MessagesContract, DevicesContract, LimitsContract, ClaimsContract, AdminContract
):
    """A test module imports this one and not the class, or trial would run it without a store."""
