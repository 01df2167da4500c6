"""What the tests on salvages that no ref reaches look at."""

import shutil
import subprocess
from pathlib import Path

from prodigy_git.cleanup.trash import entry as entries

SECRETS = """
printf 'TOKEN own' >own; git add own; git commit -q -m own
printf 'TOKEN amended' >a; git add a; git commit -q -m a
printf 'fine' >a; git commit -q --amend -a -m a
git switch -q --detach
printf 'TOKEN lone' >l; git add l; git commit -q -m lone
git tag -a -m 'TOKEN tag' t; git update-ref refs/worktree/t t; git tag -d t >/dev/null
git switch -q -
printf 'TOKEN staged' >s; git add s; printf 'TOKEN changed' >s; printf 'TOKEN untracked' >u
"""


COLLECT = """
git reflog expire --expire=now --expire-unreachable=now --all
git gc -q --prune=now --aggressive; git repack -q -a -d; git repack -q -a -d -F --pack-kept-objects
git repack -q -d --geometric=2 --write-midx; git repack -q --cruft --cruft-expiration=now -d
git multi-pack-index write; git multi-pack-index expire; git multi-pack-index repack
git prune --expire=now; git prune-packed -q
for task in gc commit-graph loose-objects incremental-repack pack-refs; do
    git maintenance run --quiet --task=$task
done
git gc -q --prune=now
"""


def objects(repo: Path) -> bytes:
    """Return the contents of all objects of a repository, one after the other."""
    batch = ["git", "cat-file", "--batch", "--batch-all-objects"]
    return subprocess.run(batch, cwd=repo, check=True, capture_output=True).stdout


def empty(found: entries.Entry) -> None:
    """Let the time of an entry in the trash be over."""
    for path in (found.folder, found.git):
        shutil.rmtree(path)
    found.state = "emptied"
    entries.write(found)
