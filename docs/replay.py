"""Run a page's commands in order, as a reader would, and compare or write what they print.

In a page, a block ``sh`` is run as it stands; of a block ``console`` each line that begins with
``$ `` is run, and the lines below it are what was printed, on a terminal of 100 columns. Where a page
has comments ``<!-- sh … -->``, these prepare what is shown, and blocks without output are only read.
`tests/docs/test_shown_output.py` runs the pages so. ``python docs/replay.py PAGE…`` writes a run into
pages, one after the other in one HOME that is made for them.
"""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
from dataclasses import dataclass
from pathlib import Path

COLUMNS = 100
_BLOCK = re.compile(
    r"^(?:```(?P<kind>sh|console)\n(?P<text>.*?)^```|<!-- sh\n(?P<hidden>.*?)^-->)$",
    re.MULTILINE | re.DOTALL,
)
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b\][^\x07]*\x07|\r")


@dataclass(frozen=True)
class Step:
    """A command, and what it prints; None where the page does not say."""

    command: str
    output: str | None


def steps(block: re.Match[str]) -> list[Step]:
    """Return the steps of a block of a page."""
    if block["kind"] != "console":
        return [Step(block["hidden"] or block["text"], None)]
    found = []
    for part in re.split(r"^\$ ", block["text"], flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        found.append(Step(command, output))
    return found


def blocks(page: str) -> list[re.Match[str]]:
    """Return the blocks of a page that are to be run."""
    found = list(_BLOCK.finditer(page))
    prepared = any(block["hidden"] for block in found)
    return [block for block in found if not prepared or block["hidden"] or shows(block)]


def shows(block: re.Match[str]) -> bool:
    """Whether a block has something that was printed."""
    return any(step.output for step in steps(block))


def world(home: Path) -> dict[str, str]:
    """Return an environment in which ``home`` is the HOME and nothing is known of who runs this."""
    (home / ".gitconfig").write_text(
        "[user]\n\tname = You\n\temail = you@example.org\n[init]\n\tdefaultBranch = main\n"
    )
    left_out = ("GIT_", "PRODIGY_", "XDG_", "COLUMNS", "LINES", "NO_COLOR")
    kept = {name: text for name, text in os.environ.items() if not name.startswith(left_out)}
    return {
        **kept,
        "HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}:{kept['PATH']}",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_PAGER": "cat",
        "LC_ALL": "C.UTF-8",
        "TERM": "xterm-256color",
        "TZ": "UTC",
    }


def run(command: str, place: Path, env: dict[str, str]) -> str:
    """Run a command on a terminal, in the folder that ``place`` names; return what it prints."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    script = f"""\
cd "$(cat "$0")" || exit
OLDPWD=$(cat "$0.old")
{command}
pwd >"$0"; echo "$OLDPWD" >"$0.old"
"""
    child = subprocess.Popen(
        ["bash", "-c", script, place],
        stdin=subprocess.DEVNULL,
        stdout=slave,
        stderr=slave,
        env=env,
    )
    os.close(slave)
    said = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:  # EIO: nobody has the terminal open any more
            break
        if not piece:
            break
        said += piece
    os.close(master)
    child.wait()
    return _ESCAPES.sub("", said.decode())


def begin(home: Path) -> Path:
    """Return the file that says in which folder the next command runs; in ``home``, at first."""
    place = home / ".place"
    place.write_text(f"{home}\n")
    place.with_name(".place.old").write_text(f"{home}\n")
    return place


def replay(page: str, place: Path, env: dict[str, str]) -> list[tuple[Step, str]]:
    """Run all of a page's steps; return each with what it printed."""
    return [
        (step, run(step.command, place, env)) for block in blocks(page) for step in steps(block)
    ]


def rewritten(page: str, said: list[str], hide: dict[str, str]) -> str:
    """Return the page with what its steps printed; ``hide`` says what is called otherwise."""
    left = iter(said)
    run = {block.start() for block in blocks(page)}

    def block(match: re.Match[str]) -> str:
        if match.start() not in run:
            return match[0]
        if match["kind"] != "console":
            next(left)
            return match[0]
        lines = []
        for step in steps(match):
            text = "\n".join(line.rstrip() for line in next(left).splitlines())
            for old, new in hide.items():
                text = text.replace(old, new)
            lines.append(f"$ {step.command}\n{text}" + "\n" * bool(text))
        return f"```console\n{''.join(lines)}```"

    return _BLOCK.sub(block, page)


def main(paths: list[Path]) -> int:
    """Write a run of pages into them; return an exit status."""
    with tempfile.TemporaryDirectory(prefix="you-", ignore_cleanup_errors=True) as name:
        home = Path(name).resolve()
        env, place = world(home), begin(home)
        for path in paths:
            page = path.read_text(encoding="utf-8")
            said = [text for _, text in replay(page, place, env)]
            path.write_text(rewritten(page, said, {str(home): "/home/you"}), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main([Path(name) for name in sys.argv[1:]]))
