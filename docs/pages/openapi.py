"""What the REST door offers, as it describes itself."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from mecris.books import Books
from mecris.servers.rest.app import application


def text() -> str:
    """What the REST door offers, as it describes itself."""
    with TemporaryDirectory() as folder, Books.open(Path(folder) / "books.db") as books:
        described = application(books).openapi()
    return json.dumps(described, indent=2, ensure_ascii=False) + "\n"
