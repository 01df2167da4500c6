"""Publishing: branches pushed to a real remote; fake `gh` and `glab` note what they were given."""

import json
import os
from pathlib import Path

import pytest
from support_cli import call, ok, refused
from support_merge import Team, sh

from prodigy_git.git import remotes
from prodigy_git.merging.publish import forges

FAKE = """\
#!/usr/bin/env python3
import json, os, sys
folder = os.path.dirname(os.path.abspath(__file__))
given = sys.argv[1:]
with open(folder + "/calls", "a") as stream:
    body = next((one for one in given if one.startswith("--body-file=")), None)
    text = open(body.partition("=")[2]).read() if body else None
    print(json.dumps({"name": os.path.basename(sys.argv[0]), "given": given, "body": text,
                      "git_dir": os.environ.get("GIT_DIR")}), file=stream)
if given[:2] == ["auth", "status"]:
    sys.exit(os.path.exists(folder + "/logged-out"))
if "list" in given:
    print(open(folder + "/open").read() if os.path.exists(folder + "/open") else "[]")
elif "create" in given:
    if os.path.exists(folder + "/broken"):
        sys.exit("GraphQL: no such base")
    print("Creating...\\nhttps://forge.example/pull/7")
"""


class World(Team):
    """A team whose repository has a remote: it is called like one at a forge, and lies beside it."""

    def __init__(self, repo: Path, store: Path, url: str) -> None:
        super().__init__(repo, store, "ab")
        self.remote = repo.parent / "remote.git"
        sh(repo.parent, "git init -q --bare remote.git")
        sh(repo, f"git remote add origin {url}; git config url.{self.remote}.pushInsteadOf {url}")
        self.programs = repo.parent / "programs"
        self.programs.mkdir()

    def with_programs(self, *names: str) -> None:
        for name in names:
            path = self.programs / name
            path.write_text(FAKE)
            path.chmod(0o755)

    def calls(self) -> list[dict]:
        path = self.programs / "calls"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def publish(self, *options: str, code: int = 0) -> list[dict]:
        done = call("publish", *options, "--json", cwd=self.repo)
        assert done.code == code, done
        return done.json


