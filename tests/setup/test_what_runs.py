"""Which files say what runs in a worktree, and what of them is followed."""

import json
import os

import pytest
from support_cli import call, new, ok, refused
from support_setup import commands, say, shown, trust

WORKTRUNK = """\
worktree-path = "../{{ repo }}"
post-start = "npm run dev -- --port {{ branch | hash_port }}"
[pre-start]
deps = "npm ci"
copy = "wt step copy-ignored"
env = "echo {{ branch }} > name"
[pre-remove]
stop = "docker compose down"
[pre-merge]
test = "npm test"
"""
GTR = """\
[copy]
	include = .env
[include]
	path = /etc/hostname
[hooks]
	postCreate = npm ci
	postCreate = echo \\"two\\"
	preRemove = docker compose down
	postRemove = echo gone
"""
WORKMUX = """\
files:
  copy: [.env]
post_create:
  - "<global>"
  - npm ci
pre_remove: ["docker compose down"]
pre_merge: [npm test]
panes: [{command: vim}]
"""
FOREIGN = {
    ".cursor/worktrees.json": (
        json.dumps({"setup-worktree": ["no"], "setup-worktree-windows": ["no"],
                    "setup-worktree-unix": ["npm ci", "cp $ROOT_WORKTREE_PATH/.env ."]}),
        {"run": ["npm ci", "cp $ROOT_WORKTREE_PATH/.env ."]}, 0,
    ),
    "conductor.json": (
        json.dumps({"scripts": {"setup": "npm ci", "run": "npm start", "archive": "rm -rf x"}}),
        {"run": ["npm ci"], "teardown": ["rm -rf x"]}, 1,
    ),
    ".config/wt.toml": (
        WORKTRUNK,
        {"run": ["npm ci", "echo {{ branch }} > name"], "teardown": ["docker compose down"],
         "check": ["npm test"]}, 3,
    ),
    ".gtrconfig": (
        GTR, {"run": ["npm ci", 'echo "two"'], "teardown": ["docker compose down"]}, 2,
    ),
    ".workmux.yaml": (
        WORKMUX,
        {"run": ["npm ci"], "teardown": ["docker compose down"], "check": ["npm test"]}, 3,
    ),
}  # fmt: skip


def test_nothing_is_said_by_most_repositories(repo):
    found = shown(repo)
    assert (found["parts"], found["hash"], found["trusted"]) == ([], None, True)
    assert ok("setup", "show", cwd=repo)[1:] == ("", "")
    assert new(repo, "w1")["setup"] == "none"


def test_our_own_file_has_all_stages(repo, git):
    text = """\
[setup]
run = ["one", "two {{ branch }}"]
start = "serve"
directory = "web"
timeout = "10m"
[teardown]
run = ["down"]
timeout = 30
[check]
run = "test"
timeout = "never"
[env]
NAME = "app_{{ item }}"
"""
    say(repo, git, text)
    (part,) = shown(repo)["parts"]
    assert part == {
        "source": ".prodigy/worktree.toml", "given": True, "dialect": "prodigy",
        "stages": {"run": ["one", "two {{ branch }}"], "start": ["serve"], "teardown": ["down"],
                     "check": ["test"]},
        "env": {"NAME": "app_{{ item }}"}, "folder": "web",
        "limits": {"run": 600.0, "teardown": 30.0, "check": 0.0}, "scripts": [], "left_out": [],
    }  # fmt: skip
    out = ok("setup", "show", cwd=repo).out
    assert "two {{ branch }}" in out
    assert "each 10m 00s at most" in out
    assert out.splitlines()[-1].startswith("not trusted: ")


@pytest.mark.parametrize("path", FOREIGN)
def test_other_tools_files_are_read(repo, git, path):
    text, expected, left_out = FOREIGN[path]
    say(repo, git, text, path)
    (part,) = shown(repo)["parts"]
    assert (part["source"], part["given"]) == (path, True)
    assert part["stages"] == expected
    assert len(part["left_out"]) == left_out, part["left_out"]


