"""The ``chatsvc`` command: everything that is done from a shell."""

from __future__ import annotations

import os

import click

from chatsvc import talk
from chatsvc.admin.accounts import account
from chatsvc.admin.check import check
from chatsvc.admin.completion import completion
from chatsvc.admin.importing import import_accounts
from chatsvc.admin.inboxes import inbox
from chatsvc.admin.keys import keys
from chatsvc.admin.schema import schema


@click.group()
@click.option(
    "--accounts",
    "url",
    metavar="URL",
    envvar="CHATSVC_ACCOUNTS",
    default="sqlite:chat.db",
    show_default=True,
    show_envvar=True,
    help="Where the accounts are.",
)
@click.version_option(package_name="chatsvc")
@click.pass_context
def main(context: click.Context, url: str) -> None:
    """Administer a chatsvc chat service, or talk to one."""
    os.umask(0o077)  # a new SQLite file is going to hold password hashes and messages
    context.obj = url


account.add_command(import_accounts)
for command in (
    account,
    inbox,
    schema,
    keys,
    check,
    completion,
    talk.client,
    talk.send,
    talk.listen,
):
    main.add_command(command)
