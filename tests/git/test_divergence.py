"""Ahead and behind for many at once: what git says for each pair."""

import random

import pytest

from prodigy_git.git import divergence
from prodigy_git.record import gitdir


def said(git, repo, one, base):
    counts = git("rev-list", "--left-right", "--count", f"{one}...{base}", cwd=repo).split()
    return int(counts[0]), int(counts[1])


def commit(git, repo, *parents):
    tree = git("write-tree", cwd=repo)
    flags = [word for one in parents for word in ("-p", one)]
    return git("commit-tree", tree, *flags, "-m", f"c{random.random()}", cwd=repo)


def test_as_git_counts_in_a_history_with_merges(git, repo, monkeypatch):
    random.seed(3)
    there = [git("rev-parse", "HEAD", cwd=repo)]
    for _ in range(60):
        count = min(len(there), random.choice((1, 1, 2)))
        there.append(commit(git, repo, *random.sample(there, count)))
    place = gitdir.find(str(repo), {})
    pairs = [(random.choice(there), random.choice(there)) for _ in range(40)]
    pairs.append((there[-1], there[-1]))
    found = divergence.ahead_behind(place, pairs)
    assert found == {pair: said(git, repo, *pair) for pair in pairs}
    assert len({*found.values()}) > 10
    monkeypatch.setattr(divergence, "_MOST", 5)
    few = divergence.ahead_behind(place, pairs)
    assert few == {pair: (0, 0) for pair in pairs if pair[0] == pair[1]}


def test_histories_that_have_nothing_in_common(git, repo):
    one, other = git("rev-parse", "HEAD", cwd=repo), commit(git, repo)
    more = commit(git, repo, other)
    place = gitdir.find(str(repo), {})
    assert divergence.ahead_behind(place, [(more, one)]) == {(more, one): (2, 1)}


@pytest.mark.parametrize("name", ["no-such", "0" * 40, "x y", "x\ny", "", "--all", "\udcff"])
def test_what_names_no_commit_is_left_out(git, repo, name):
    git("update-ref", "refs/remotes/origin/main", "HEAD", cwd=repo)
    blob = git("hash-object", "-w", "README", cwd=repo)
    head = git("rev-parse", "HEAD", cwd=repo)
    place = gitdir.find(str(repo), {})
    asked = ["refs/heads/main", name, blob, "refs/remotes/origin/main"]
    assert divergence.resolve(place, asked) == {
        "refs/heads/main": head,
        "refs/remotes/origin/main": head,
    }
