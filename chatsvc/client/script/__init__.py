"""Commands for scripts: ``chatsvc send`` and ``chatsvc listen``."""
