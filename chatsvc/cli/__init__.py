"""The ``chatsvc`` command."""
