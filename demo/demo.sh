#!/bin/sh
# The main job, on a clone of this repository: three agents in three worktrees commit at the same
# time, and every commit is in the job's log once. Run by `make demo`, which puts prodigy-git on PATH.
# Everything happens in a temporary folder with a HOME and a store of its own; it is removed at the
# end, and kept, and named, if something went wrong.
set -eu

commits=5 # by each agent

source=$(cd "$(dirname "$0")/.." && pwd -P)

# A caller's git environment (this may run from a hook) would point at another repository.
for variable in $(env | sed -n -e 's/^\(GIT_[A-Z0-9_]*\)=.*/\1/p' -e 's/^\(PRODIGY_[A-Z0-9_]*\)=.*/\1/p'); do
    unset "$variable"
done

work=$(mktemp -d "${TMPDIR:-/tmp}/prodigy-git-demo.XXXXXX")
work=$(cd "$work" && pwd -P)
finished=

leave() {
    status=$?
    trap - EXIT
    cd /
    if [ -n "$finished" ]; then
        rm -rf "$work"
    else
        [ "$status" -ne 0 ] || status=1
        echo "demo: failed; everything is left in $work" >&2
    fi
    exit "$status"
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

export HOME="$work/home" PRODIGY_HOME="$work/prodigy" XDG_CONFIG_HOME="$work/home/.config"
export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL="$work/home/.gitconfig" GIT_TERMINAL_PROMPT=0
mkdir "$HOME"
git config --global user.name "Demo"
git config --global user.email "demo@example.org"
# The checkout may belong to somebody else (a mounted volume, a container's root).
git config --global safe.directory "*"

say() {
    printf '\n# %s\n' "$*"
}

show() {
    printf '$ %s\n' "$*"
}

run() {
    show "$@"
    "$@"
}

fail() {
    printf 'demo: %s\n' "$*" >&2
    exit 1
}

# --- a clone with our hooks ---------------------------------------------------------------------

say "A clone of this repository, and our hooks in it"
# A shallow source cannot be hard-linked, which git says in a warning; --no-local copies it.
show git clone "$source" project
git clone -q --no-local "$source" "$work/project"
show cd project
cd "$work/project"
run prodigy-git install

say "Three worktrees, each for one agent and one work item of the job 'demo'"
for n in 1 2 3; do
    show "worktree_$n=\$(prodigy-git new-worktree --job demo --agent agent-$n --item item-$n)"
    path=$(prodigy-git new-worktree --job demo --agent "agent-$n" --item "item-$n")
    [ -d "$path" ] || fail "new-worktree printed no folder: $path"
    echo "$path"
    eval "worktree_$n=\$path"
done

# --- commits at the same time -------------------------------------------------------------------

work_in() { # folder, agent's number
    cd "$1"
    i=1
    while [ "$i" -le "$commits" ]; do
        echo "$i" >"agent-$2-$i.txt"
        git add "agent-$2-$i.txt"
        git commit -q -m "agent $2, commit $i"
        i=$((i + 1))
    done
}

say "$commits commits by each of them, at the same time"
base=$(git rev-parse HEAD)
pids=
for n in 1 2 3; do
    eval "path=\$worktree_$n"
    show "(cd \"\$worktree_$n\" && for i in $(seq -s ' ' "$commits"); do" \
        "echo \$i >agent-$n-\$i.txt; git add .; git commit -q -m \"agent $n, commit \$i\"; done) &"
    (work_in "$path" "$n") &
    pids="$pids $!"
done
show wait
for pid in $pids; do
    wait "$pid" || fail "a git command failed while the three were committing"
done

say "What was recorded"
run prodigy-git events ls --job demo

# The proof: the SHAs that git knows and the SHAs in the log, each list sorted, must be equal. A
# commit that is missing, or there twice, makes them differ.
for n in 1 2 3; do
    eval "path=\$worktree_$n"
    git -C "$path" rev-list "$base..HEAD"
done | sort >"$work/made"
prodigy-git events ls --job demo --type CommitCreated --json \
    | sed -n 's/.*"commit":"\([0-9a-f]*\)".*/\1/p' | sort >"$work/recorded"
made=$(wc -l <"$work/made" | tr -d ' ')
recorded=$(wc -l <"$work/recorded" | tr -d ' ')
[ "$made" -eq $((3 * commits)) ] || fail "git has $made commits, $((3 * commits)) were made"
cmp -s "$work/made" "$work/recorded" \
    || fail "$made commits made, $recorded recorded, and the two lists differ"

run prodigy-git sessions list
run prodigy-git worktree ls

say "One look at all of it, and the story of one commit"
run prodigy-git status
run prodigy-git explain "$(git -C "$worktree_1" rev-parse --short=10 HEAD)"

# --- the end of the work ------------------------------------------------------------------------

say "Agent 3 leaves a file that it did not commit; then all three finish"
show 'echo "not yet committed" >"$worktree_3/notes.txt"'
echo "not yet committed" >"$worktree_3/notes.txt"
for n in 1 2 3; do
    eval "path=\$worktree_$n"
    show "(cd \"\$worktree_$n\" && prodigy-git finish)"
    (cd "$path" && prodigy-git finish)
done

say "Cleaning takes what is finished, and refuses what would lose work"
show prodigy-git worktree clean --all
prodigy-git worktree clean --all || echo "(exit code $?)"
[ ! -e "$worktree_1" ] || fail "$worktree_1 is still there"
[ ! -e "$worktree_2" ] || fail "$worktree_2 is still there"
[ -f "$worktree_3/notes.txt" ] || fail "notes.txt is gone: clean did not refuse"

say "With -f that one goes too: not deleted, but moved to the trash, whole"
run prodigy-git worktree clean -f "$(basename "$worktree_3")"
[ ! -e "$worktree_3" ] || fail "$worktree_3 is still there"
kept=$(find "$PRODIGY_HOME/trash" -name notes.txt)
[ -n "$kept" ] || fail "notes.txt is not in the trash"
echo "${kept#"$PRODIGY_HOME"/}"

say "The store"
run cd "$PRODIGY_HOME"
show 'find events sessions state -type f | sort'
find events sessions state -type f | sort
show 'find trash -mindepth 3 -maxdepth 4 | sort'
find trash -mindepth 3 -maxdepth 4 | sort

finished=yes
printf '\nProved: %s commits made at the same time in 3 worktrees, %s recorded, each exactly once.\n' \
    "$made" "$recorded"
