"""Which lines a commit brought: what git's patch says, against the files themselves."""

import hashlib
import os
import string

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prodigy_git.attribution import by_files, patches
from prodigy_git.record import gitdir

LINE = st.sampled_from(
    ["a", "b", "c", "--- a/x", "+++ b/f", "@@ -1 +1 @@", "f" * 40, "", "\\ No", "é"]
)
TEXT = st.tuples(st.lists(LINE, max_size=8), st.booleans()).map(
    lambda both: "\n".join(both[0]) + ("\n" if both[1] else "")
)
NAMES = ["f", "a b", 'q"uo\\te', "t\tab", "new\nline", "b/f", "é", "sub/f"]
TREE = st.dictionaries(st.sampled_from(NAMES), TEXT, max_size=4)
NAME = string.ascii_lowercase


def put(repo, git, tree):
    git("rm", "-rqf", "--ignore-unmatch", ".", cwd=repo)
    for name, text in tree.items():
        path = repo / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, newline="")
    git("add", "-A", cwd=repo)
    git("commit", "-q", "--allow-empty", "-m", "x", cwd=repo)
    return git("rev-parse", "HEAD", cwd=repo)


def of(repo, *commits):
    place = gitdir.find(str(repo), {})
    return dict(patches.brought(place, patches.parents_of(place, commits)))


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(first=TREE, second=TREE)
def test_what_was_brought_is_in_the_file_and_what_was_there_is_the_rest(repo, git, first, second):
    one = put(repo, git, first)
    other = put(repo, git, second)
    found = of(repo, one, other)
    for commit, tree in ((one, first), (other, second)):
        for path, lines in found[commit].items():
            there = tree[path].encode().split(b"\n")
            assert all(there[line.number - 1] == line.text for line in lines)
            assert len({line.number for line in lines}) == len(lines)
    # Nothing that is new is missing: each line that the file did not have at all was brought.
    for path, text in second.items():
        known = set(first.get(path, "").encode().split(b"\n"))
        if any(set(text.split("\n")) & set(other.split("\n")) for other in first.values()):
            continue  # it may be a renamed file, which brings only what the other did not have
        new = {
            n for n, line in enumerate(text.encode().split(b"\n"), 1) if line and line not in known
        }
        assert new <= {line.number for line in found[other].get(path, ())}


def test_a_merge_brought_what_no_parent_has(repo, git):
    put(repo, git, {"f": "a\nb\nc\n"})
    git("checkout", "-q", "-b", "side", cwd=repo)
    put(repo, git, {"f": "a\nside\nc\n", "g": "g\n"})
    git("checkout", "-q", "-", cwd=repo)
    put(repo, git, {"f": "a\nmain\nc\n"})
    git("merge", "-q", "side", cwd=repo, check=False)
    (repo / "f").write_text("a\nmain\nboth\nside\nc\n")
    git("commit", "-qam", "merged", cwd=repo)
    head = git("rev-parse", "HEAD", cwd=repo)
    assert {
        path: [line.number for line in lines] for path, lines in of(repo, head)[head].items()
    } == {"f": [3]}


def test_what_is_no_text_is_named_without_lines(repo, git):
    (repo / "picture").write_bytes(b"\0\1\2" * 50)
    (repo / "old").write_text("".join(f"{n}\n" for n in range(30)))
    (repo / "gone").write_text("gone\n")
    git("add", "-A", cwd=repo)
    git("commit", "-qm", "first", cwd=repo)
    git("mv", "old", "new name", cwd=repo)
    git("rm", "-q", "gone", cwd=repo)
    os.chmod(repo / "picture", 0o755)
    git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},module", cwd=repo)
    git("add", "picture", cwd=repo)
    git("commit", "-qm", "second", cwd=repo)
    head = git("rev-parse", "HEAD", cwd=repo)
    assert of(repo, head)[head] == {"new name": [], "picture": []}
    first = git("rev-parse", "HEAD^", cwd=repo)
    assert of(repo, first)[first]["picture"] == []


def test_paths_that_are_no_text_are_told_apart(repo, git):
    for name in (b"a\xfeb", b"a\xffb"):
        (repo / os.fsdecode(name)).write_bytes(name[1:2] + b"\n")
    git("add", "-A", cwd=repo)
    git("commit", "-qm", "x", cwd=repo)
    head = git("rev-parse", "HEAD", cwd=repo)
    assert {os.fsencode(path): lines for path, lines in of(repo, head)[head].items()} == {
        b"a\xfeb": [patches.Line(1, b"\xfe")], b"a\xffb": [patches.Line(1, b"\xff")]
    }  # fmt: skip


def test_settings_and_attributes_change_nothing(repo, git):
    git("config", "diff.noprefix", "true", cwd=repo)
    git("config", "diff.external", "false", cwd=repo)
    git("config", "diff.loud.textconv", "tr a-z A-Z <", cwd=repo)
    git("config", "color.ui", "always", cwd=repo)
    (repo / ".gitattributes").write_text("* diff=loud\n")
    commit = put(repo, git, {"f": "a\n", ".gitattributes": "* diff=loud\n"})
    assert of(repo, commit)[commit]["f"] == [patches.Line(1, b"a")]


def test_commits_that_are_not_there_are_left_out(repo, git):
    commit = put(repo, git, {"f": "a\n"})
    assert list(of(repo, commit, "1" * 40, git("rev-parse", "HEAD^{tree}", cwd=repo))) == [commit]


def test_where_a_tree_is_missing_the_other_commits_are_compared(repo, git):
    commits = [put(repo, git, {name: f"{name}\n"}) for name in "abcd"]
    tree = git("rev-parse", f"{commits[1]}^{{tree}}", cwd=repo)
    (repo / ".git/objects" / tree[:2] / tree[2:]).unlink()
    place = gitdir.find(str(repo), {})
    found = dict(by_files.files(place, [*commits, "1" * 40]))
    assert found.keys() == {commits[0], commits[3]}
    assert found[commits[3]] == {
        "c": "0" * 40, "d": git("rev-parse", f"{commits[3]}:d", cwd=repo)
    }  # fmt: skip
    assert of(repo, *commits).keys() == {commits[0], commits[3]}


def test_rows_of_lines_are_ranges():
    lines = [patches.Line(n, b"x%d" % n) for n in (1, 2, 5)]
    assert patches.ranges(lines) == [
        patches.Range(1, 2, hashlib.sha256(b"x1\nx2\n").hexdigest()),
        patches.Range(5, 5, hashlib.sha256(b"x5\n").hexdigest()),
    ]
    assert patches.ranges([]) == []
