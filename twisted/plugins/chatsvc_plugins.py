"""The two ``twistd`` commands of this project."""

from twisted.application.service import ServiceMaker

chat = ServiceMaker(
    "chatsvc server", "chatsvc.tap.server", "A TLS chat service that loses no message.", "chat"
)
chatclient = ServiceMaker(
    "chatsvc client", "chatsvc.tap.client", "A terminal client of the chat service.", "chatclient"
)
