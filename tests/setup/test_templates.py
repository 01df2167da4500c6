"""Templates: a value is one word of a command, whatever is in it, and never shell."""

import subprocess

import pytest
from support_cli import new
from support_setup import say, trust

from prodigy_git.errors import ProdigyError
from prodigy_git.setup import templates

HOSTILE = ["$(touch x)", "`touch x`", "a;touch x", "a\ntouch x", "'; touch x; '", '"; touch x; "',
           "a b  c",           "*", "-n", "\\", "${HOME}", "é ü", "", "{{ branch }}"]  # fmt: skip


@pytest.mark.parametrize(
    "text", ["printf %s {{ branch }}", "printf %s {{branch}}", "printf %s \\\n{{ branch }}",
             "# don't\nprintf %s {{ branch }}", "printf %s ''{{ branch }}\"\"",
             "(printf %s {{- branch -}})"],
)  # fmt: skip
def test_a_value_is_one_word(tmp_path, text):
    folder = tmp_path / "empty"
    folder.mkdir()
    for value in HOSTILE:
        done = subprocess.run(
            ["/bin/sh", "-c", templates.command(text, "prodigy")], env={"PRODIGY_BRANCH": value},
            cwd=folder, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stdout == value
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "text", ["echo '{{ branch }}'", 'echo "{{ branch }}"', "sh -c 'echo {{ branch }}'",
             'echo "$(x {{ branch }})"',
             "echo `x {{ branch }}`", "echo \\\\'{{ branch }}'", "# it's\necho 'x {{ branch }}'"],
)  # fmt: skip
@pytest.mark.parametrize("dialect", ["prodigy", "worktrunk"])
def test_within_quotes_there_is_none(text, dialect):
    with pytest.raises(ProdigyError, match="within quotes"):
        templates.command(text, dialect)


@pytest.mark.parametrize(
    "text", ["docker ps --format '{{.Names}}'", "echo {{ .X }}", "a {b} ${c} {{}}"]
)
def test_other_programs_braces_stay(text):
    assert templates.command(text, "prodigy") == text


def test_what_has_no_value_is_empty(tmp_path):
    text = templates.command("printf '[%s]' {{ item }}", "prodigy")
    done = subprocess.run(
        ["/bin/sh", "-uc", text], env={}, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]"


def test_worktrunks_filters_are_its_own():
    with pytest.raises(ProdigyError, match="worktrunk's own"):
        templates.command("echo {{ branch | sanitize }}", "worktrunk")


def test_variables_have_their_values_as_they_are():
    assert (
        templates.value("a_{{ branch }}_{{ item }}", {"PRODIGY_BRANCH": "$(x)'\""}) == "a_$(x)'\"_"
    )


def test_a_hostile_branch_is_a_word_in_a_worktree(repo, git, tmp_path):
    branch = "$(touch${IFS}PWNED);touch${IFS}PWNED"
    say(
        repo, git,
        '[setup]\nrun = "printf %s {{ branch }} > branch; printf %s $NAMED > named"\n'
        '[env]\nNAMED = "x{{ branch }}"\n',
    )  # fmt: skip
    trust(repo)
    made = new(repo, "w1", "--branch", branch)
    for name, text in (("branch", branch), ("named", f"x{branch}")):
        with open(f"{made['worktree']}/{name}") as stream:
            assert stream.read() == text
    assert git("status", "--porcelain", cwd=made["worktree"]) == "?? branch\n?? named"
