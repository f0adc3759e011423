"""What the pages show is what happens: commands and programs are run, reference pages are fresh, help is there."""

import io
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import NamedTuple

import click
import pytest
from postgres import Postgres

from mecris.cli.main import mecris, run

pytestmark = pytest.mark.sqlite

ROOT = Path(__file__).parent.parent
README, AGENTS, GUIDE = ROOT / "README.md", ROOT / "AGENTS.md", ROOT / "docs" / "guide.md"
IMPORTS, OPERATIONS = ROOT / "docs" / "imports.md", ROOT / "docs" / "operations.md"
LEDGER, SERVERS, CONTRIBUTING = ROOT / "docs" / "ledger.md", ROOT / "docs" / "servers.md", ROOT / "CONTRIBUTING.md"
PAGES = [README, AGENTS, *sorted((ROOT / "docs").glob("*.md"))]
AT_LEAST = {README: 8, AGENTS: 16, GUIDE: 80, LEDGER: 45, SERVERS: 15, IMPORTS: 15, OPERATIONS: 25}
"""How much must be run of these pages, so that the test cannot pass by finding nothing."""
TELLS_EXIT = '|| echo "exit $?"'

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")


class Shown(NamedTuple):
    """Something a page shows: the line it is on, what is run, and what that is said to print (None: not said)."""

    line: int
    run: list[str]
    prints: str | None


def shown_on(page: Path) -> list[Shown]:
    """Everything a page shows that can be run, in order."""
    text = page.read_text("utf-8")
    blocks = [(text.count("\n", 0, f.start()) + 2, f[1], f[2]) for f in FENCE.finditer(text)]
    shown: list[Shown] = []
    for place, (line, kind, body) in enumerate(blocks):
        if kind == "console":
            shown.extend(commands(line, body))
        elif kind == "python":
            _, following, output = blocks[place + 1] if place + 1 < len(blocks) else (0, "", "")
            shown.append(Shown(line, [sys.executable, "-c", body], output if following == "text" else None))
    return shown


def commands(line: int, block: str) -> Iterator[Shown]:
    """The commands of a console block: lines after `$`, continued by a backslash, each with its output."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        found = re.fullmatch(r"((?:[^\n]*\\\n)*[^\n]*\n)(.*)", part, re.DOTALL)
        assert found, part
        yield Shown(line, ["sh", "-c", found[1]], found[2])
        line += part.count("\n")


def free_port() -> str:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


STANDS_FOR = {"8787": free_port(), "8788": free_port()}
"""What stands in for the ports that a page names: whoever runs the tests may have a server there."""


def done(shown: Shown, stands_for: dict[str, str]) -> str:
    """Run it here and now, on ports and servers of our own; what it printed, both streams as they come."""
    run = shown.run
    for named, ours in stands_for.items():
        run = [word.replace(named, ours) for word in run]
    printed = _done(shown._replace(run=run))
    for named, ours in stands_for.items():
        printed = printed.replace(ours, named)
    return printed


@pytest.fixture
def stands_for(page: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Ports of our own, and for the page about PostgreSQL a server of our own and its programs."""
    if page != OPERATIONS:
        yield STANDS_FOR
        return
    with Postgres.start() as server:
        monkeypatch.setenv("PATH", f"{server.programs}{os.pathsep}{os.environ['PATH']}")
        yield {**STANDS_FOR, "@db1/": f"@127.0.0.1:{server.port}/"}


def _done(shown: Shown) -> str:
    if (words := plain_words(shown.run)) is not None:
        return called(words, shown.run[-1].rstrip().endswith(TELLS_EXIT))
    ran = subprocess.run(shown.run, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, encoding="utf-8")
    assert ran.returncode == 0, f"exit {ran.returncode}: {ran.stdout}"
    return ran.stdout


def plain_words(command: list[str]) -> list[str] | None:
    """The words of a `mecris` command that needs no shell, beyond telling its exit code."""
    text = command[-1].replace("\\\n", " ").strip().removesuffix(TELLS_EXIT)
    unquoted = re.sub(r"'[^']*'", "", text)
    needs_shell = command[0] != "sh" or not text.startswith("mecris ") or re.search(r"[|&;<>$`]", unquoted)
    return None if needs_shell else shlex.split(text)[1:]


