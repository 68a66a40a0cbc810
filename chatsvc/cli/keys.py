"""``chatsvc keys``: certificate, private key and token secret."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import click

from chatsvc.cli.options import json_option, keys_option
from chatsvc.cli.output import print_json
from chatsvc.cli.runner import one_line
from chatsvc.tls.certificates import CertificateFacts, facts, request
from chatsvc.tls.key_files import BadKeys, certificates, open_to_others, read
from chatsvc.tls.key_folder import KeyFolder

names_option = click.option(
    "--name",
    "names",
    metavar="HOST",
    multiple=True,
    help="A name or address by which clients call the server (may be repeated; default: this host's name).",
)


@click.group()
def keys() -> None:
    """The server's certificate, private key and token secret."""
    os.umask(0o022)  # what is private here has a mode of its own


@keys.command()
@names_option
@keys_option
def make(folder: str, names: Sequence[str]) -> None:
    """
    Make what is missing: a key with a certificate signed by itself, and a token secret.

    The certificate is for localhost and these names. The server does the same at its first start.
    """
    with one_line(BadKeys):
        made = KeyFolder(folder).ensure(names or [socket.gethostname()])
        for line in made:
            click.echo(line)
        (first, *_) = facts(_certificate(folder))
    unnamed = sorted({name.lower() for name in names} - {name.lower() for name in first.names})
    if unnamed:
        path = KeyFolder(folder).certificate_path
        raise click.ClickException(
            f"{path} was made before and is not for {', '.join(unnamed)}: ask for another one with"
            " `chatsvc keys request`, or remove it and its key to have both made anew"
        )
    if not made:
        click.echo("nothing is missing")


@keys.command()
@json_option
@keys_option
def show(folder: str, as_json: bool) -> None:
    """Print what the certificates say, the server's first, how long they last, and what is wrong with the files."""
    with one_line(BadKeys):
        found = facts(_certificate(folder))
    rows = [_row(one) for one in found]
    problems = _problems(KeyFolder(folder))
    if as_json:
        print_json({"certificates": rows, "problems": problems})
        return
    for row in rows:
        for name, value in row.items():
            text = ", ".join(value) if isinstance(value, list) else value
            click.echo(f"{name.replace('_', ' ')}: {text}")
        click.echo()
    for problem in problems:
        click.echo(f"problem: {problem}")


@keys.command("request")
@names_option
@click.option("--out", metavar="FILE", help="Where to write it, a new file; default: print it.")
@keys_option
def request_certificate(folder: str, names: Sequence[str], out: str | None) -> None:
    """
    Make a request for a certificate, which a certificate authority then signs.

    It is for the private key in the folder. Where there is none, a key is made with a certificate signed by itself,
    with which the server can run until the other one is there; for a new key, name a new folder. Put the certificate
    that comes back into server.crt there, with those of the authority after it, and send the server SIGHUP.
    """
    with one_line(BadKeys):
        held = KeyFolder(folder)
        names = names or [socket.gethostname()]
        for line in held.ensure(names):
            click.echo(line, err=True)
        pem = request(held.private_key(), names)
    if out is None:
        click.echo(pem.decode(), nl=False)
        return
    try:
        with open(out, "xb") as file:
            file.write(pem)
    except OSError as problem:
        raise click.ClickException(f"{out}: {problem.strerror}") from None


def _certificate(folder: str) -> bytes:
    """
    Read the certificate file of a key folder, whatever is wrong with the other files.

    :raise BadKeys: it cannot be read or holds none.
    """
    path = KeyFolder(folder).certificate_path
    pem = read(path)
    certificates(path, pem)
    return pem


def _row(found: CertificateFacts) -> dict[str, Any]:
    return {
        "subject": found.subject,
        "issuer": found.issuer,
        "names": list(found.names),
        "fingerprint": found.fingerprint,
        "not_before": found.not_before.isoformat(),
        "not_after": found.not_after.isoformat(),
        "days_left": found.days_left(time.time()),
    }


def _problems(held: KeyFolder) -> list[str]:
    problems = []
    for path in (held.key_path, held.secret_path):
        with suppress(BadKeys):
            problems.append(open_to_others(path))
    for use in (held.context, held.token_secret):
        try:
            use()
        except BadKeys as problem:
            problems.append(str(problem))
    return list(dict.fromkeys(filter(None, problems)))
