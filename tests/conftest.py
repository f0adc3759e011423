"""What all tests share: how hard Hypothesis tries, and where their common parts lie."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent))  # `tests` is no package: laws and machine share `strategies`
from exports import books, put  # noqa: F401  # fixtures, where a module has none of its own by these names
from postgres import SCRATCH, Postgres  # it lies there too
from served import boss, client, reader, server  # noqa: F401
from team import granted, place, postgres  # noqa: F401

SERVER = pytest.StashKey[Postgres]()

_SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)
settings.register_profile(
    "ci", deadline=None, derandomize=True, max_examples=25, stateful_step_count=30, suppress_health_check=_SLOW
)
settings.register_profile(
    "thorough", deadline=None, max_examples=500, stateful_step_count=60, suppress_health_check=_SLOW, print_blob=True
)
settings.register_profile(
    "elsewhere", deadline=None, derandomize=True, max_examples=8, stateful_step_count=15, suppress_health_check=_SLOW
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where the books of the tests are."""
    parser.addoption("--store", choices=("sqlite", "postgresql"), default="sqlite", help="run the tests on these books")


def pytest_configure(config: pytest.Config) -> None:
    """Say what is marked; on PostgreSQL, start one server for all processes of this run."""
    config.addinivalue_line("markers", "sqlite: about files, and what SQLite makes of them")
    config.addinivalue_line(
        "markers", "own_store: these bring the store they are about, or need none, so they run once"
    )
    if config.getoption("--store") == "postgresql" and not hasattr(config, "workerinput"):
        config.stash[SERVER] = server = Postgres.start(SCRATCH)
        os.environ["MECRIS_TEST_POSTGRESQL"] = server.url
        here = str(Path(__file__).parent / "everywhere")
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))
    if os.environ.get("MECRIS_TEST_POSTGRESQL"):
        settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "elsewhere"))
        from everywhere.sitecustomize import redirect

        redirect()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the server that this run started."""
    if SERVER in config.stash:
        config.stash[SERVER].stop()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On PostgreSQL, leave out what is about files, and what brings a store of its own."""
    if config.getoption("--store") == "postgresql":
        left_out = [item for item in items if item.get_closest_marker("sqlite") or item.get_closest_marker("own_store")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]
