"""``chatsvc keys``: certificate, private key and token secret."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

import click

from chatsvc.cli.options import json_option, keys_option
from chatsvc.cli.output import print_json
from chatsvc.cli.runner import one_line
from chatsvc.tap.standard_streams import done, require_output
from chatsvc.tls.certificates import CertificateFacts, facts, request
from chatsvc.tls.host_names import covers, general_name, general_names
from chatsvc.tls.key_files import BadKeys, certificates, open_to_others, read
from chatsvc.tls.key_folder import KeyFolder

names_option = click.option(
    "--name",
    "names",
    metavar="HOST",
    multiple=True,
    help="A name, perhaps an international one, or address by which clients call the server (may be repeated; default:"
    " this host's name).",
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
    asked = _judged(names)
    require_output()
    with one_line(BadKeys):
        _require_named(folder, asked)
        made = KeyFolder(folder).ensure(names or [socket.gethostname()])
        _require_named(folder, asked)  # another process may have been quicker
    with done("`chatsvc keys show` shows what is there now"):
        for line in made or ["nothing is missing"]:
            click.echo(line)


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
    names = names or [socket.gethostname()]
    _judged(names)
    held = KeyFolder(folder)
    if out is None:
        require_output()
        click.echo(_request(held, names), nl=False)
    else:
        if os.path.dirname(os.path.abspath(out)) == os.path.abspath(folder):
            with one_line(BadKeys):
                _say(held.ensure_folder())
        with _new_file(out) as file:
            file.write(_request(held, names))


def _judged(names: Sequence[str]) -> list[str]:
    """
    Give the forms of names in certificates.

    :raise click.exceptions.Exit: when some are wrong; a line for each has been printed.
    """
    wrong = [name for name in names if general_name(name) is None]
    for name in wrong:
        click.echo(f"Error: {name!r} is no name of a host and no address", err=True)
    if wrong:
        raise click.exceptions.Exit(1)
    return [str(name.value) for name in general_names(names)]


def _require_named(folder: str, names: Sequence[str]) -> None:
    """
    Refuse a certificate that is there and is not for all of these names.

    :raise click.ClickException: when it is not.
    :raise BadKeys: when it cannot be read.
    """
    path = KeyFolder(folder).certificate_path
    if not os.path.lexists(path):
        return
    (first, *_) = facts(_certificate(folder))
    unnamed = [name for name in names if not covers(first.names, name)]
    if unnamed:
        raise click.ClickException(
            f"{path} was made before and is not for {', '.join(unnamed)}: ask for another one with"
            " `chatsvc keys request`, or remove it and its key to have both made anew"
        )


def _request(held: KeyFolder, names: Sequence[str]) -> bytes:
    """
    Make a request, and what is missing for it.

    :raise click.ClickException: something cannot be made or used.
    """
    with one_line(BadKeys):
        if os.path.lexists(held.key_path):
            request(held.private_key(), names)  # not every key can, and nothing has been made yet
        _say(held.ensure(names))
        return request(held.private_key(), names)


def _say(made: Sequence[str]) -> None:
    """Print what was made on standard error, beside a request on standard output."""
    for line in made:
        click.echo(line, err=True)


@contextmanager
def _new_file(path: str) -> Iterator[BinaryIO]:
    """
    Open a file that is not there yet; it is not there afterwards if anything goes wrong.

    :raise click.ClickException: when it cannot be made or written.
    """
    try:
        with open(path, "xb") as file:
            try:
                yield file
                file.flush()
            except BaseException:
                os.unlink(path)
                raise
    except OSError as problem:
        raise click.ClickException(f"{path}: {problem.strerror}") from None


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
