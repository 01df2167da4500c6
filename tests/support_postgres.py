"""A real PostgreSQL for tests and benchmarks: a server in a temporary folder, and PgBouncer before it.

A server is one process's own, begun when it is first needed (`initdb` takes less than a second), and
goes with that process, however that ends. It does not run as root: there it is the user `postgres`.
"""

import contextlib
import functools
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import psutil

OWNER = "hub"
"""Whom a fresh database belongs to: no superuser, but one who may make roles. Has no password."""
MISSING = "PostgreSQL's server is missing: apt-get install postgresql"
_DEADLINE = 120.0

_QUICK = {"fsync": "off", "full_page_writes": "off", "max_wal_size": "64MB"}
"""Nothing is lost with these when processes are killed, for what was written is then the kernel's."""
_SETTINGS = {
    "listen_addresses": "127.0.0.1", "max_connections": "300", "shared_buffers": "64MB",
    # /dev/shm is small in many a container
    "dynamic_shared_memory_type": "mmap",
    "timezone": "UTC", "lc_messages": "C", "autovacuum": "off", "jit": "off",
}  # fmt: skip
# Who has a password is asked for it.
_ACCESS = """\
local all all trust
host all +passworded 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
"""
# It holds nothing but the end of a pipe. Whoever asked for the server has the other one: when that is
# closed, by `close` or because the process is gone, server and folder go. A server that was killed
# leaves its number in `postmaster.pid`, which may be another process's now.
_WATCHDOG = """
cat >/dev/null
runs() {
    [ -n "$1" ] || return 1
    { tr '\\0' ' ' <"/proc/$1/cmdline" || ps -o args= -p "$1"; } 2>/dev/null | grep -qF -- "$2"
}
server=$(head -n 1 "$0/data/postmaster.pid" 2>/dev/null)
ours="-D $0/data "
if runs "$server" "$ours"; then
    kill -QUIT "$server"
    kill -CONT "$server" # `kill` below stops it first
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do runs "$server" "$ours" || break; sleep 1; done
    ! runs "$server" "$ours" || kill -KILL "$server"
fi
# Killed, it leaves a segment of shared memory: its number is the second word of the seventh line.
if [ -e "$0/data/postmaster.pid" ]; then
    segment=$(sed -n 7p "$0/data/postmaster.pid")
    ipcrm -m "${segment##* }" 2>/dev/null
fi
bouncer=$(cat "$0/pgbouncer.pid" 2>/dev/null)
! runs "$bouncer" "$0/pgbouncer.ini" || kill -TERM "$bouncer"
rm -rf "$0"
"""


def program(name: str) -> str | None:
    """Return the path of one of PostgreSQL's programs, of the newest version there is; None: none."""
    places = sorted(
        Path("/usr/lib/postgresql").glob(f"*/bin/{name}"),
        key=lambda path: int(path.parts[-3]) if path.parts[-3].isdigit() else 0,
    )
    return str(places[-1]) if places else shutil.which(name)


def why_not() -> str | None:
    """Return why no server can be had here; None where it can."""
    if program("initdb") is None or program("postgres") is None:
        return MISSING
    try:
        pwd.getpwuid(_user().get("user", os.geteuid()))
    except KeyError:
        return "PostgreSQL runs only as a user who is known to the system, and not as root"
    return None


def why_no_bouncer() -> str | None:
    """Return why no PgBouncer can be had here; None where it can."""
    return None if _bouncer() else "PgBouncer is missing: apt-get install pgbouncer"


def _bouncer() -> str | None:
    return shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")


