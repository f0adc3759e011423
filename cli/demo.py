"""`mecris demo`: the founding story, played on a scratch file with the real commands."""

import shlex
import sys
from pathlib import Path
from subprocess import run
from tempfile import TemporaryDirectory

import click

STORY = (
    (
        "A person paid 24.96 for Claude and gives it a cycle.",
        "budget cycle create --start 2025-08-06 --end 2025-09-30 --target 24.96",
    ),
    (
        "The automatic tracking saw 0.11 of what was spent.",
        "budget add-source --cycle 1 --name 'session log' --type realtime --provider claude --amount 0.11 --measured-at 2025-09-10T09:00:00Z",
    ),
    (
        "The console says that 19.54 are left. That does not agree at all.",
        "budget add-source --cycle 1 --name console --type manual --provider claude --remaining 19.54 --measured-at 2025-09-10T09:05:00Z",
    ),
    ("How far apart, and what may it mean?", "budget discrepancies --cycle 1"),
    (
        "The rest was real usage outside the organization's workspace. A plug says so, and why.",
        "budget plug --cycle 1 --square --reason 'usage outside the organization workspace' --yes",
    ),
    (
        "Now the books tie out: tracked + plugs = spend. A meter still saw only 2 % of it, and that stays visible.",
        "budget status --cycle 1",
    ),
    (
        "What did we know before the plug? Position 5 is the last event in front of it.",
        "budget status --cycle 1 --as-of 5",
    ),
    ("Can all of this be derived from the log alone?", "audit replay"),
    (
        "Other notes start from 25.00 paid. Entering the 0.04 shows a rest instead of hiding it.",
        "budget cycle adjust --cycle 1 --amount 0.04 --at 2025-08-06 --reason '25.00 were paid'",
    ),
    ("So 0.04 are unexplained (0.73 %), and 19.54 are left as ever.", "budget status --cycle 1"),
)


@click.command()
def demo() -> None:
    """Play the founding story on a scratch file; each command is real, and so is its output."""
    with TemporaryDirectory(prefix="mecris-demo-") as scratch:
        books = Path(scratch) / "books.db"
        for told, command in STORY:
            click.echo(f"\n{click.style('# ' + told, dim=True)}")
            click.echo(click.style(f"$ mecris {command}", bold=True))
            sys.stdout.flush()
            done = run([sys.executable, "-m", "mecris.cli", "--books", str(books), *shlex.split(command)], check=False)
            if done.returncode:
                raise click.ClickException(f"this command of the story ended with {done.returncode}")
