"""conflicts: results of a job and names, a table, a matrix and JSON; nothing is touched by it."""

from pathlib import Path

import pytest
from support_cli import new, ok, refused
from support_merging import everything
from support_terminal import Terminal

LINES = [f"{n}\n" for n in range(20)]


@pytest.fixture
def job(repo, git, tmp_path):
    """A job of four items: the second conflicts with the first, the third is empty, the last open."""
    (repo / "f").write_text("".join(LINES))
    git("add", "f", cwd=repo)
    git("commit", "-qm", "lines", cwd=repo)
    items = tmp_path / "items"
    items.write_text("".join(f'{{"id": "i{n}"}}\n' for n in range(1, 5)))
    ok("job", "start", "j", "--items", items, cwd=repo)
    for number, name in enumerate("abcd", 1):
        top = Path(
            new(repo, name, "--job", "j", "--agent", f"x{name}", "--item", f"i{number}")["worktree"]
        )
        if name != "c":
            lines = LINES.copy()
            lines[5 if name in "ab" else 15] = f"{name}\n"
            (top / "f").write_text("".join(lines))
            git("commit", "-qam", name, cwd=top)
        if name != "d":
            ok("finish", name, cwd=repo)
    return repo


def test_the_results_of_a_job(job, git):
    before = everything(job)
    found = ok("conflicts", "--job", "j", "--json", cwd=job).json
    assert (found["target_branch"], found["job_id"]) == ("main", "j")
    assert {one["item_id"]: one["state"] for one in found["results"]} == {
        "i1": "clean", "i2": "clean", "i3": "empty",
    }  # fmt: skip
    first = found["results"][0]
    assert (first["name"], first["session_id"], first["branch"]) == ("i1", "a", "prodigy/j/i1")
    files = [{"path": "f", "kinds": ["contents"]}]
    assert found["conflicts"] == [{"one": "i1", "other": "i2", "files": files, "not_known": None}]
    assert found["order"] == ["i1"]
    assert [(one["name"], one["with_results"]) for one in found["not_in_order"]] == [("i2", ["i1"])]
    assert everything(job) == before


def test_in_words(job):
    out = ok("conflicts", cwd=job).out
    assert "i1 and i2: f (contents)" in out
    assert "1 of 2 merge into main, in this order: i1" in out
    assert "left: i2 (with i1 in f (contents))" in out
    assert "1\ti1\t    x" in out


def test_by_names_into_another_branch(job, git):
    git("branch", "other", "prodigy/j/i1", cwd=job)
    found = ok("conflicts", "d", "b", "--into", "other", "--json", cwd=job).json
    assert [(one["name"], one["state"]) for one in found["results"]] == [
        ("i4", "clean"), ("i2", "conflict"),
    ]  # fmt: skip
    assert found["not_in_order"][0]["with_target"]
    assert "nothing" in refused("conflicts", "nothing", cwd=job)
    assert "no branch nowhere" in refused("conflicts", "a", "--into", "nowhere", cwd=job)


def test_what_merge_has_merged_with_a_conflict_resolved_is_merged(job, git):
    """Squashed, and resolved by hand: the contents do not tell any more."""
    ok("merge", "a", cwd=job)
    resolve = "git checkout --ours f && echo both >> f && git add f"
    ok("merge", "b", "--squash", "--resolve", resolve, "--no-check", cwd=job)
    found = ok("conflicts", "--job", "j", "--json", cwd=job).json
    assert [one["state"] for one in found["results"]] == ["merged", "merged", "empty"]
    assert found["order"] == found["not_in_order"] == []


def test_the_branches_of_merged_results_are_deleted_whatever_became_of_them(job, git):
    ok("merge", "a", cwd=job)
    resolve = "git checkout --ours f && echo both >> f && git add f"
    ok("merge", "b", "--squash", "--resolve", resolve, "--no-check", cwd=job)
    for name in "ab":
        git("worktree", "remove", "--force", f"{job.parent}/store/worktrees/repo/{name}", cwd=job)
    done = ok("clean", "--branches", "--yes", "--json", cwd=job).json["branches"]["items"]
    assert [(one["branch"], one["result"]) for one in done] == [
        ("prodigy/j/i1", "deleted"), ("prodigy/j/i2", "deleted"),
    ]  # fmt: skip


@pytest.mark.parametrize("width", [30, 200])
def test_on_a_terminal(job, width):
    terminal = Terminal("conflicts", "--job", "j", cwd=job, columns=width)
    shown = terminal.until("left:").replace("\r", "")
    assert "i1 and i2" in shown
    assert max(map(len, shown.splitlines())) <= width
    terminal.close()


def test_a_report_says_the_same_and_counts_what_is_not_merged(job, git):
    found = ok("conflicts", "--job", "j", "--json", cwd=job).json
    report = ok("report", "--job", "j", "--json", cwd=job).json
    same = ("target_branch", "target_commit", "results", "conflicts", "order", "not_in_order")
    assert report["merging"] == {"unknown": None, **{name: found[name] for name in same}}
    assert [(row["path"], row["items"]) for row in report["files"]["shown"]] == [
        ("f", ["i1", "i2"])
    ]
    ok("merge", "a", cwd=job)
    report = ok("report", "--job", "j", "--json", cwd=job).json
    assert report["files"]["shown"] == []
    git("branch", "-m", "main", "elsewhere", cwd=job)
    report = ok("report", "--job", "j", "--json", cwd=job).json
    assert "--into" in report["merging"]["unknown"]


def test_what_is_checked_out_is_not_looked_at(job, git):
    git("checkout", "-q", "--detach", cwd=job)
    (job / "f").unlink()
    assert ok("conflicts", "--job", "j", "--json", cwd=job).json["order"] == ["i1"]
