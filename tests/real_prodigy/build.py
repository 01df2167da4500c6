"""Builds Prodigy itself, and a reader that links its types, for tests/e2e/test_real_prodigy.py.

    python tests/real_prodigy/build.py

Both are kept in the user's cache, so that a fresh clone has them at once. Built from its registry with
cargo, once: some three minutes of two cores, half a gigabyte while it is built, 50 MB afterwards.
Where that cannot be, one line says why, and the tests that need them are skipped. Exits with 0 either
way: what a change here must pass is no program of others.
"""

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

VERSION = "0.4.4"
LIMIT = 300
"""Seconds that the build may take: a slow machine, or registry, must not keep the tests waiting."""
READER = Path(__file__).parent / "reader"


def place() -> Path:
    """Return the folder that the two programs are kept in; it need not exist."""
    cache = os.environ.get("XDG_CACHE_HOME", "")
    top = Path(cache) if os.path.isabs(cache) else Path.home() / ".cache"
    mark = hashlib.sha256()
    for path in sorted(READER.rglob("*.*")):
        mark.update(path.read_bytes())
    return top / "prodigy-git-tests" / f"prodigy-{VERSION}-{mark.hexdigest()[:12]}"


def programs() -> tuple[Path, Path] | None:
    """Return the paths of Prodigy and of the reader; None where they are not built."""
    found = place() / "prodigy", place() / "reader"
    return found if all(path.is_file() for path in found) else None


class _Failed(Exception):
    """Why it cannot be built."""


def _run(command: list[str], cwd: Path, until: float) -> None:
    environ = {
        **os.environ, "CARGO_INCREMENTAL": "0", "CARGO_PROFILE_DEV_DEBUG": "0",
        "CARGO_NET_RETRY": "1", "CARGO_HTTP_TIMEOUT": "20", "CARGO_TERM_COLOR": "never",
        "CARGO_TARGET_DIR": str(cwd / "target"),
    }  # fmt: skip
    log = cwd / "log"
    with log.open("wb") as out:
        # A group of its own: cargo's children would go on without it.
        child = subprocess.Popen(
            command, cwd=cwd, env=environ, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            process_group=0,
        )  # fmt: skip
        try:
            status = child.wait(max(1.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise _Failed(
                f"its build was not through after {LIMIT} seconds; the next one goes on from there"
            ) from None
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
    if status != 0:
        lines = log.read_text(errors="replace").split("\n")
        why = [line for line in lines if line.startswith("error")] or lines[-2:-1] or [""]
        raise _Failed(f"{' '.join(command[:2])}: {why[0]}")


def _build(work: Path) -> None:
    until = time.monotonic() + LIMIT
    cargo = shutil.which("cargo")
    if cargo is None:
        raise _Failed("there is no cargo")
    install = ["install", "prodigy", "--version", VERSION, "--locked", "--profile", "dev"]
    _run([cargo, *install, "--root", str(work)], work, until)
    # The reader takes the very versions that Prodigy was built with, so that nothing is built twice.
    home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
    locks = sorted(home.glob(f"registry/src/*/prodigy-{VERSION}/Cargo.lock"))
    if not locks:
        raise _Failed(f"the sources of Prodigy {VERSION} are not below {home}")
    shutil.copytree(READER, work / "reader", dirs_exist_ok=True)
    shutil.copy(locks[-1], work / "reader" / "Cargo.lock")
    _run([cargo, "build", "--manifest-path", str(work / "reader" / "Cargo.toml")], work, until)
    for made in (work / "bin" / "prodigy", work / "target" / "debug" / "reader"):
        os.replace(made, place() / made.name)


def main() -> None:
    """Build what is not there."""
    if programs() is not None:
        return
    folder = place()
    work = folder / "building"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # held by another make for LIMIT at most
            if programs() is None:
                print(f"make: building Prodigy {VERSION} for its tests, once, in {folder}")
                sys.stdout.flush()
                work.mkdir(exist_ok=True)
                _build(work)
                shutil.rmtree(work)
    except (_Failed, OSError) as error:
        print(f"make test: the tests with the real Prodigy are skipped: {error}")


if __name__ == "__main__":
    main()
