"""What a monitoring system sees of a server."""

from __future__ import annotations

import re
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tests.support.servers import free_port


class Watch:
    """Looks at the pages of a server that is started with ``options``."""

    def __init__(self) -> None:
        self.port = free_port()
        self.options = ("--metrics", f"tcp:{self.port}:interface=127.0.0.1")

    def get(self, page: str, method: str = "GET") -> tuple[int, str]:
        """The status and the text of a page."""
        asked = Request(f"http://127.0.0.1:{self.port}/{page}", method=method)
        try:
            with urlopen(asked, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as answer:
            return answer.code, answer.read().decode()

    def value(self, name: str) -> float:
        """One metric, by its name and labels."""
        text = self.get("metrics")[1]
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.M)
        assert found is not None, text
        return float(found[1])
