"""`mecris completion`: what a shell needs to complete our commands."""

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion of a shell; put `eval "$(mecris completion bash)"` in its start-up file."""
    kind = get_completion_class(shell)
    assert kind is not None  # click knows the three
    from .main import mecris

    click.echo(kind(mecris, {}, "mecris", "_MECRIS_COMPLETE").source())
