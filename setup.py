"""Metadata is in setup.cfg; this keeps two symbolic links that setuptools would leave out of an sdist."""

from __future__ import annotations

import os
import shutil

from setuptools import setup
from setuptools.command.sdist import sdist

LINKS = ("tap", "schema")
"""Folders of the checkout that are packages of chatsvc by a link."""


class Sdist(sdist):
    """An sdist that is as the checkout is: one ``tap``, not a second copy that nobody would know to edit."""

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        super().make_release_tree(base_dir, files)
        for name in LINKS:
            link = os.path.join(base_dir, "chatsvc", name)
            shutil.rmtree(link)
            os.symlink(os.path.join("..", name), link)


setup(cmdclass={"sdist": Sdist})
