"""All that every store does."""

from __future__ import annotations

from tests.inbox.contract.admin import AdminContract
from tests.inbox.contract.beginnings import BeginningsContract
from tests.inbox.contract.claims import ClaimsContract
from tests.inbox.contract.copies import CopiesContract
from tests.inbox.contract.devices import DevicesContract
from tests.inbox.contract.forgotten import ForgottenContract
from tests.inbox.contract.limits import LimitsContract
from tests.inbox.contract.messages import MessagesContract
from tests.inbox.contract.references import ReferencesContract
from tests.inbox.contract.registered import RegisteredContract
from tests.inbox.contract.room_events import RoomEventsContract
from tests.inbox.contract.room_marks import RoomMarksContract
from tests.inbox.contract.room_messages import RoomMessagesContract
from tests.inbox.contract.room_positions import RoomPositionsContract
from tests.inbox.contract.room_references import RoomReferencesContract
from tests.inbox.contract.room_retention import RoomRetentionContract


class InboxContract(
    MessagesContract,
    DevicesContract,
    LimitsContract,
    ClaimsContract,
    AdminContract,
    RegisteredContract,
    CopiesContract,
    BeginningsContract,
    ForgottenContract,
    RoomMessagesContract,
    RoomEventsContract,
    RoomPositionsContract,
    RoomMarksContract,
    ReferencesContract,
    RoomReferencesContract,
    RoomRetentionContract,
):
    """A test module imports this one and not the class, or trial would run it without a store."""
