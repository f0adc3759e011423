"""The contenders of plain-text accounting: hledger and beancount, each on a file of as many transactions."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path

from .data import CYCLES, METERS

LOAD = "import sys; from beancount import loader; sys.exit(len(loader.load_file(sys.argv[1])[1]))"


def hledger(folder: Path, transactions: int) -> Callable[[], None] | None:
    """`hledger balance` as a whole process; None if it is not installed."""
    program = shutil.which("hledger")
    if program is None:
        return None
    journal = folder / "ledger.journal"
    _write(
        journal, (f"{day} {name}\n    {a}  ${amount}\n    {b}\n\n" for day, name, a, b, amount in _spend(transactions))
    )
    return lambda: _run([program, "-f", str(journal), "balance"])


def beancount(folder: Path, transactions: int) -> Callable[[], None] | None:
    """Loading a file with beancount as a whole process; None if it is not installed."""
    command = _beancount()
    if command is None:
        return None
    ledger = folder / "ledger.beancount"
    _write(ledger, _beans(transactions))
    return lambda: _run([*command, str(ledger)])


def _beancount() -> list[str] | None:
    python, checker = os.environ.get("BEANCOUNT_PYTHON"), shutil.which("bean-check")
    if python:
        return [python, "-c", LOAD]
    return [checker, "--no-cache"] if checker else None


def _beans(transactions: int) -> Iterator[str]:
    accounts = {account for *_, a, b, _ in _spend(CYCLES * len(METERS)) for account in (a, b)}
    yield from (f"2024-12-31 open {_bean(account)}\n" for account in sorted(accounts))
    for day, name, a, b, amount in _spend(transactions):
        yield f'{day} * "{name}"\n  {_bean(a)}  {amount} USD\n  {_bean(b)}\n\n'


def _bean(account: str) -> str:
    return account.title().replace(" ", "-")


def _spend(transactions: int) -> Iterator[tuple[date, str, str, str, str]]:
    """What each call cost, booked from a team's budget to a provider's expenses, over one year."""
    first = date(2025, 1, 1)
    for number in range(transactions):
        turn, team = divmod(number, CYCLES)
        name, provider, rate = METERS[turn % 3]
        day = first + timedelta(days=number * 365 // transactions)
        yield day, name, f"expenses:{provider}:team {team}", f"assets:budget:team {team}", f"{rate}"


def _write(path: Path, lines: Iterator[str]) -> None:
    with path.open("w") as opened:
        opened.writelines(lines)


def _run(command: list[str]) -> None:
    environment = os.environ | {"BEANCOUNT_DISABLE_LOAD_CACHE": "1"}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
