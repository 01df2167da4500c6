"""The server, the wire and the hosts that tests of the hub stand on."""

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import psycopg
import pytest
from support_cli import session_file
from support_postgres import Server, hold_port
from support_proxy import Proxy


def test_each_test_has_an_empty_database_of_an_ordinary_owner(postgres, hub_url):
    with psycopg.connect(hub_url) as connection:
        who = connection.execute(
            "SELECT current_user, rolsuper FROM pg_roles WHERE rolname = current_user"
        )
        assert who.fetchone() == ("hub", False)
        tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        assert connection.execute(tables).fetchone() == (0,)
        connection.execute("CREATE TABLE numbers (number int)")
    assert postgres.url(postgres.database()) != hub_url


def test_what_a_test_made_is_gone_behind_it(postgres, hub_url):
    member = postgres.role("some-member", password="it's one")
    kept = psycopg.connect(hub_url)
    kept.execute(f'GRANT CONNECT ON DATABASE {urlsplit(hub_url).path[1:]} TO "{member}"')
    kept.commit()
    postgres.clean()
    assert postgres.sql("SELECT datname FROM pg_database WHERE NOT datistemplate") == "postgres"
    assert postgres.sql("SELECT count(*) FROM pg_roles WHERE rolname = 'some-member'") == "0"
    with pytest.raises(psycopg.OperationalError):
        kept.execute("SELECT 1")


def test_only_who_has_a_password_is_asked_for_it(postgres, hub_url):
    name = urlsplit(hub_url).path[1:]
    member = postgres.role("member", password="it's a/secret")
    with psycopg.connect(postgres.url(name, user=member, password="it's a/secret")):
        pass
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(postgres.url(name, user=member))


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_what_was_committed_is_there_after_the_server_went(postgres, hub_url, end):
    with psycopg.connect(hub_url) as connection:
        connection.execute("CREATE TABLE numbers AS SELECT generate_series(1, 1000) AS number")
    with psycopg.connect(hub_url) as open_one:
        open_one.execute("INSERT INTO numbers VALUES (1001)")
        if end == "kill":
            postgres.kill()
        else:
            postgres.stop("immediate")
        with pytest.raises(psycopg.OperationalError):
            open_one.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(hub_url)
    postgres.start()
    with psycopg.connect(hub_url) as connection:
        assert connection.execute("SELECT max(number) FROM numbers").fetchone() == (1000,)


def test_a_backup_can_be_restored_again_and_again(postgres, hub_url):
    def numbers():
        with psycopg.connect(hub_url, autocommit=True) as connection:
            found = connection.execute("SELECT number FROM numbers").fetchall()
            connection.execute("INSERT INTO numbers VALUES (2)")
        return [number for (number,) in found]

    with psycopg.connect(hub_url) as connection:
        connection.execute("CREATE TABLE numbers AS SELECT 1 AS number")
    copy = postgres.backup()
    for _ in range(2):
        assert numbers() == [1]
        assert numbers() == [1, 2]
        postgres.restore(copy)


_HOLDER = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from support_cli import session_file
from support_postgres import Server
server = Server()
number = server._process.pid
if sys.argv[2] == "crashed":
    server.kill()
elif sys.argv[2] == "stopped":
    os.kill(number, signal.SIGSTOP)
print(server.folder, number, flush=True)
os.read(0, 1)
"""


@pytest.mark.parametrize("server", ["running", "crashed", "stopped"])
def test_a_server_goes_with_the_process_that_had_it(postgres, server):
    command = [sys.executable, "-c", _HOLDER, str(Path(__file__).parent), server]
    holder = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ}
    )
    assert holder.stdout is not None
    folder, number = holder.stdout.readline().split()
    assert os.path.isdir(folder)
    holder.kill()
    holder.communicate()
    until = time.monotonic() + 60
    while os.path.exists(folder) or psutil.pid_exists(int(number)):
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_held_port_is_nobody_elses_and_can_be_listened_on():
    held, port = hold_port()
    with held, socket.socket() as other:
        assert all(hold_port()[1] != port for _ in range(50))
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", port))
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        socket.create_connection(("127.0.0.1", port)).close()


def test_by_pgbouncer_two_transactions_may_be_of_two_sessions(pgbouncer):
    with (
        psycopg.connect(pgbouncer, prepare_threshold=None) as one,
        psycopg.connect(pgbouncer, prepare_threshold=None) as other,
    ):
        used = set()
        for number in range(4):
            used.add(one.execute("SELECT pg_backend_pid()").fetchone())
            other.execute("SELECT 1")
            for done in (one, other) if number % 2 else (other, one):
                done.commit()
    assert len(used) == 2


class Echo:
    """A server that sends back what it gets, and says how each connection ended."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.ended = []
        self.over = threading.Condition()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                one = self.socket.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._answer, args=[one], daemon=True).start()

    def _answer(self, one):
        how = "closed"
        try:
            while text := one.recv(1 << 16):
                one.sendall(text)
        except OSError:
            how = "reset"
        one.close()
        with self.over:
            self.ended.append(how)
            self.over.notify_all()

    def wait_for_end(self):
        with self.over:
            assert self.over.wait_for(lambda: self.ended, 60)
            return self.ended[0]


