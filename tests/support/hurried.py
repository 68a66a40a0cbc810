"""
``twistd`` with other constants: ``python hurried.py {"MODULE.NAME": VALUE, …} twistd's arguments``.

For tests of what happens after a time that no option sets: what an admin cannot change need not be waited for.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module

from twisted.scripts.twistd import run


def change(constants: dict[str, float]) -> None:
    """
    Give module constants other values, before anybody has read them.

    :raise AttributeError: a module has no such constant
    """
    for path, value in constants.items():
        module, _, name = path.rpartition(".")
        getattr(import_module(module), name)
        setattr(import_module(module), name, value)


if __name__ == "__main__":
    change(json.loads(sys.argv.pop(1)))
    sys.argv[0] = "twistd"
    run()
