"""``python -m chatsvc.cli`` is the ``chatsvc`` command, too."""

from chatsvc.cli.main import main

main(prog_name="chatsvc")