def test_the_first_file_counts_and_the_others_are_named(repo, git):
    for path, (text, *_) in FOREIGN.items():
        say(repo, git, text, path)
    assert shown(repo)["unread"] == list(FOREIGN)[1:]
    say(repo, git, '[setup]\nrun = "ours"\n')
    found = shown(repo)
    assert (found["parts"][0]["source"], found["unread"]) == (
        ".prodigy/worktree.toml", list(FOREIGN),
    )  # fmt: skip
    assert "goes before it" in ok("setup", "show", cwd=repo).err


def test_a_file_that_says_nothing_hides_no_other(repo, git):
    say(repo, git, '{"scripts": {}}', "conductor.json")
    say(repo, git, "post_create: [npm ci]\n", ".workmux.yaml")
    assert commands(repo) == ["npm ci"]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("[setup", "is no TOML"),
        ("[setup]\nrn = 'x'", "rn is not known"),
        ("[sretup]\nrun = 'x'", "'sretup' is not known"),
        ("trust = false", "'trust' is not known"),
        ("[setup]\nrun = 3", "write a command"),
        ("[setup]\nrun = [['x']]", "write a command"),
        ('[setup]\nrun = "a\\u0000b"', "null character"),
        ("[setup]\nrun = 'echo {{ brnach }}'", "{{ brnach }} is not known"),
        ("[setup]\nrun = 'echo \"{{ branch }}\"'", "within quotes"),
        ("[setup]\ndirectory = '../x'", "a folder in the worktree"),
        ("[setup]\ndirectory = '/x'", "a folder in the worktree"),
        ("[setup]\ntimeout = 'soon'", "write a time"),
        ("[setup]\ntimeout = -1", "write a time"),
        ("[env]\nPRODIGY_HOME = '/x'", "such names are prodigy-git's"),
        ("[env]\n'A B' = 'x'", 'NAME = "value"'),
        ("[env]\nA = '{{ x }}'", "{{ x }} is not known"),
        ("[env]\nA = 0x" + "f" * 5000, "the number is too long"),
        ("[setup]\nrun = 'echo " + "a" * 140_000 + "'", "is too long"),
        ("x = " + "[" * 5000 + "]" * 5000, "is no TOML"),
    ],
)
def test_what_is_wrong_in_our_file_is_said_and_nothing_is_made(repo, git, store, text, word):
    say(repo, git, text)
    assert word in refused("setup", "show", cwd=repo)
    assert word in refused("new-worktree", "w1", cwd=repo)
    assert not (store / "worktrees" / "repo" / "w1").exists()
    # Who does not want it is not kept from work by it.
    assert new(repo, "w1", "--no-setup")["setup"] == "skipped"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (".cursor/worktrees.json", "{"), (".cursor/worktrees.json", "[" * 100_000),
        (".cursor/worktrees.json", '{"setup-worktree": "../../outside.sh"}'),
        (".cursor/worktrees.json", '{"setup-worktree": {"a": 1}}'),
        ("conductor.json", '{"scripts": []}'), (".config/wt.toml", "["),
        (".gtrconfig", "[hooks\n"), (".workmux.yaml", "a: [b\n"), (".workmux.yaml", "- 1\n"),
        (".workmux.yaml", 'post_create: !!int ""\n'), (".workmux.yaml", "a: !!bool x\n"),
        (".workmux.yaml", "a: !!timestamp x\n"), (".workmux.yaml", f"a: [{'1,' * 500_000}]\n"),
        ("conductor.json", '{"scripts": {"setup": "./\\ud800"}}'),
        (".cursor/worktrees.json", '{"setup-worktree": "\\ud800.sh"}'),
        (".workmux.yaml", "post_create: !!python/object/apply:os.system ['touch /tmp/no']\n"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_another_tools_file_is_one_line(repo, git, path, text):
    say(repo, git, text, path)
    assert path in refused("setup", "show", cwd=repo)
    # It was not written for us: nobody is kept from work by it.
    done = ok("new-worktree", "w1", cwd=repo)
    assert f"no set-up commands: {path}" in done.err


def test_the_commit_counts_not_the_folder(repo, git):
    say(repo, git, '[setup]\nrun = "committed"\n')
    (repo / ".prodigy" / "worktree.toml").write_text('[setup]\nrun = "edited"\n')
    done = ok("setup", "show", cwd=repo)
    assert "committed" in done.out
    assert "not as in HEAD" in done.err
    git("checkout", "-q", "--", ".", cwd=repo)
    assert "not as in HEAD" not in ok("setup", "show", cwd=repo).err
    before = git("rev-parse", "HEAD", cwd=repo)
    say(repo, git, '[setup]\nrun = "later"\n')
    assert "committed" in ok("setup", "show", "--base", before, cwd=repo).out
    assert "later" in ok("setup", "show", cwd=repo).out


def test_a_file_that_leads_out_of_the_repository_is_not_followed(repo, git, tmp_path):
    (tmp_path / "elsewhere.toml").write_text('[setup]\nrun = "not mine"\n')
    (repo / ".prodigy").mkdir()
    (repo / ".prodigy" / "worktree.toml").symlink_to(tmp_path / "elsewhere.toml")
    git("add", "-A", cwd=repo)
    git("commit", "-q", "-m", "a link", cwd=repo)
    assert "leads out of the repository" in refused("setup", "show", cwd=repo)
    (repo / "real.toml").write_text('[setup]\nrun = "mine"\n')
    (repo / ".prodigy" / "worktree.toml").unlink()
    (repo / ".prodigy" / "worktree.toml").symlink_to("../real.toml")
    git("add", "-A", cwd=repo)
    git("commit", "-q", "-m", "a link inside", cwd=repo)
    assert commands(repo) == ["mine"]


def test_a_huge_file_is_not_read(repo, git):
    say(repo, git, "#" * (1 << 21))
    assert "is small" in refused("setup", "show", cwd=repo)


def test_a_command_may_name_more_than_a_command_line_holds(repo, git):
    words = " ".join(f"{number:x}" for number in range(1 << 17, (1 << 17) + 168_000))
    many = [f"true {words[at : at + 90_000]}" for at in range(0, len(words), 90_000)]
    one = f"true {'y' * 9_000}"
    (repo / "last.sh").write_text("true\n")
    say(repo, git, f"[setup]\nrun = {json.dumps([*many, one, 'sh last.sh'])}\n")
    scripts = shown(repo)["parts"][0]["scripts"]
    assert [script["name"] for script in scripts] == ["last.sh"]


def test_settings_of_ones_own_come_beside_the_repositorys(repo, git):
    say(repo, git, '[setup]\nrun = "theirs"\n')
    for name, value in (
        ("setupRun", "mine"), ("setupRun", "mine, too"), ("setupTimeout", "1m"),
        ("setupEnv", "A=b=c"), ("teardownRun", "down"), ("check", "test"),
    ):  # fmt: skip
        git("config", "--add", f"prodigy.{name}", value, cwd=repo)
    theirs, mine = shown(repo)["parts"]
    assert (theirs["given"], mine["given"], mine["source"]) == (True, False, "git config")
    assert mine["stages"] == {
        "run": ["mine", "mine, too"],
        "teardown": ["down"],
        "check": ["test"],
    }
    assert (mine["env"], mine["limits"]["run"]) == ({"A": "b=c"}, 60.0)
    git("config", "prodigy.setupTimeout", "soon", cwd=repo)
    assert "prodigy.setupTimeout" in refused("setup", "show", cwd=repo)


def test_ones_own_settings_need_no_trust(repo, git, monkeypatch):
    git("config", "prodigy.setupRun", "echo mine > mine", cwd=repo)
    made = new(repo, "w1")
    assert made["setup"] == "done"
    assert os.path.exists(f"{made['worktree']}/mine")
    assert shown(repo)["hash"] is None


def test_a_script_counts_with_its_content(repo, git):
    (repo / "scripts").mkdir()
    script = repo / "scripts" / "prepare.sh"
    script.write_text("#!/bin/sh\necho one\n")
    script.chmod(0o755)
    (repo / "requirements.txt").write_text("a\n")
    named = '["cd . && ./scripts/prepare.sh x", "sh -e plain.sh", "pip -r requirements.txt"]'
    say(repo, git, f"[setup]\nrun = {named}\n")
    before = trust(repo)
    assert [one["name"] for one in shown(repo)["parts"][0]["scripts"]] == ["scripts/prepare.sh"]
    (repo / "requirements.txt").write_text("b\n")
    (repo / "other").write_text("x")
    git("add", "-A", cwd=repo)
    git("commit", "-q", "-m", "what no command runs", cwd=repo)
    assert (shown(repo)["hash"], shown(repo)["trusted"]) == (before, True)
    (repo / "plain.sh").write_text("echo\n")
    git("add", "-A", cwd=repo)
    git("commit", "-q", "-m", "what sh is given", cwd=repo)
    assert shown(repo)["trusted"] is False
    trust(repo)
    script.write_text("#!/bin/sh\necho two\n")
    git("commit", "-q", "-am", "another script", cwd=repo)
    assert shown(repo)["trusted"] is False


def test_words_with_a_colon_are_none_of_gits(repo, git):
    """Such a word is pathspec magic for git (gitglossary(7)); to a command it is a word, or a file."""
    named = ["git grep -l foo -- ':!vendor' ':(bad' || true", "sh ':/q.sh'"]
    say(repo, git, f"[setup]\nrun = {json.dumps(named)}\n")
    assert shown(repo)["parts"][0]["scripts"] == []
    before = trust(repo)
    say(repo, git, "echo\n", ":/q.sh")
    assert [one["name"] for one in shown(repo)["parts"][0]["scripts"]] == [":/q.sh"]
    assert shown(repo)["hash"] != before


def test_a_command_that_names_a_link_that_leads_out(repo, git, tmp_path):
    (repo / "link").symlink_to(tmp_path / "elsewhere")
    say(repo, git, '{"scripts": {"setup": "cat link"}}', "conductor.json")
    assert "conductor.json names it: cat link" in refused("setup", "show", cwd=repo)
    # It was not written for us: nobody is kept from work by it.
    assert "no set-up commands: link is" in ok("new-worktree", "w1", cwd=repo).err
    say(repo, git, '[setup]\nrun = ["true", "cat link"]\n')
    said = refused("new-worktree", "w2", cwd=repo)
    assert "link is a link that leads out of the repository" in said
    assert ".prodigy/worktree.toml names it: cat link" in said


def test_cursors_script_runs_as_it_is(repo, git):
    say(repo, git, "echo $ROOT_WORKTREE_PATH > where\n", ".cursor/it's.sh")
    say(repo, git, '{"setup-worktree": "it\'s.sh"}', ".cursor/worktrees.json")
    assert [one["name"] for one in shown(repo)["parts"][0]["scripts"]] == [".cursor/it's.sh"]
    trust(repo)
    made = new(repo, "w1")
    with open(f"{made['worktree']}/where") as stream:
        assert stream.read() == f"{repo}\n"


def test_control_characters_are_shown_harmless(repo, git):
    say(repo, git, '[setup]\nrun = "echo ok \\u001b[2J\\u202e\\r\\u0008rm"\n')
    out = ok("setup", "show", cwd=repo).out
    assert not set(out) & set("\x1b\u202e\r\x08")
    assert "\\x1b[2J\\u202e\\r\\x08rm" in out.replace("\n    ", "\\r")


def test_there_is_nothing_to_show_outside_of_a_repository(tmp_path, repo):
    assert "not in a git repository" in refused("setup", "show", cwd=tmp_path)
    assert call("setup", "show", "--base", "nothing-here", cwd=repo).code == 1
