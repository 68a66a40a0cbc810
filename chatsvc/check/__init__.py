"""``chatsvc check``: everything that a server needs, inspected; nothing is changed."""
