"""``chatsvc completion``: scripts by which shells complete commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

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