@functools.cache
def _user() -> dict[str, Any]:
    """Return whom the server runs as, for `subprocess.Popen`: nothing where that is who one is."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            found = pwd.getpwnam(name)
            return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}
    raise KeyError("nobody")


def _own(path: Path) -> None:
    if user := _user():
        os.chown(path, user["user"], user["group"])


def _room(*, on_disk: bool) -> Path:
    """Make a folder that the server's user can get at: root's temporary folders often are root's alone.

    Sockets lie in it, so its path is short.
    """
    places = [tempfile.gettempdir(), "/tmp", "/var/tmp"]
    with contextlib.suppress(OSError):
        about = os.statvfs("/dev/shm")
        if not on_disk and about.f_bavail * about.f_frsize >= 1 << 30:
            places.insert(0, "/dev/shm")
    for place in places:
        with contextlib.suppress(OSError):
            made = Path(tempfile.mkdtemp(prefix="prodigy-postgres-", dir=place))
            _own(made)
            reached = ["sh", "-c", 'cd "$0" && : >within && rm within', str(made)]
            if subprocess.run(
                reached, **_user(), check=False, stderr=subprocess.DEVNULL
            ).returncode:
                made.rmdir()
                continue
            return made
    raise AssertionError(f"no folder that PostgreSQL's user can write: {places}")


def hold_port() -> tuple[socket.socket, int]:
    """Take a free port of 127.0.0.1 and keep it, also while nobody listens there.

    On Linux a socket that is bound and does not listen keeps others from being given the port, and
    still lets those listen who ask for it by number, if both have SO_REUSEADDR, as PostgreSQL has.
    """
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    port: int = held.getsockname()[1]
    if sys.platform != "linux":
        held.close()
    return held, port


class Server:
    """A PostgreSQL server. The superuser is `postgres`; nobody has a password but those of `role`."""

    def __init__(self, *, durable: bool = False) -> None:
        """Make and start it. ``durable``: on a disk, and each transaction synced, as users have it.

        Raises AssertionError with the server's own words.
        """
        missing = why_not()
        assert missing is None, missing
        self.folder = _room(on_disk=durable)
        self._ends, self._held = contextlib.ExitStack(), contextlib.ExitStack()
        self._watched()
        self.data, self.log = self.folder / "data", self.folder / "log"
        held, self.port = hold_port()
        self._held.enter_context(held)
        self._settings = _SETTINGS | ({} if durable else _QUICK)
        self._process: subprocess.Popen[bytes] | None = None
        self._run(
            "initdb", "-D", str(self.data), "-U", "postgres", "-A", "trust", "-E", "UTF8",
            "--locale=C", "--no-sync", *([] if durable else ["--wal-segsize=1"]),
        )  # fmt: skip
        (self.data / "pg_hba.conf").write_text(_ACCESS)
        self.start()
        self.sql("CREATE ROLE passworded NOLOGIN")
        self.sql(f"CREATE ROLE {OWNER} LOGIN CREATEROLE")
        found = self.sql("SELECT rolname FROM pg_roles WHERE rolname !~ '^pg_'")
        self._roles = found.splitlines()

    def _watched(self) -> None:
        reading, writing = os.pipe()
        self._watchdog = subprocess.Popen(
            ["sh", "-c", _WATCHDOG, str(self.folder)],
            stdin=reading, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/",
            start_new_session=True,  # Ctrl-C is for the tests, who then close this
        )  # fmt: skip
        os.close(reading)
        self._ends.callback(os.close, writing)

    def _settled(self) -> dict[str, Any]:
        environ = {"PATH": os.defpath, "LC_ALL": "C", "HOME": str(self.folder), "TZ": "UTC"}
        return {"cwd": self.folder, "env": environ, "stdin": subprocess.DEVNULL, **_user()}

    def _run(self, name: str, *arguments: str, **settings: Any) -> str:
        done = subprocess.run(
            [program(name) or name, *arguments],
            **(self._settled() | settings), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (name, arguments, done.stdout, done.stderr, self._last_words())
        return done.stdout

    def _last_words(self) -> str:
        return self.log.read_text()[-2000:] if self.log.exists() else ""

    def start(self) -> None:
        """Start it where it does not run, and wait until it takes connections."""
        if self._process is not None:
            return
        (self.data / "postgresql.auto.conf").write_text(
            "".join(f"{name} = '{value}'\n" for name, value in self._settings.items())
        )
        # What is left of a kill says "ready" too.
        status = self.data / "postmaster.pid"
        before = status.read_bytes() if status.exists() else None
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    program("postgres") or "", "-D", str(self.data), "-k", str(self.folder),
                    "-p", str(self.port),
                ],
                **self._settled(), stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        until = time.monotonic() + _DEADLINE
        while True:
            with contextlib.suppress(OSError):
                text = status.read_bytes()
                # It is empty for a moment.
                if text != before and text.split()[-1:] == [b"ready"]:
                    return
            assert self._process.poll() is None, self._last_words()
            assert time.monotonic() < until, self._last_words()
            time.sleep(0.01)

    def stop(self, mode: Literal["smart", "fast", "immediate"] = "fast") -> None:
        """Stop it, as `pg_ctl stop` does. `smart` waits for all clients to go."""
        if self._process is None:
            return
        how = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
        self._process.send_signal(how[mode])
        self._process.wait(_DEADLINE)
        self._process = None

    def kill(self) -> None:
        """Kill the server and each of its processes, as a crash would."""
        assert self._process is not None
        top = psutil.Process(self._process.pid)
        top.suspend()  # it would start others in the place of those that go
        processes = top.children(recursive=True)
        for one in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        self._process.kill()
        self._process.wait(_DEADLINE)
        psutil.wait_procs(processes, _DEADLINE)
        self._process = None

    def close(self) -> None:
        """End it for good, and remove its folder."""
        self.stop("immediate")
        self._ends.close()
        self._watchdog.wait(_DEADLINE)
        self._held.close()

    def __enter__(self) -> "Server":
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def backup(self) -> Path:
        """Copy all of it, as it is now, for `restore`; return it. A running one stops meanwhile."""
        copy = Path(tempfile.mkdtemp(prefix="backup-", dir=self.folder))
        self._moved(self.data, copy / "data")
        return copy

    def restore(self, copy: Path) -> None:
        """Put it back to what `backup` copied, as often as one likes. A running one stops meanwhile."""
        self._moved(copy / "data", self.data)

    def _moved(self, source: Path, target: Path) -> None:
        runs = self._process is not None
        self.stop()
        if target.exists():
            shutil.rmtree(target)
        shutil.copytree(source, target, symlinks=True, copy_function=_copy_owned)
        for root, _, _ in os.walk(target):
            _own(Path(root))
        _own(target.parent)
        if runs:
            self.start()

    def sql(self, *commands: str, database: str = "postgres") -> str:
        """Run SQL as the superuser, each command a transaction of its own; return the rows, as text.

        By psql, so that nothing of this needs what is tested. Fields are separated by `|`.
        """
        arguments = [word for command in commands for word in ("-c", command)]
        return self._run(*self._psql(database), *arguments).rstrip("\n")

    def _psql(self, database: str) -> list[str]:
        return [
            "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-h", str(self.folder), "-p", str(self.port),
            "-U", "postgres", "-d", database,
        ]  # fmt: skip

    def url(
        self,
        database: str,
        *,
        user: str = OWNER,
        password: str | None = None,
        port: int | None = None,
    ) -> str:
        """Return the address of a database; ``port`` is that of a proxy."""
        who = user if password is None else f"{user}:{quote(password, safe='')}"
        return f"postgresql://{who}@127.0.0.1:{port or self.port}/{database}"

    def database(self) -> str:
        """Make an empty database of `OWNER`; return its name."""
        name = f"hub_{secrets.token_hex(4)}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE template0 OWNER {OWNER}")
        return name

    def role(self, name: str, *, password: str | None = None, options: str = "") -> str:
        """Make a role that can log in; with a password, it has to give it. Return the name."""
        given = "" if password is None else "PASSWORD '{}'".format(password.replace("'", "''"))
        self.sql(f'CREATE ROLE "{name}" LOGIN {options} {given}')
        if password is not None:
            self.sql(f'GRANT passworded TO "{name}"')
        return name

    def clean(self) -> None:
        """Remove all databases and roles that were made since the start, whoever is connected."""
        made = "FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'"
        kept = ", ".join(f"'{name}'" for name in self._roles)
        # One psql for all of it: its start takes longer than what it asks for.
        script = f"""\
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname IN (SELECT datname {made});
SELECT format('DROP DATABASE %I', datname) {made} \\gexec
SELECT format('DROP ROLE %I', rolname) FROM pg_roles
    WHERE rolname !~ '^pg_' AND rolname NOT IN ({kept}) \\gexec