def called(words: list[str], tells_exit: bool) -> str:
    """What a command prints, called in this process: starting a hundred would take a minute."""
    printed = io.StringIO()
    with redirect_stdout(printed), redirect_stderr(printed):
        code = run(words)
    assert tells_exit or code == 0, f"exit {code}: {printed.getvalue()}"
    return printed.getvalue() + (f"exit {code}\n" if code else "")


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty folder to be in, with books of its own; neither settings nor the user's name come from outside."""
    monkeypatch.chdir(tmp_path)
    for setting in [name for name in os.environ if name.startswith("MECRIS_")]:
        monkeypatch.delenv(setting)
    monkeypatch.setenv("LOGNAME", "anna")  # a column is as wide as the name in it
    monkeypatch.setenv("MECRIS_BOOKS", "./books.db")
    monkeypatch.setenv("PYTHONIOENCODING", "utf-8")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if shutil.which("curl") is None:
        put_curl_into(tmp_path / "bin", monkeypatch)
    yield
    if (server := tmp_path / "serve.pid").exists():  # one that the page started, if the page did not come to its end
        with suppress(ProcessLookupError):
            for process in server.read_text().split():
                os.kill(int(process), signal.SIGKILL)


def put_curl_into(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put what stands for curl before everything else that is found."""
    folder.mkdir()
    script = folder / "curl"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{Path(__file__).parent / "curl.py"}" "$@"\n', "utf-8")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def agrees(real: str, told: str) -> bool:
    """Is this what the page says? `...` stands for anything within a line."""
    pattern = ".*".join(re.escape(part) for part in told.split("..."))
    return re.fullmatch(pattern, real) is not None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
@pytest.mark.usefixtures("scratch")
def test_what_a_page_shows_is_what_happens(page: Path, stands_for: dict[str, str]) -> None:
    shown = shown_on(page)
    assert len(shown) >= AT_LEAST.get(page, 0)
    require_all_happens(page, shown, stands_for)


@pytest.mark.parametrize("page", [SERVERS], ids=lambda page: page.stem)
@pytest.mark.usefixtures("scratch")
def test_a_page_that_asks_with_curl_is_run_where_there_is_none_too(
    page: Path, stands_for: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_curl_into(tmp_path / "bin", monkeypatch)
    require_all_happens(page, shown_on(page), stands_for)


def require_all_happens(page: Path, shown: list[Shown], stands_for: dict[str, str]) -> None:
    for one in shown:
        real = done(one, stands_for)
        where = f"{page.name}:{one.line}"
        if one.prints is not None and not agrees(real, one.prints):
            pytest.fail(f"{where}: {one.run[-1]}\nprints\n{real}\nand the page says\n{one.prints}")


def test_a_wrong_output_would_be_noticed() -> None:
    assert agrees("head 12:ab34\n", "head 12:...\n")
    assert not agrees("head 12:ab34\n", "head 13:...\n")
    assert not agrees("one\ntwo\n", "one...\n")
    assert [(s.run[-1], s.prints) for s in commands(1, "$ a \\\n  b\nx\n$ c\n")] == [
        ("a \\\n  b\n", "x\n"),
        ("c\n", ""),
    ]


@pytest.mark.parametrize("page", [README, AGENTS, CONTRIBUTING], ids=lambda page: page.stem)
def test_what_is_to_be_made_can_be_made(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = set(re.findall(r"^make (\w+)|`make (\w+)`", page.read_text("utf-8"), re.MULTILINE))
    wanted = {one or other for one, other in named}
    assert {"demo", "test"} <= wanted <= targets


@pytest.mark.parametrize("page", [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")], ids=lambda page: page.stem)
def test_every_link_leads_somewhere(page: Path) -> None:
    links = LINK.findall(page.read_text("utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_reference_pages_are_fresh() -> None:
    from docs.generate import pages

    made = pages()
    assert len(made) == 4
    for path, text in made.items():
        assert (ROOT / path).read_text("utf-8") == text, f"{path} is stale: run `make docs`"


def everything(command: click.Command, path: str = "mecris") -> Iterator[tuple[str, click.Command]]:
    """A command and all below it."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None, name
            yield from everything(below, f"{path} {name}")


def test_every_command_and_every_option_has_help() -> None:
    found = dict(everything(mecris))
    assert {"mecris budget status", "mecris budget cycle create", "mecris audit verify", "mecris demo"} <= set(found)
    silent = [path for path, command in found.items() if not command.help]
    silent += [
        f"{path} {option.opts[0]}"
        for path, command in found.items()
        for option in command.params
        if isinstance(option, click.Option) and not option.help
    ]
    assert silent == []
