"""shell-init in real shells: completion through the generated functions, and pgcd with odd paths."""

import os
import pty
import select
import shutil
import subprocess
import time

import pytest
from support_cli import call, environment, new, ok, refused

ODD = "my tree; $(touch pwned) 'q'"


def shells(*names):
    """Parametrize over shells; one that is not installed is a test that is skipped, and says so."""
    return pytest.mark.parametrize(
        "shell",
        [
            pytest.param(
                name,
                marks=pytest.mark.skipif(shutil.which(name) is None, reason=f"{name} is missing"),
            )
            for name in names
        ],
    )


PLAIN = {
    "bash": ["bash", "--norc", "--noprofile", "-c"],
    "zsh": ["zsh", "-f", "-c"],
    "fish": ["fish", "--no-config", "-c"],
}
LOAD = {
    "bash": 'eval "$(prodigy-git shell-init bash)"; ',
    "zsh": 'eval "$(prodigy-git shell-init zsh)"; ',
    "fish": "prodigy-git shell-init fish | source; ",
}


def run(shell, script, cwd):
    """Run a script behind what an rc file does; return its stdout, with nothing on stderr."""
    done = subprocess.run(
        [*PLAIN[shell], LOAD[shell] + script], cwd=cwd, env=environment(), capture_output=True,
        text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.stderr == "", done
    return done.stdout


@pytest.fixture
def place(tmp_path, git):
    """Make a repository in a folder with spaces; beside it a worktree of an odd name, and a session."""
    folder = tmp_path / "a b" / "my repo"
    folder.parent.mkdir()
    git("init", "-q", folder, cwd=tmp_path)
    git("commit", "-q", "--allow-empty", "-m", "Start", cwd=folder)
    git("worktree", "add", "-q", "-b", "odd", folder.parent / ODD, cwd=folder)
    return folder


@shells("bash", "zsh", "fish")
def test_pgcd_goes_to_a_worktree_by_its_name_and_back(shell, place, tmp_path):
    made = new(place, "wt-1")["worktree"]
    odd = "'my tree; $(touch pwned) \\'q\\''" if shell == "fish" else f'"{ODD}"'.replace("$", "\\$")
    assert run(shell, f"pgcd {odd}; pwd; pgcd wt-1; pwd; pgcd; pwd", place).splitlines() == [
        str(place.parent / ODD), made, str(place),
    ]  # fmt: skip
    assert not list(tmp_path.rglob("pwned"))
    # A session is found from outside of its repository, too.
    assert run(shell, "pgcd wt-1; pwd", tmp_path) == f"{made}\n"


@shells("bash", "zsh", "fish")
def test_pgcd_that_finds_nothing_stays_and_says_so_in_one_line(shell, place):
    status = "$status" if shell == "fish" else "$?"
    script = LOAD[shell] + f"pgcd nowhere; echo {status}; pwd"
    done = subprocess.run(
        [*PLAIN[shell], script], cwd=place, env=environment(), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.stdout == f"1\n{place}\n"
    assert done.stderr.startswith("prodigy-git: error: no worktree nowhere")
    assert done.stderr.count("\n") == 1
    assert "Usage: " in run(shell, "pgcd --help", place)


@shells("bash")
def test_bash_completes_commands_options_and_names(shell, place):
    new(place, "wt-1")
    new(place, "wt-2")

    def complete(*words):
        listed = " ".join(f"'{word}'" for word in words)
        script = (
            f"COMP_WORDS=({listed}); COMP_CWORD={len(words) - 1}; "
            "f=$(complete -p prodigy-git); f=${f##*-F }; f=${f%% *}; "
            '$f prodigy-git; printf "%s\\n" "${COMPREPLY[@]}"'
        )
        return run(shell, script, place).splitlines()

    assert complete("prodigy-git", "statusl") == ["statusline"]
    assert complete("prodigy-git", "worktree", "re") == ["restore"]
    assert complete("prodigy-git", "events", "ls", "--all") == ["--all-jobs", "--all-repos"]
    assert complete("prodigy-git", "finish", "wt") == ["wt-1", "wt-2"]
    assert complete("prodigy-git", "events", "ls", "--session", "wt-2") == ["wt-2"]


@shells("bash")
def test_bash_quotes_what_pgcd_completes(shell, place):
    script = (
        "COMP_WORDS=(pgcd my); COMP_CWORD=1; f=$(complete -p pgcd); f=${f##*-F }; f=${f%% *}; "
        '$f; printf "%s\\n" "${COMPREPLY[@]}"; eval "pgcd ${COMPREPLY[0]}"; pwd'
    )
    quoted, where = run(shell, script, place).splitlines()
    assert quoted.startswith("my\\ tree")
    assert where == str(place.parent / ODD)
    assert run(
        shell, "COMP_WORDS=(pgcd x y); COMP_CWORD=2; _pgcd; echo ${#COMPREPLY[@]}", place
    ) == ("0\n")


@shells("zsh")
def test_zsh_completes_commands_options_and_names(shell, place):
    new(place, "wt-1")
    # Completion proper wants a terminal, as below; these two are what it hands its matches to.
    stubs = (
        "compadd() { while [[ $1 == -* && $1 != -a ]]; do [[ $1 == -V ]] && shift; shift; done; "
        'if [[ $1 == -a ]]; then print -l -- ${(P)2}; else print -l -- "$@"; fi }; '
        "_describe() { print -l -- ${(P)3}; }; "
    )

    def complete(*words):
        listed = " ".join(f"'{word}'" for word in words)
        script = f"{stubs} words=({listed}); CURRENT={len(words)}; $_comps[prodigy-git]"
        return [line for line in run(shell, script, place).splitlines() if line]

    assert complete("prodigy-git", "statusl") == [
        "statusline:Print one line on the session you stand in, for a prompt; nothing outside of one."
    ]
    assert complete("prodigy-git", "finish", "wt") == ["wt-1"]
    script = f"{stubs} words=(pgcd ''); CURRENT=2; $_comps[pgcd]"
    assert sorted(filter(None, run(shell, script, place).splitlines())) == [ODD, "wt-1"]


@shells("fish")
def test_fish_completes_commands_options_and_names(shell, place):
    new(place, "wt-1")

    def complete(line):
        found = run(shell, f"complete -C '{line}'", place).splitlines()
        return [one.split("\t")[0] for one in found]

    assert complete("prodigy-git statusl") == ["statusline"]
    assert complete("prodigy-git finish wt") == ["wt-1"]
    assert complete("prodigy-git events ls --all") == ["--all-jobs", "--all-repos"]
    assert sorted(complete("pgcd ")) == [ODD, "wt-1"]
    assert complete("pgcd wt-1 ") == []


def typed(shell, text, until, cwd):
    """Type into a shell at a terminal; return what it showed up to ``until``."""
    command = {"bash": ["bash", "--norc", "--noprofile", "-i"], "zsh": ["zsh", "-f", "-i"]}[shell]
    master, slave = pty.openpty()
    child = subprocess.Popen(
        command, cwd=cwd, env=environment(TERM="dumb", PS1="$ "), stdin=slave, stdout=slave,
        stderr=slave, start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    shown = b""
    try:
        os.write(master, text.encode())
        deadline = time.monotonic() + 30
        while until.encode() not in shown:
            left = deadline - time.monotonic()
            assert left > 0, shown.decode("utf-8", "replace")
            if select.select([master], [], [], left)[0]:
                shown += os.read(master, 1 << 16)
    finally:
        child.kill()
        child.wait()
        os.close(master)
    return shown.decode("utf-8", "replace")


@shells("bash", "zsh")
def test_a_tab_at_a_real_terminal(shell, place):
    new(place, "wt-1")
    new(place, "other")
    text = LOAD[shell] + '\nprodigy-git finish oth\t--help; pgcd my\t; echo "=$PWD="\n'
    shown = typed(shell, text, f"={place.parent / ODD}=", place)
    assert "Usage: prodigy-git finish" in shown


@shells("bash", "zsh")
def test_a_tab_completes_files_and_refs(shell, place, git):
    git("branch", "feature/one", cwd=place)
    (place / "items of today.json").write_text("[]")
    text = LOAD[shell] + (
        "\nprodigy-git job start --items ite\t --json-path x --help; "
        "prodigy-git run --base fea\t --help; printf '=%s=\\n' done\n"
    )
    shown = typed(shell, text, "=done=", place)
    assert "items\\ of\\ today.json" in shown
    assert "--base feature/one" in shown
    assert "Usage: prodigy-git job start" in shown
    assert "Usage: prodigy-git run" in shown


@shells("fish")
def test_fish_completes_files_and_refs(shell, place, git):
    git("branch", "feature/one", cwd=place)
    (place / "items of today.json").write_text("[]")
    for words, wanted in (
        ("job start --items ite", "items of today.json"),
        ("events export -o ite", "items of today.json"),
        ("new-worktree --base fea", "feature/one"),
    ):
        found = run(shell, f"complete -C 'prodigy-git {words}'", place).splitlines()
        assert [one.split("\t")[0].replace("\\", "") for one in found] == [wanted]


@shells("bash", "zsh", "fish")
def test_completion_alone_defines_no_pgcd(shell, place):
    whole = ok("shell-init", shell).out
    alone = ok("completion", shell).out
    assert whole.startswith(alone)
    assert "pgcd" in whole
    assert "pgcd" not in alone
    done = subprocess.run(
        [*PLAIN[shell], f"{alone}\ncomplete" if shell != "zsh" else alone], cwd=place,
        env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_a_shell_that_is_not_known():
    assert "'tcsh' is not one of 'bash', 'zsh', 'fish'" in refused("shell-init", "tcsh", code=2)
    assert call("completion").code == 2


def test_where_a_worktree_is(place, store, git, tmp_path):
    made = new(place, "wt-1")["worktree"]
    assert ok("worktree", "path", "wt-1", cwd=place).out == f"{made}\n"
    assert ok("worktree", "path", cwd=made).out == f"{place}\n"
    assert ok("worktree", "path", "my repo", cwd=made).out == f"{place}\n"
    assert ok("worktree", "path", ODD, cwd=made).out == f"{place.parent / ODD}\n"
    assert "no git repository" in refused("worktree", "path", cwd=tmp_path)
    assert "no worktree nowhere" in refused("worktree", "path", "nowhere", cwd=tmp_path)
    assert "no worktree ../x" in refused("worktree", "path", "../x", cwd=place)
    ok("finish", "wt-1", cwd=place)
    ok("worktree", "clean", "wt-1", cwd=place)
    assert "in the trash: 'prodigy-git worktree restore wt-1'" in refused(
        "worktree", "path", "wt-1", cwd=place
    )
    ok("worktree", "restore", "wt-1", cwd=place)
    shutil.rmtree(made)
    assert "is gone" in refused("worktree", "path", "wt-1", cwd=place)
    (store / "sessions" / "wt-1.json").write_text("{")
    assert "cannot be read" in refused("worktree", "path", "wt-1", cwd=place)


def test_a_name_of_two_worktrees_and_a_bare_repository(place, git, tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        git("worktree", "add", "-q", "-b", folder, tmp_path / folder / "same", cwd=place)
    assert "more than one worktree" in refused("worktree", "path", "same", cwd=place)
    git("clone", "-q", "--bare", place, tmp_path / "bare.git", cwd=tmp_path)
    git("worktree", "add", "-q", tmp_path / "linked", cwd=tmp_path / "bare.git")
    assert "bare" in refused("worktree", "path", cwd=tmp_path / "linked")
    assert ok("worktree", "path", "linked", cwd=tmp_path / "linked").out == f"{tmp_path}/linked\n"
