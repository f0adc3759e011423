"""Names and reasons that people write."""

from .errors import RuleRefused

LONGEST_NAME, LONGEST_TEXT = 200, 2000


def reason_of(value: str, what: str) -> str:
    """A text that says why; it may not be empty."""
    text = writable(value, what).strip()
    if "\0" in text:
        raise RuleRefused(f"{what} has a NUL character, which is no text: take it out", code="not-text")
    if not text:
        raise RuleRefused(
            f"{what} is empty: say in a few words why, so that others can follow the books", code="no-reason"
        )
    if len(text) > LONGEST_TEXT:
        raise RuleRefused(
            f"{what} has {len(text)} characters, at most {LONGEST_TEXT} are kept: put the rest elsewhere and name it",
            code="too-long",
        )
    return text


def name_of(value: str, what: str) -> str:
    """A name on one line; it may be empty."""
    name = value.strip()
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise RuleRefused(
            f"{what} {value[:50]!r} cannot be used: at most {LONGEST_NAME} printable characters", code="name"
        )
    return name


def writable(text: str, what: str) -> str:
    """A text that can be written as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RuleRefused(f"{what} is not valid Unicode text: save it as UTF-8", code="not-utf-8") from None
    return text
