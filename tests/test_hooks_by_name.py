"""Hooks that look at their own file's name, as dispatchers do: beside ours they work as before."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prodigy_git import hookfiles

Run = Callable[..., Any]

HUSKY_4 = """\
#!/bin/sh
# husky

# Created by Husky v4.3.8 (https://github.com/typicode/husky#readme)

. "$(dirname "$0")/husky.sh"
"""
HUSKY_4_SH = """\
hookName=`basename "$0"`
gitParams="$*"
[ "$hookName" = post-commit ] || exit 0
echo "$hookName $gitParams" >>"$RAN"
"""
CALLERS = {
    "basename": '#!/bin/sh\necho "$(basename "$0")" "$@" >>"$RAN"\n',
    "expansion": '#!/bin/sh -e\necho "${0##*/}" "$@" >>"$RAN"\nfalse\necho not >>"$RAN"\n',
    "bash": '#!/usr/bin/env bash\nx=(1 2)\necho "`basename $0`" "$@" >>"$RAN"\n',
    "run again": '#!/bin/sh\n[ -n "$A" ] || A=1 exec sh "$0" "$@"\n'
    'echo "${0##*/}" "$@" >>"$RAN"\n',
    "python": f'#!{sys.executable}\nimport os, sys\nwith open(os.environ["RAN"], "a") as f:\n'
    '    print(os.path.basename(sys.argv[0]), *sys.argv[1:], file=f)\n',
    "main guard": '#!/bin/bash\nmain() { echo "${0##*/}" "$@" >>"$RAN"; }\n'
    'if [ "${BASH_SOURCE[0]}" = "$0" ]; then main "$@"; fi\n',
}  # fmt: skip


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RAN", str(tmp_path / "ran"))
    return tmp_path / "ran"


def _hook(repo: Path, text: str, name: str = "post-commit") -> Path:
    path = repo / ".git" / "hooks" / name
    path.write_text(text)
    path.chmod(0o755)
    return path


def _commit(git: Run, repo: Path) -> None:
    git("commit", "-q", "--allow-empty", "-m", "x", cwd=repo)


@pytest.mark.parametrize("which", CALLERS)
def test_it_sees_the_name_it_had_and_runs_once(repo, ran, prodigy, git, events, which) -> None:
    path = _hook(repo, CALLERS[which])
    _commit(git, repo)
    before = ran.read_text()
    assert before.startswith("post-commit")
    done = prodigy("install", cwd=repo, check=True)
    assert "a hook of your own (which goes by its file's name)" in done.stdout
    again = prodigy("install", cwd=repo, check=True)
    assert again.stdout == done.stdout
    ran.unlink()
    _commit(git, repo)
    assert ran.read_text() == before
    prodigy("uninstall", cwd=repo, check=True)
    assert path.read_text() == CALLERS[which]
    assert sorted(p.name for p in path.parent.glob("*chained*")) == []


def test_old_husky_keeps_running(repo, ran, prodigy, git, store) -> None:
    _hook(repo, HUSKY_4)
    _hook(repo, HUSKY_4_SH, "husky.sh")
    prodigy("install", cwd=repo, check=True)
    _commit(git, repo)
    assert ran.read_text() == "post-commit \n"
    assert len(list((store / "sessions").iterdir())) == 1


def test_one_program_with_a_link_to_it_for_each_hook(repo, ran, prodigy, git) -> None:
    hooks = repo / ".git" / "hooks"
    _hook(repo, CALLERS["python"], "_dispatch")
    for name in ("post-commit", "post-checkout"):
        (hooks / name).symlink_to("_dispatch")
    prodigy("install", cwd=repo, check=True)
    _commit(git, repo)
    assert ran.read_text() == "post-commit\n"
    git("checkout", "-q", "-b", "other", cwd=repo)
    assert ran.read_text().splitlines()[1].startswith("post-checkout ")
    prodigy("uninstall", cwd=repo, check=True)
    assert os.readlink(hooks / "post-commit") == "_dispatch"
    assert os.readlink(hooks / "post-checkout") == "_dispatch"
    assert not (hooks / "prodigy-chained").exists()


def test_its_exit_status_stays_the_hooks(repo, ran, prodigy, git) -> None:
    _hook(repo, '#!/bin/sh\n[ "${0##*/}" = post-checkout ] || exit 0\nexit 7\n', "post-checkout")
    prodigy("install", cwd=repo, check=True)
    done = subprocess.run(["git", "checkout", "-q", "-b", "b"], cwd=repo, check=False)
    assert done.returncode == 1


def test_standard_input_reaches_it(repo, ran, prodigy, git) -> None:
    _hook(repo, '#!/bin/sh\necho "${0##*/} $1" >>"$RAN"\ncat >>"$RAN"\n', "post-rewrite")
    prodigy("install", cwd=repo, check=True)
    git("commit", "-q", "--amend", "-m", "new", cwd=repo)
    first, second = ran.read_text().splitlines()
    assert first == "post-rewrite amend"
    assert second.split()[1] == git("rev-parse", "HEAD", cwd=repo)


@pytest.mark.parametrize(
    ("text", "calling"),
    [
        (b"#!/bin/sh\necho hello\n", ""),
        (b'#!/bin/sh\n"$(dirname "$0")/helper"\n', ""),
        (b"#!/bin/sh\nbasename $0\n", "sh,/bin/sh"),
        (b"#!/bin/bash -eu\nn=${0##*/}\n", "sh,/bin/bash,-eu"),
        (b"#!/usr/bin/env bash\n. lib\n", "sh,bash"),
        (b"#!/bin/zsh\nbasename $0\n", "link"),
        (b"#!/usr/bin/fish\nstatus filename\n", "link"),
        (b"#!/bin/sh -c\nbasename $0\n", "link"),
        (b"#!/usr/bin/env ruby\nFile.basename($0)\n", "link"),
        (b"#!/usr/bin/env node\nprocess.argv[1]\n", "link"),
        (b"#!/usr/bin/env python3\nprint(1)\n", ""),
        (b"\x7fELF", "link"),
    ],
)
def test_what_is_told_from_a_hooks_text(tmp_path, text, calling) -> None:
    path = tmp_path / "post-commit"
    path.write_bytes(text)
    path.chmod(0o755)
    found = hookfiles.look(str(path))
    assert found is not None
    assert hookfiles.calling(str(path), "post-commit", found) == calling


LFS = """\
#!/bin/sh
command -v git-lfs >/dev/null 2>&1 || { printf >&2 "\\n%s\\n\\n" "This repository is configured \
for Git LFS but 'git-lfs' was not found on your path."; exit 2; }
git lfs post-commit "$@"
"""


@pytest.fixture
def lfs(tmp_path: Path, ran: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a program ``git-lfs`` into PATH that notes what it is called with."""
    program = tmp_path / "bin" / "git-lfs"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho lfs "$@" >>"$RAN"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")


def test_git_lfs_before_ours_and_installed_by_force_after_it(
    repo, ran, lfs, prodigy, git, store
) -> None:
    _hook(repo, LFS)
    done = prodigy("install", cwd=repo, check=True)
    assert "installed, after git-lfs" in done.stdout
    _commit(git, repo)
    assert ran.read_text() == "lfs post-commit\n"
    assert len(list((store / "sessions").iterdir())) == 1
    # `git lfs install --force` writes over ours, another version's text too.
    newer = LFS.replace("configured", "set up")
    _hook(repo, newer)
    assert "replaced by git-lfs" in prodigy("hooks", cwd=repo).stdout
    prodigy("install", cwd=repo, check=True)
    ran.unlink()
    _commit(git, repo)
    assert ran.read_text() == "lfs post-commit\n"
    prodigy("uninstall", cwd=repo, check=True)
    assert (repo / ".git" / "hooks" / "post-commit").read_text() == newer
