"""The one door through which files of the store and of git are opened: it never waits, never misses."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from prodigy_git import layout
from prodigy_git.record import files, locks, log, within

KINDS = (
    "a FIFO",
    "a socket",
    "a folder",
    "a character device",
    "link to itself",
    "link to a device",
)


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    signal.alarm(60)  # ends the test process: what waits for a FIFO's other end waits for ever
    yield
    signal.alarm(0)


def put(kind: str, path: Path) -> None:
    if kind == "a FIFO":
        os.mkfifo(path)
    elif kind == "a socket":
        held = os.getcwd()
        os.chdir(path.parent)  # a socket's path has room for 107 bytes
        try:
            with socket.socket(socket.AF_UNIX) as one:
                one.bind(path.name)
        finally:
            os.chdir(held)
    elif kind == "a folder":
        path.mkdir()
    elif kind == "a character device":
        try:
            os.mknod(path, 0o020600, os.makedev(1, 3))
        except PermissionError:
            pytest.skip("devices are root's to make")
    else:
        path.symlink_to(path if kind == "link to itself" else "/dev/zero")


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_is_named_and_not_waited_for(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "there"
    put(kind, path)
    before = path.lstat()
    for attempt in (
        lambda: files.read(str(path)),
        lambda: files.stream(str(path)),
        lambda: files.open_regular(str(path), os.O_RDWR | os.O_APPEND),
        lambda: files.open_regular(str(path), os.O_WRONLY),
        lambda: files.create(str(path), os.O_WRONLY | os.O_APPEND),
        lambda: locks.take(str(path), 0),
    ):
        with pytest.raises(OSError) as said:
            attempt()
        assert said.value.filename == str(path)
        assert isinstance(said.value, files.NotRegular)
        assert (said.value.strerror or "").startswith("is a")
    assert not locks.is_held(str(path))
    assert path.lstat() == before


def test_the_descriptor_is_the_files_and_no_childs(tmp_path: Path) -> None:
    path = tmp_path / "there"
    path.write_bytes(b"text")
    with files.stream(str(path)) as stream:
        assert stream.read() == b"text"
        assert not os.get_inheritable(stream.fileno())
    assert files.read(str(path)) == b"text"


@pytest.mark.parametrize("size", [0, 1, 4095, 65535, 65536, 65537, 200_000])
def test_a_file_is_read_whole(size: int, tmp_path: Path) -> None:
    path = tmp_path / "there"
    path.write_bytes(os.urandom(size))
    assert files.read(str(path)) == path.read_bytes()


@pytest.mark.parametrize("said", [0, 3, 10])
def test_a_file_is_read_whole_though_it_is_longer_or_shorter_than_was_said(
    said: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "there"
    path.write_bytes(b"12345")
    opened = files.opened

    def changed_since(*how: str) -> tuple[int, os.stat_result]:
        descriptor, about = opened(*how)
        return descriptor, os.stat_result((*about[:6], said, *about[7:10]))

    monkeypatch.setattr(files, "opened", changed_since)
    # Which of the two states it is depends on who comes first; but it is one of them.
    assert files.read(str(path)) == b"12345"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc")
def test_what_the_kernel_says_has_no_size(tmp_path: Path) -> None:
    assert files.read("/proc/self/status").startswith(b"Name:")
    assert files.read("/proc/sys/kernel/random/boot_id").count(b"-") == 4


@pytest.mark.parametrize("name", ["a\0b", "\ud83d"])
def test_a_name_that_no_file_can_have_is_one_that_is_missing(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        files.read(f"{tmp_path}/{name}")


def test_a_file_with_a_hole_is_not_read_into_memory(tmp_path: Path) -> None:
    path = tmp_path / "there"
    with path.open("wb") as stream:
        stream.truncate(10 << 30)
    with pytest.raises(files.TooLarge):
        files.read(str(path))


@pytest.mark.parametrize("kind", ["link", "second name"])
def test_a_replacement_is_not_written_through_what_lies_in_its_way(
    kind: str, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.write_text("not ours")
    (tmp_path / "store").mkdir()
    for name in (".document.new", "document"):
        if kind == "link":
            (tmp_path / "store" / name).symlink_to(outside)
        else:
            os.link(outside, tmp_path / "store" / name)
    files.replace(f"{tmp_path}/store/document", b"ours")
    assert outside.read_text() == "not ours"
    assert (tmp_path / "store" / "document").read_bytes() == b"ours"
    assert not (tmp_path / "store" / "document").is_symlink()


def _event(number: int) -> dict[str, str]:
    return {"id": log.event_id("nonce", str(number)), "type": "ClaudeMessage"}


@pytest.mark.parametrize("kind", [*KINDS, "link to a file", "a file with a hole"])
def test_events_go_beside_what_takes_the_place_of_the_log(kind: str, tmp_path: Path) -> None:
    store, outside = str(tmp_path / "store"), tmp_path / "outside"
    outside.write_text("not ours\n")
    name = Path(
        layout.job_log(store, "repo", "job"), log.append(store, "repo", "job", [_event(1)]).file
    )
    name.unlink()
    if kind == "link to a file":
        name.symlink_to(outside)
    elif kind == "a file with a hole":
        with name.open("wb") as stream:
            stream.truncate(10 << 30)
    else:
        put(kind, name)
    before = name.lstat()
    position = log.append(store, "repo", "job", [_event(2)])
    assert position.file != name.name
    again = log.append(store, "repo", "job", [_event(3)])
    assert (again.file, again.offset > position.offset) == (position.file, True)
    wanted = {_event(2)["id"], _event(3)["id"]}
    if kind != "a file with a hole":  # which takes as long to search as it is large
        assert log.find(str(name.parent), wanted, None) == wanted
    assert name.lstat() == before
    assert outside.read_text() == "not ours\n"


@pytest.mark.parametrize("level", ["job", "repository"])
def test_no_event_is_written_behind_a_link_in_the_store(level: str, tmp_path: Path) -> None:
    store, outside = str(tmp_path / "store"), tmp_path / "outside"
    outside.mkdir()
    folder = Path(layout.job_log(store, "repo", "job"))
    link = folder if level == "job" else folder.parent
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)
    with pytest.raises(within.Outside) as said:
        log.append(store, "repo", "job", [_event(1)])
    assert said.value.filename == str(link)
    assert not list(outside.iterdir())


@pytest.mark.parametrize("top", ["store", "events"])
def test_the_store_and_its_top_folders_may_be_links(top: str, tmp_path: Path) -> None:
    elsewhere = tmp_path / "a larger disk"
    elsewhere.mkdir()
    store = tmp_path / "store"
    if top == "events":
        store.mkdir()
    (store if top == "store" else store / top).symlink_to(elsewhere)
    log.append(str(store), "repo", "job", [_event(1)])
    assert len([path for path in elsewhere.rglob("events-*.jsonl") if path.is_file()]) == 1