"""
        self._run(*self._psql("postgres"), stdin=None, input=script)

    @contextlib.contextmanager
    def bouncer(self, *, pool: int = 2) -> Iterator[int]:
        """Have a PgBouncer in transaction mode before it; give its port.

        With few connections to the server, so that two transactions of a client often have two of them.
        """
        found = _bouncer()
        assert found is not None, why_no_bouncer()
        held, port = hold_port()
        settings, users = self.folder / "pgbouncer.ini", self.folder / "users"
        roles = self.sql("SELECT rolname, coalesce(rolpassword, '') FROM pg_authid").splitlines()
        lines = [f'"{name}" "{password}"\n' for name, password in (row.split("|") for row in roles)]
        users.write_text("".join(lines))
        settings.write_text(
            f"[databases]\n* = host={self.folder} port={self.port}\n[pgbouncer]\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
            f"auth_type = trust\nauth_file = {users}\npool_mode = transaction\n"
            f"default_pool_size = {pool}\nmax_client_conn = 500\n"
            f"logfile = {self.folder}/pgbouncer.log\n"
            f"pidfile = {self.folder}/pgbouncer.pid\nserver_round_robin = 1\n"
        )
        _own(settings)
        _own(users)
        with held:
            process = subprocess.Popen(
                [found, "-q", str(settings)], **self._settled(), start_new_session=True,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            try:
                _answers(port, process, self.folder / "pgbouncer.log")
                yield port
            finally:
                process.send_signal(signal.SIGTERM)  # at once; SIGINT waits for transactions
                process.wait(_DEADLINE)


def _copy_owned(source: str, target: str) -> str:
    shutil.copy2(source, target)
    _own(Path(target))
    return target


def _answers(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + _DEADLINE
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 10):
            return
        words = log.read_text()[-2000:] if log.exists() else ""
        assert process.poll() is None, words
        assert time.monotonic() < until, words
        time.sleep(0.01)