@pytest.fixture
def world(repo, store, monkeypatch):
    """The remote is at the forge by its name alone: what git really pushes to is a folder."""
    made = World(repo, store, "https://ana:secret@github.com/team/app.git")
    monkeypatch.setenv("PATH", f"{made.programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr("prodigy_git.merging.publish.forges.of", named_as(made, forges.of))
    return made


def named_as(made, real):
    def of(url, configured):
        return real("https://ana:secret@github.com/team/app.git" if url == str(made.remote) else url,
                    configured)  # fmt: skip

    return of


def test_a_branch_is_pushed_and_its_request_opened(world):
    world.with_programs("gh")
    made = world.work("a", "echo a >a; git add a; git commit -qm 'First; $(id)'; echo b >b")
    (one,) = world.publish("a", "--draft")
    assert (one["state"], one["branch_pushed"], one["request_opened"]) == ("published", True, "now")
    assert one["url"] == "https://forge.example/pull/7"
    assert sh(world.remote, f"git rev-parse {made['branch']}") == made["head"]
    assert [call["given"][:2] for call in world.calls()] == [
        ["auth", "status"], ["pr", "list"], ["pr", "create"],
    ]  # fmt: skip
    asked = world.calls()[-1]
    assert asked["given"][2:] == [
        "--repo", "github.com/team/app", f"--head={made['branch']}", "--base=main",
        "--title=a: First; $(id)", asked["given"][7], "--draft",
    ]  # fmt: skip
    assert asked["git_dir"] is None
    assert "First; $(id)" in asked["body"]
    assert "work on a" in asked["body"]
    assert asked["body"].endswith(f"job j, item a, agent {made['agent_id']}\n")
    assert "secret" not in json.dumps(one)


def test_what_is_there_is_not_opened_twice(world):
    world.with_programs("gh")
    world.work("a", "echo a >a")
    (world.programs / "open").write_text('[{"url": "https://forge.example/pull/3"}]')
    (one,) = world.publish("a")
    assert (one["request_opened"], one["url"]) == ("before", "https://forge.example/pull/3")
    (one,) = world.publish("a")
    assert not one["branch_pushed"]
    assert not any("create" in call["given"] for call in world.calls())


@pytest.mark.parametrize(
    "program",
    [
        ("gh", "url", {"isCrossRepository": True}, {"isCrossRepository": False}),
        ("glab", "web_url", {"source_project_id": 2, "target_project_id": 1},
         {"source_project_id": 1, "target_project_id": 1}),
    ],
    ids=["gh", "glab"],
)  # fmt: skip
def test_the_request_of_a_stranger_whose_branch_has_that_name_is_another(world, program):
    name, key, of_a_fork, own = program
    world.with_programs(name)
    forge = forges.Forge("github" if name == "gh" else "gitlab", "forge.example", "team/app")
    listed = [{key: "https://forge.example/1", **of_a_fork}]
    (world.programs / "open").write_text(json.dumps(listed))
    assert forges.existing(name, forge, "topic", str(world.repo)) is None
    listed.append({key: "https://forge.example/2", **own})
    (world.programs / "open").write_text(json.dumps(listed))
    found = forges.existing(name, forge, "topic", str(world.repo))
    assert found == "https://forge.example/2"


def test_without_a_program_or_a_login_the_address_is_printed(world):
    made = world.work("a", "echo a >a")
    done = call("publish", "a", cwd=world.repo)
    assert done.out.splitlines() == [
        f"a: pushed {made['branch']} to origin, to be opened at",
        f"https://github.com/team/app/compare/main...{made['branch']}?expand=1&title=work%20on%20a"
        f"&body=job%20j%2C%20item%20a%2C%20agent%20{made['agent_id']}%0A",
    ]
    world.with_programs("gh")
    (world.programs / "logged-out").touch()
    (one,) = world.publish("a")
    assert (one["request_opened"], one["url"].partition("?")[0]) == (
        None, f"https://github.com/team/app/compare/main...{made['branch']}",
    )  # fmt: skip


def test_what_the_program_says_is_told_and_the_push_stays(world):
    world.with_programs("gh")
    (world.programs / "broken").touch()
    made = world.work("a", "echo a >a")
    (one,) = world.publish("a", code=1)
    assert (one["state"], one["reason"]) == ("refused", "gh: GraphQL: no such base")
    assert one["branch_pushed"]
    assert one["url"].startswith(f"https://github.com/team/app/compare/main...{made['branch']}?")
    said = call("publish", "a", cwd=world.repo)
    assert said.code == 1
    assert "origin has" in said.out
    assert "no pull request: gh: GraphQL" in said.out
    assert one["url"] in said.out
    assert sh(world.remote, f"git rev-parse {made['branch']}") == made["head"]


def test_a_remote_whose_path_is_relative_is_found_as_git_finds_it(world):
    sh(world.repo, "git remote set-url origin ../remote.git; mkdir sub")
    made = world.work("a", "echo a >a")
    done = call("publish", "a", cwd=world.repo / "sub")
    assert done.code == 0, done
    assert sh(world.remote, f"git rev-parse {made['branch']}") == made["head"]


def test_nothing_is_forced_but_what_we_have_pushed(world):
    made = world.work("a", "echo a >a")
    world.publish("a")
    sh(made["worktree"], "git commit -q --amend -m better")
    (one,) = world.publish("a")
    assert one["branch_pushed"]
    sh(world.repo, f"git clone -q {world.remote} ../other -b {made['branch']}")
    sh(world.repo.parent / "other", "git commit -q --allow-empty -m theirs; git push -q")
    theirs = sh(world.remote, f"git rev-parse {made['branch']}")
    sh(made["worktree"], "git commit -q --amend -m best")
    (one,) = world.publish("a", code=1)
    assert one["state"] == "refused"
    assert "that was not pushed from here" in one["reason"]
    assert sh(world.remote, f"git rev-parse {made['branch']}") == theirs


def test_a_branch_that_was_there_before_is_not_ours(world):
    made = world.work("a", "echo a >a")
    ref = f"refs/heads/{made['branch']}"
    sh(world.repo, f"git push -q origin $(git commit-tree -m x main^{{tree}}):{ref}")
    (one,) = world.publish("a", code=1)
    assert "was not pushed from here" in one["reason"]


def test_a_push_that_is_refused_is_told(world):
    hook = world.remote / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho no branches here >&2; exit 1\n")
    hook.chmod(0o755)
    world.work("a", "echo a >a")
    (one,) = world.publish("a", code=1)
    assert one["reason"].startswith("not pushed: remote: no branches here")


def test_a_dry_run_pushes_nothing(world):
    world.with_programs("gh")
    world.work("a", "echo a >a")
    (one,) = world.publish("--job", "j", "--dry-run")
    assert (one["state"], one["title"]) == ("would_publish", "work on a")
    assert sh(world.remote, "git for-each-ref") == ""
    assert not list(world.store.glob("state/*/pushed.json"))


def test_what_is_merged_or_not_done_is_not_published(world):
    world.work("a", "echo a >a")
    world.work("b", "echo b >b", end=None)
    world.merge("a")
    found = world.publish("a", "b", code=1)
    assert [one["state"] for one in found] == ["nothing", "not_ready"]
    assert call("publish", "--job", "j", "--into", "main", cwd=world.repo).code == 0
    assert "there is no remote nowhere" in refused(
        "publish", "a", "--remote", "nowhere", cwd=world.repo
    )


def test_the_body_tells_of_the_item_and_of_checks(repo, store, tmp_path):
    world = World(repo, store, "https://gitlab.example/group/sub/app.git")
    items = [
        {"id": "x", "title": "Log  in\nagain", "description": "As the *issue* says."},
        {"id": "y"},
    ]
    (tmp_path / "more").write_text(json.dumps(items))
    ok("job", "add", "j", "--items", tmp_path / "more", cwd=repo)
    world.work("x", "echo x >x")
    world.work("y", "echo y >y; git add y; git commit -qm one -m 'Why: because'; echo z >z")
    world.merge("x", "--check", "exit 9", code=1)
    sh(repo, f"git remote set-url origin {world.remote}")
    one, two = world.publish("x", "y", "--dry-run")
    assert (one["title"], one["url"]) == ("Log in again", None)
    assert one["body"].startswith(
        "As the *issue* says.\n\n### Checks\n\n- the check failed on the merge"
    )
    assert two["title"] == "y: one"


def test_a_body_fits_into_one_argument(repo, store, tmp_path):
    """execve(2) takes 131,072 bytes, the one at its end included; a character may have four."""
    world = World(repo, store, "https://gitlab.example/group/sub/app.git")
    (tmp_path / "more").write_text(json.dumps([{"id": "x", "description": "\U0001f600" * 60_000}]))
    ok("job", "add", "j", "--items", tmp_path / "more", cwd=repo)
    world.work("x", "echo x >x")
    sh(repo, f"git remote set-url origin {world.remote}")
    (one,) = world.publish("x", "--dry-run")
    assert 100_000 < len(f"--description={one['body']}".encode()) < 131_072
    assert "\ufffd" not in one["body"]


def test_glab_gets_it_by_arguments(repo, store, monkeypatch):
    world = World(repo, store, "git@gitlab.example:group/sub/app.git")
    monkeypatch.setenv("PATH", f"{world.programs}{os.pathsep}{os.environ['PATH']}")
    real = forges.of
    monkeypatch.setattr(
        "prodigy_git.merging.publish.forges.of",
        lambda url, configured: real("git@gitlab.example:group/sub/app.git", configured),
    )
    world.with_programs("glab")
    made = world.work("a", "echo a >a")
    (one,) = world.publish("a")
    assert one["request_opened"] == "now"
    assert world.calls()[-1]["given"] == [
        "mr", "create", "--yes", "--repo", "https://gitlab.example/group/sub/app",
        f"--source-branch={made['branch']}", "--target-branch=main", "--title=work on a",
        f"--description={one['body']}",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("url", "page"),
    [
        ("https://github.com/o/r.git", "github https://github.com/o/r"),
        ("https://user:pass@github.com/o/r", "github https://github.com/o/r"),
        ("git@github.com:o/r.git", "github https://github.com/o/r"),
        ("github.com:o/r.git", "github https://github.com/o/r"),
        ("ssh://git@github.com:22/o/r.git/", "github https://github.com/o/r"),
        ("git://github.com/o/r.git", "github https://github.com/o/r"),
        ("https://github.example.org:8443/o/r.git", "github https://github.example.org:8443/o/r"),
        ("ssh://git@gitlab.example.org:2222/g/s/r.git", "gitlab https://gitlab.example.org/g/s/r"),
        ("https://codeberg.org/o/r.git", "gitea https://codeberg.org/o/r"),
        ("git@forgejo.example.org:o/r.git", "gitea https://forgejo.example.org/o/r"),
        ("git@bitbucket.org:o/r.git", "bitbucket https://bitbucket.org/o/r"),
        ("/srv/github.com/o/r.git", None),
        ("../github/o/r.git", None),
        ("file:///github.com/o/r", None),
        ("https://example.org/o/r.git", None),
        ("https://github.com/", None),
        ("https://github.com/r", None),
        ("https://[::1/o/r", None),
        ("ext::sh -c github.com/o/r", None),
    ],
)
def test_the_forge_is_known_by_the_remotes_address(url, page):
    found = forges.of(url, None)
    assert (found and f"{found.kind} {found.page}") == page


def test_a_forge_of_another_name_is_said_by_git_config():
    found = forges.of("git@code.example.org:o/r.git", "gitlab")
    assert found is not None
    assert forges.link(found, "a/b c", "main", "T & t", "x" * 9000) == (
        "https://code.example.org/o/r/-/merge_requests/new?merge_request%5Bsource_branch%5D=a%2Fb%20c"
        "&merge_request%5Btarget_branch%5D=main&merge_request%5Btitle%5D=T%20%26%20t"
    )


def test_credentials_are_never_shown():
    assert remotes.harmless("https://u:p@host/o/r") == "https://host/o/r"
    assert remotes.harmless("git@host:o/r") == "git@host:o/r"
