"""The guides, followed to the letter by one user: each block of theirs goes through."""

import json
import re
import runpy
import shutil
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REPLAY = runpy.run_path(str(ROOT / "docs" / "replay.py"))
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)

BEGIN = """\
git init -q your/clone && cd your/clone && mkdir part && touch a.py b.py part/c.py
cat >agent.sh <<'END'
#!/bin/sh
case $PRODIGY_ITEM_ID in b.py) [ -e rules ] || { echo "no rules" >&2; exit 1; } ;; esac
git commit -q --allow-empty -m "Review $PRODIGY_ITEM_ID"
END
chmod +x agent.sh && git add . && git commit -q -m Start && cd ../..
"""


class User:
    """Somebody with a HOME of the own, who copies blocks out of pages."""

    def __init__(self, home):
        self.home = home
        self.place = REPLAY["begin"](home)
        self.env = REPLAY["world"](home)

    def does(self, script):
        """Run lines of shell, on a terminal; return what is printed."""
        said = REPLAY["run"](f"(set -e\n{script}\necho went through)", self.place, self.env)
        assert said.endswith("went through\n"), f"{script}\n{said}"
        return said

    def follows(self, page, *blocks, swap=None, **names):
        """Run blocks of a guide, with what ``names`` stand for there; ``swap`` is by patterns."""
        found = BLOCK.findall((ROOT / "docs" / "guides" / f"{page}.md").read_text())
        said = ""
        for number in blocks:
            script = found[number]
            if shutil.which("jq") is None:
                script = "\n".join(line for line in script.splitlines() if "jq" not in line)
            patterns = {rf"\b{name}\b": value for name, value in names.items()} | (swap or {})
            for pattern, value in patterns.items():
                script = re.sub(pattern, value, script)
            said += self.does(script)
        return said

    def asks(self, words):
        """Return what one of our commands prints with --json."""
        return json.loads(self.does(f"prodigy-git {words} --json").removesuffix("went through\n"))


@pytest.fixture
def user():
    folder = Path(tempfile.mkdtemp(prefix="you-", dir="/tmp"))
    yield User(folder)
    shutil.rmtree(folder, ignore_errors=True)  # a recorder may be writing still


def test_a_new_user_with_the_guides_alone(user):
    user.does(BEGIN)
    assert "post-commit      installed" in user.follows("install", 2)
    user.place.write_text(f"{user.home}/your/clone\n")
    assert "the installed hook recorded a commit" in user.follows("install", 3)

    # Items, of which one fails for good.
    user.does('printf \'{"id": "%s"}\\n\' a.py b.py part-c.py >items.jsonl')
    user.follows("run-items-in-parallel", 0, swap={r"git ls-files.*\n": ""})
    gave_up = {r"\./agent\.sh": "./agent.sh || test $? = 1"}
    user.follows("run-items-in-parallel", 2, swap=gave_up)
    assert "1 failed" in user.follows("after-a-long-run", 0, 1, 2, JOB="review")
    user.follows("failed-items", 0, JOB="review", ITEM="b.py")
    user.does("touch rules && git add rules && git commit -q -m Rules")
    user.follows("failed-items", 1, JOB="review", ITEM="b.py")
    assert user.asks("job show review")["completed"] == 3
    # They have made commits that change nothing.
    said = user.follows("bring-it-together", 0, 1, swap={"make test": "true"})
    assert "main: 3 without commits" in said

    # What became of one.
    (attempt,) = user.asks("explain a.py")["attempts"]
    session, commit = attempt["session_id"], attempt["commits"][0]["commit"][:10]
    branch = "prodigy/review/a.py"
    names = {"SESSION": session, "AGENT": session, "COMMIT": commit, "ITEM": "a.py"}
    assert commit in user.follows("find-what-an-agent-did", 0, 1, 2, **names)
    user.does(f"prodigy-git worktree restore {session}")
    user.follows(
        "find-what-an-agent-did", 3, NAME=session, swap={r"prodigy-git worktree restore.*": ":"}
    )

    # Removed, and brought back; removed by others, too.
    user.follows("clean-up", 0)
    for number in (0, 1):
        user.does(f"prodigy-git worktree clean {session}")
        assert session in user.follows("bring-back", number, NAME=session)
    user.does(f'rm -rf "$(prodigy-git worktree path {session})"')
    user.follows(
        "bring-back", 2, SESSION=session, PATH="../again", BRANCH=branch,
        swap={r"prodigy-git resume.*": ":"},
    )  # fmt: skip
    assert (user.home / "your/again/agent.sh").is_file()
    user.does("prodigy-git new-worktree going; rm -rf ~/.prodigy/worktrees/clone/going")
    user.follows("bring-back", 2, SESSION="going", swap={r"git worktree add.*": ":"})
    assert (user.home / ".prodigy/worktrees/clone/going/agent.sh").is_file()

    # Another disk, behind a link; another one, without; one that is full; cron.
    user.does("mkdir ~/big ~/bigger")
    user.follows("move-the-store", 0, swap={"/big/disk": f"{user.home}/big"})
    user.env["PRODIGY_HOME"] = f"{user.home}/bigger/prodigy"
    user.follows(
        "move-the-store",
        1,
        swap={"~/.prodigy": "~/big/prodigy", "/big/disk": f"{user.home}/bigger"},
    )
    user.does("prodigy-git verify && cd ~/bigger/prodigy/worktrees/clone/going && git status -s")
    user.follows(
        "full-disk", 0, 1, NAME="going", JOB="review",
        swap={"--purge": "--purge --yes -f", "trash empty": "trash empty --yes"},
    )  # fmt: skip
    assert not (user.home / "bigger/prodigy/worktrees/clone/going").exists()
    guide = (ROOT / "docs" / "guides" / "clean-up.md").read_text()
    (line,) = re.findall(r"^17 4 \* \* \*  (.*)$", guide, re.MULTILINE)
    user.does('mkdir -p ~/.local/bin && ln -s "$(command -v prodigy-git)" ~/.local/bin/')
    user.does(f"""env -i HOME="$HOME" PRODIGY_HOME="$PRODIGY_HOME" /bin/sh -c '{line}'""")

    # In CI, and out again.
    user.does("git clone -q . ../ci && echo 1 >../ci/items.jsonl")
    user.place.write_text(f"{user.home}/your/ci\n")
    user.follows("scripts-and-ci", 2)
    assert (user.home / "your/ci/report.html").is_file()
    user.env["PRODIGY_HOME"] = f"{user.home}/your/ci/.prodigy-store"
    user.follows("scripts-and-ci", 0, 1, swap={"~/.prodigy": '"$PRODIGY_HOME"', r"\$USER": "me"})
    user.follows("install", 4, swap={"python3 -m pip.*": ":"})
    hooks = (user.home / "your/ci/.git/hooks").iterdir()
    assert [path.name for path in hooks if path.suffix != ".sample"] == []