@pytest.fixture
def echo():
    server = Echo()
    yield server
    server.socket.close()


@pytest.fixture
def wire(echo):
    with Proxy(echo.port) as proxy:
        yield proxy


def to(wire):
    one = socket.create_connection(("127.0.0.1", wire.port), 60)
    one.settimeout(60)
    return one


def received(one, size):
    text = b""
    while len(text) < size:
        part = one.recv(size - len(text))
        assert part, text
        text += part
    return text


def test_a_wire_passes_all_on_and_the_end_too(wire, echo):
    text = os.urandom(3 << 20)
    with to(wire) as one:
        sender = threading.Thread(target=one.sendall, args=[text])
        sender.start()
        assert received(one, len(text)) == text
        sender.join()
        one.shutdown(socket.SHUT_WR)
        assert one.recv(1) == b""
    assert echo.wait_for_end() == "closed"
    assert wire.passed == 2 * len(text)


def test_a_stalled_wire_holds_all_and_loses_nothing(wire, echo):
    with to(wire) as one:
        one.sendall(b"before")
        assert received(one, 6) == b"before"
        wire.stall()
        one.sendall(b"held")
        with to(wire) as new:
            new.sendall(b"new")
            for silent in (one, new):
                silent.settimeout(0.1)
                with pytest.raises(TimeoutError):
                    silent.recv(1)
                silent.settimeout(60)
            wire.pass_on()
            assert received(one, 4) == b"held"
            assert received(new, 3) == b"new"


def test_over_a_mute_wire_questions_go_and_no_answers_come(wire, echo):
    with to(wire) as one:
        wire.mute()
        passed = wire.passed
        one.sendall(b"asked")
        one.settimeout(0.1)
        with pytest.raises(TimeoutError):
            one.recv(1)
        one.settimeout(60)
        assert wire.passed == passed + 5
        wire.pass_on()
        assert received(one, 5) == b"asked"
    assert echo.wait_for_end() == "closed"


def test_behind_a_stalled_wire_nobody_hears_that_the_other_one_went(wire, echo):
    with to(wire) as one:
        one.sendall(b"before")
        assert received(one, 6) == b"before"
        wire.stall()
    with echo.over:
        assert not echo.over.wait_for(lambda: echo.ended, 0.1)
    wire.pass_on()
    assert echo.wait_for_end() == "closed"


def test_a_dropped_wire_resets_what_is_open_and_refuses_what_is_new(wire, echo):
    with to(wire) as one:
        one.sendall(b"before")
        assert received(one, 6) == b"before"
        wire.drop()
        with pytest.raises(ConnectionResetError):
            one.recv(1)
        assert echo.wait_for_end() == "reset"
        with pytest.raises(ConnectionRefusedError):
            to(wire)
        wire.pass_on()
        with to(wire) as again:
            again.sendall(b"again")
            assert received(again, 5) == b"again"


def test_a_wire_is_cut_after_so_many_bytes(wire, echo):
    wire.cut_after(10)
    with to(wire) as one:
        one.sendall(b"0123456789abc")
        assert wire.cut.wait(60)
        with pytest.raises(ConnectionResetError):
            one.recv(1)
    assert wire.passed == 10


def test_a_slow_wire_keeps_the_order(wire, echo):
    wire.delay(0.05)
    with to(wire) as one:
        begin = time.monotonic()
        for number in range(5):
            one.sendall(b"%d" % number)
        assert received(one, 5) == b"01234"
        assert time.monotonic() - begin >= 0.1  # there and back: the one thing that must take time


def test_a_client_of_the_server_waits_behind_a_stalled_wire(postgres, hub_url):
    with (
        Proxy(postgres.port) as wire,
        psycopg.connect(hub_url.replace(str(postgres.port), str(wire.port))) as connection,
    ):
        connection.execute("CREATE TABLE numbers (number int)")
        wire.stall()
        timer = threading.Timer(0.2, wire.pass_on)
        timer.start()
        connection.execute("INSERT INTO numbers VALUES (1)")
        timer.join()
        wire.drop()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")


def test_hosts_have_names_stores_and_clones_of_their_own(new_host, repo):
    one, other = new_host("one"), new_host("two")
    for host in (one, other):
        host.ok("install")
        assert host.sh("uname -n").out == f"{host.name}\n"
        host.ok("new-worktree", "session")
        assert session_file(host.store, "session")["metadata"]["host"] == host.name
        assert host.git("remote", "get-url", "origin") == str(repo)
    assert os.uname().nodename not in ("one", "two")


def test_a_process_that_is_not_forked_is_on_its_host_too(new_host):
    host = new_host("one")
    # An interpreter is started where the locale is another one.
    host.ok("install", LC_ALL="C")
    host.ok("new-worktree", "session", LC_ALL="C")
    assert session_file(host.store, "session")["metadata"]["host"] == "one"


def test_a_durable_server_syncs_and_lies_on_a_disk(postgres):
    with Server(durable=True) as server:
        assert server.sql("SHOW fsync") == "on"
        assert not str(server.folder).startswith("/dev/shm")
    assert not server.folder.exists()
