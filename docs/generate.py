"""Generate the reference pages from the code: `python -m docs.generate`."""

from pathlib import Path

from .pages import cli, events, openapi, orders

ROOT = Path(__file__).parent.parent
FOLDER = Path("docs/reference")


def pages() -> dict[Path, str]:
    """Every generated page and what it says; the same at every run."""
    return {
        FOLDER / "cli.md": cli.text(),
        FOLDER / "orders.md": orders.text(),
        FOLDER / "events.md": events.text(),
        FOLDER / "openapi.json": openapi.text(),
    }


if __name__ == "__main__":
    for place, text in pages().items():
        (ROOT / place).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / place).write_text(text, "utf-8")
        print(f"wrote {place}")
