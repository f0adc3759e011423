"""What stands for curl where there is none: the few words of it that the pages use. It is run, not imported."""

import sys
from argparse import ArgumentParser
from pathlib import Path
from shlex import split

import httpx


def main() -> int:
    """Ask, and print the answer; 7 if nobody answers, as curl has it."""
    parser = ArgumentParser(prog="curl")
    parser.add_argument("url")
    parser.add_argument("-s", action="store_true", help="silent, which this is anyway")
    parser.add_argument("-i", action="store_true", help="print the status and the headers too")
    parser.add_argument("-K", help="a file of settings, or - for the standard input")
    parser.add_argument("-H", action="append", default=[], help="a header")
    parser.add_argument("-d", help="a body to post")
    said = parser.parse_args()
    headers = {"Content-Type": "application/x-www-form-urlencoded"} if said.d is not None else {}
    for line in [*_settings(said.K), *said.H]:
        name, _, value = line.partition(":")
        headers[name] = value.strip()
    try:
        answer = httpx.request("GET" if said.d is None else "POST", said.url, headers=headers, content=said.d)
    except httpx.TransportError:
        return 7
    if said.i:
        told = [
            f"HTTP/1.1 {answer.status_code} {answer.reason_phrase}",
            *(f"{n}: {v}" for n, v in answer.headers.items()),
        ]
        sys.stdout.write("".join(f"{line}\r\n" for line in [*told, ""]))
    sys.stdout.write(answer.text)
    return 0


def _settings(named: str | None) -> list[str]:
    """The headers in a file of settings: `header = "..."`, one a line."""
    if named is None:
        return []
    text = sys.stdin.read() if named == "-" else Path(named).read_text("utf-8")
    return [split(line.partition("=")[2])[0] for line in text.splitlines() if line.startswith("header")]


if __name__ == "__main__":
    sys.exit(main())
