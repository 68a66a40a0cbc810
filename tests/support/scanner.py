"""
The scanner sslyze, in a virtual environment of its own: it wants an older ``cryptography`` than the server.

The environment is made when it is first asked for, takes some ten seconds, and is kept beside the checkout's own.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

REQUIREMENT = "sslyze >= 6.3.1"

ENVIRONMENT = Path(__file__).resolve().parents[2] / ".venv-sslyze"

PATIENCE = 300.0
"""Seconds that making the environment, or a scan, may take."""

_COMMANDS = {
    "--certinfo": "certificate_info",
    "--compression": "tls_compression",
    "--early_data": "tls_1_3_early_data",
    "--elliptic_curves": "elliptic_curves",
    "--ems": "tls_extended_master_secret",
    "--fallback": "tls_fallback_scsv",
    "--heartbleed": "heartbleed",
    "--openssl_ccs": "openssl_ccs_injection",
    "--reneg": "session_renegotiation",
    "--resum": "session_resumption",
    "--robot": "robot",
    "--sslv2": "ssl_2_0_cipher_suites",
    "--sslv3": "ssl_3_0_cipher_suites",
    "--tlsv1": "tls_1_0_cipher_suites",
    "--tlsv1_1": "tls_1_1_cipher_suites",
    "--tlsv1_2": "tls_1_2_cipher_suites",
    "--tlsv1_3": "tls_1_3_cipher_suites",
}
"""All that sslyze can look for but what is about HTTP: its option, and the name of the result."""

Findings = dict[str, Any]
"""What the scan of one port found, by the command's name (sslyze's documentation, "Available Scan Commands")."""


def scan(ports: Mapping[str, int], trusted: str | Path) -> dict[str, Findings]:
    """
    Look at ports of 127.0.0.1, each by a name of the caller's; the findings under the same names.

    ``trusted`` is a file of certificates to believe in; the server's name is ``localhost``.

    :raise RuntimeError: sslyze cannot be installed, or could not find out all.
    """
    places = {f"127.0.0.1:{port}": name for name, port in ports.items()}
    with tempfile.TemporaryDirectory(prefix="chatsvc-") as folder:
        found = Path(folder) / "found.json"
        _run(
            *(_python(), "-I", "-m", "sslyze", "--json_out", found, "--quiet"),
            *("--mozilla_config", "disable", "--sni", "localhost", "--slow_connection"),
            *("--certinfo_ca_file", trusted, *_COMMANDS, *places),
        )
        scans = json.loads(found.read_text())["server_scan_results"]
    findings = {}
    for result in scans:
        location = result["server_location"]
        name = places[f"{location['hostname']}:{location['port']}"]
        findings[name] = _complete(name, result)
    return findings


def _complete(name: str, scanned: Mapping[str, Any]) -> Findings:
    """The findings of a scan; a command that broke off must not pass for one that found nothing."""
    if scanned["scan_status"] != "COMPLETED":
        raise RuntimeError(f"sslyze did not reach {name}: {scanned['connectivity_error_trace']}")
    attempts = {command: scanned["scan_result"][command] for command in _COMMANDS.values()}
    for command, attempt in attempts.items():
        if attempt["status"] != "COMPLETED":
            raise RuntimeError(f"{command} of {name} broke off: {attempt['error_trace']}")
    return {command: attempt["result"] for command, attempt in attempts.items()}


def _python() -> Path:
    """The Python that has sslyze."""
    python = ENVIRONMENT / "bin" / "python"
    whole = ENVIRONMENT / "whole"  # written last: what is half made is made anew
    wanted = f"{REQUIREMENT} in {sys.base_prefix}, {sys.version}"
    ENVIRONMENT.mkdir(exist_ok=True)
    with _locked(ENVIRONMENT):
        if not whole.exists() or whole.read_text() != wanted:
            _run(sys.executable, "-I", "-m", "venv", "--clear", ENVIRONMENT)
            _run(python, "-I", "-m", "pip", "install", "--quiet", REQUIREMENT)
            whole.write_text(wanted)
    return python


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a folder, so that tests that run side by side make one environment, not two."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _run(*command: str | Path) -> None:
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=PATIENCE,
    )
    if done.returncode:
        said = done.stdout[-4000:]
        raise RuntimeError(f"{' '.join(map(str, command))} failed:\n{said}")
