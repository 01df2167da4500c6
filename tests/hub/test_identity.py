"""What a repository is called on a hub: by what it is, whoever asks from wherever."""

import pytest

from prodigy_git.errors import ProdigyError
from prodigy_git.hub.identity import Identity, Unidentified, by_roots, by_setting

URL = "https://git.example.org/team/repo"
OTHER = "https://git.example.org/team/other"
FORM = "url:git.example.org/team/repo"


@pytest.fixture
def root(repo, git):
    return f"root:{git('rev-list', '--max-parents=0', 'HEAD', cwd=repo)}"


def of(folder):
    inside = folder / ".git"
    common = str(inside if inside.is_dir() else folder)
    return by_setting(common) or by_roots(common)


@pytest.mark.parametrize(
    ("remotes", "name"),
    [
        ({"origin": URL}, FORM),
        ({"upstream": URL}, FORM),
        ({"origin": URL, "fork": OTHER}, FORM),
        ({"origin": "/srv/git/repo.git", "github": URL}, FORM),
        ({"origin": "file:///srv/repo", "a": "http://localhost/x", "github": URL}, FORM),
    ],
)
def test_the_remote_that_other_hosts_can_reach_names_it(repo, git, remotes, name):
    for remote, url in remotes.items():
        git("remote", "add", remote, url, cwd=repo)
    assert of(repo) == Identity("url", (name,))


def test_of_several_remotes_without_an_origin_the_setting_of_git_says_which(repo, git, root):
    git("remote", "add", "alice", OTHER, cwd=repo)
    git("remote", "add", "team", URL, cwd=repo)
    assert of(repo) == Identity("roots", (root,))
    git("config", "checkout.defaultRemote", "team", cwd=repo)
    assert of(repo) == Identity("url", (FORM,))
    git("config", "checkout.defaultRemote", "nobody", cwd=repo)
    assert of(repo) == Identity("roots", (root,))


def test_what_git_makes_of_an_abbreviation_counts(repo, git):
    git("config", "--global", "url.https://git.example.org/.insteadOf", "eg:", cwd=repo)
    git("remote", "add", "origin", "eg:team/repo", cwd=repo)
    assert of(repo) == Identity("url", (FORM,))


def test_the_first_of_several_urls_counts_and_where_one_pushes_to_does_not(repo, git):
    git("remote", "add", "origin", URL, cwd=repo)
    git("remote", "set-url", "--add", "origin", OTHER, cwd=repo)
    git("remote", "set-url", "--push", "origin", OTHER, cwd=repo)
    assert of(repo) == Identity("url", (FORM,))


def test_a_worktree_and_a_bare_mirror_are_the_repository(repo, git, tmp_path):
    git("remote", "add", "origin", URL, cwd=repo)
    git("clone", "-q", "--mirror", repo, tmp_path / "mirror", cwd=tmp_path)
    git("remote", "set-url", "origin", URL + ".git", cwd=tmp_path / "mirror")
    assert of(tmp_path / "mirror") == of(repo)


def test_a_clone_of_a_path_is_told_by_its_root(repo, git, tmp_path, root):
    git("clone", "-q", repo, tmp_path / "clone", cwd=tmp_path)
    assert of(tmp_path / "clone") == of(repo) == Identity("roots", (root,))


def test_two_of_one_name_stay_apart(git, tmp_path):
    found = []
    for folder in (tmp_path / "a" / "same", tmp_path / "b" / "same"):
        git("init", "-q", folder, cwd=tmp_path)
        git("commit", "-q", "--allow-empty", "-m", folder.parent.name, cwd=folder)
        found.append(of(folder))
    assert set(found[0].names).isdisjoint(found[1].names)


def test_what_was_merged_in_is_no_root_of_it_and_a_branch_of_its_own_is(repo, git, root):
    main = git("rev-parse", "HEAD", cwd=repo)
    git("checkout", "-q", "--orphan", "library", cwd=repo)
    git("commit", "-q", "-m", "A library", cwd=repo)
    library = git("rev-parse", "HEAD", cwd=repo)
    git("checkout", "-q", "main", cwd=repo)
    git("merge", "-q", "--allow-unrelated-histories", "-m", "With it", "library", cwd=repo)
    assert of(repo).names == tuple(sorted((f"root:{main}", f"root:{library}")))
    git("branch", "-D", "library", cwd=repo)
    assert of(repo).names == (root,)


