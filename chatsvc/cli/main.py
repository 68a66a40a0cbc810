"""The ``chatsvc`` command: everything that is done from a shell."""

from __future__ import annotations

import os
from typing import Any

import click
from click.shell_completion import get_completion_class

from chatsvc.cli import messages
from chatsvc.cli.account_import import import_accounts
from chatsvc.cli.accounts import account
from chatsvc.cli.check import check
from chatsvc.cli.inboxes import inbox
from chatsvc.cli.keys import keys
from chatsvc.cli.options import ACCOUNTS_HELP, as_of_server
from chatsvc.cli.rooms import room
from chatsvc.cli.schema import schema
from chatsvc.tap.server_options import ACCOUNTS
from chatsvc.tap.standard_streams import checked_streams


class _Chatsvc(click.Group):
    def main(self, *arguments: Any, **settings: Any) -> Any:
        with checked_streams():
            return super().main(*arguments, **settings)


@click.group(cls=_Chatsvc)
@as_of_server(ACCOUNTS, "url", "URL", ACCOUNTS_HELP)
@click.version_option(package_name="chatsvc")
@click.pass_context
def main(context: click.Context, url: str) -> None:
    """Administer a chatsvc chat service, or talk to one."""
    os.umask(0o077)  # a new SQLite file is going to hold password hashes and messages
    context.obj = url


_VARIABLE = "_CHATSVC_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """
    Print the script by which SHELL completes commands and options of chatsvc.

    \b
    For one session:    eval "$(chatsvc completion bash)"
    For all, in bash:   chatsvc completion bash > ~/.local/share/bash-completion/completions/chatsvc
    For all, in zsh:    chatsvc completion zsh > _chatsvc, in a folder of $fpath
    For all, in fish:   chatsvc completion fish > ~/.config/fish/completions/chatsvc.fish

    Without this command, _CHATSVC_COMPLETE=bash_source chatsvc prints the same (zsh_source, fish_source).
    """  # noqa: D301 (click asks for the character that \b stands for)
    script = get_completion_class(shell)
    assert script is not None
    click.echo(script(context.find_root().command, {}, "chatsvc", _VARIABLE).source(), nl=False)


account.add_command(import_accounts)
for command in (
    account,
    inbox,
    room,
    schema,
    keys,
    check,
    completion,
    messages.client,
    messages.send,
    messages.listen,
):
    main.add_command(command)
