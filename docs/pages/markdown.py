"""What every page is made of: tables, fenced blocks, and a line that says where it comes from."""

GENERATED = "<!-- Made by `make docs` from the code: change the code, not this page. -->"


def page(*parts: str) -> str:
    return "\n\n".join([GENERATED, *parts]) + "\n"


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def fenced(kind: str, text: str) -> str:
    return f"```{kind}\n{text}\n```"