def test_a_detached_head_without_branches_has_roots(repo, git, root):
    git("checkout", "-q", "--detach", cwd=repo)
    git("branch", "-D", "main", cwd=repo)
    assert of(repo).names == (root,)


def test_what_is_replaced_here_alone_changes_nothing(repo, git, root):
    for number in range(2):
        git("commit", "-q", "--allow-empty", "-m", f"More {number}", cwd=repo)
    git("replace", "--graft", "HEAD", cwd=repo)
    assert of(repo).names == (root,)
    git("replace", "-d", git("rev-parse", "HEAD", cwd=repo), cwd=repo)
    (repo / ".git" / "info").mkdir(exist_ok=True)
    (repo / ".git" / "info" / "grafts").write_text(git("rev-parse", "HEAD", cwd=repo) + "\n")
    assert of(repo).names == (root,)


def test_a_shallow_clone_is_known_by_its_remote_alone(repo, git, tmp_path):
    git("commit", "-q", "--allow-empty", "-m", "More", cwd=repo)
    git("clone", "-q", "--depth=1", f"file://{repo}", tmp_path / "shallow", cwd=tmp_path)
    with pytest.raises(Unidentified, match=r"shallow clone .* 'git config prodigy.repoId NAME'"):
        of(tmp_path / "shallow")
    git("remote", "set-url", "origin", URL, cwd=tmp_path / "shallow")
    assert of(tmp_path / "shallow") == Identity("url", (FORM,))
    git("remote", "remove", "origin", cwd=tmp_path / "shallow")
    git("config", "prodigy.repoId", "the one", cwd=tmp_path / "shallow")
    assert of(tmp_path / "shallow") == Identity("id", ("id:the one",))


def test_one_without_commits_and_remotes_is_nobody(tmp_path, git):
    git("init", "-q", tmp_path / "empty", cwd=tmp_path)
    with pytest.raises(Unidentified, match=r"make a commit, or 'git config prodigy.repoId NAME'"):
        of(tmp_path / "empty")
    git("remote", "add", "origin", URL, cwd=tmp_path / "empty")
    assert of(tmp_path / "empty") == Identity("url", (FORM,))


def test_what_a_person_says_goes_before_all_else(repo, git):
    git("remote", "add", "origin", URL, cwd=repo)
    git("config", "prodigy.repoId", "Team Repo", cwd=repo)
    assert of(repo) == Identity("id", ("id:Team Repo",))
    git("config", "--add", "prodigy.repoId", "later", cwd=repo)
    assert of(repo) == Identity("id", ("id:later",))


def test_a_name_for_all_repositories_is_none(repo, git):
    git("config", "--global", "prodigy.repoId", "mine", cwd=repo)
    with pytest.raises(Unidentified, match=r"git config --global --unset prodigy.repoId"):
        of(repo)
    git("config", "prodigy.repoId", "its own", cwd=repo)
    assert of(repo) == Identity("id", ("id:its own",))


@pytest.mark.parametrize("value", ["", "  ", "a\x1b[31mb", "a" * 201, "one\ntwo"])
def test_a_name_that_cannot_be_meant_is_refused_in_one_harmless_line(repo, git, value):
    git("config", "prodigy.repoId", value, cwd=repo)
    with pytest.raises(Unidentified, match=r"the same on each host") as told:
        of(repo)
    assert all(c.isprintable() for c in str(told.value))


def test_a_remote_made_to_do_harm_does_none(repo, git, tmp_path, root):
    with (repo / ".git" / "config").open("a") as stream:
        stream.write(
            f'[remote "--upload-pack=touch {tmp_path}/hit"]\n'
            f'\turl = ext::sh -c "touch {tmp_path}/hit"\n'
            f'[remote "origin"]\n\turl = --upload-pack=touch {tmp_path}/hit\n'
            f"[core]\n\tfsmonitor = touch {tmp_path}/hit\n\tsshCommand = touch {tmp_path}/hit\n"
        )
    assert of(repo) == Identity("roots", (root,))
    assert not (tmp_path / "hit").exists()


def test_a_history_that_cannot_be_read_is_said(repo, git):
    (repo / ".git" / "refs" / "heads" / "main").write_text("1" * 40 + "\n")
    with pytest.raises(ProdigyError, match=r"the root commits cannot be read"):
        of(repo)
