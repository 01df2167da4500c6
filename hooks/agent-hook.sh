# What an agent program's settings call, with PYTHON, PROGRAM and EVENT as its arguments, and the event's
# JSON on stdin: `sh agent-hook.sh …`, or where the program's shell is one of ours, `. agent-hook.sh` with its
# path behind them, which saves a process. The agent waits for it, and it is called in every folder in which
# somebody works: so what is not ours is told by builtins alone.
#
# It ends with 0 also where pip has just replaced a half of this file (a status but 0 keeps some programs
# from going on), but where the program asks something of us.
trap 'exit 0' EXIT
prodigy_python=${1-} prodigy_program=${2-} prodigy_event=${3-} prodigy_script=${4-$0}

# In a wheel this script is inside the package, in a checkout beside it.
prodigy_package=${prodigy_script%/hooks/*}
[ -f "$prodigy_package/prodigy_git/record/agent_hook.py" ] || prodigy_package=${prodigy_package%/*}

# The program makes no worktree itself where it asks us, and takes an empty answer for a failure: where we
# are not there (any more), git makes one at the place where the program would have it.
prodigy_gone() {
	[ "$prodigy_event" = WorktreeCreate ] || exit "${1-0}"
	trap - EXIT
	prodigy_top=$(git rev-parse --show-toplevel) || exit 1
	prodigy_name=agent-$$-$(date +%s)
	prodigy_path=$prodigy_top/.claude/worktrees/$prodigy_name
	git worktree add -q -b "worktree-$prodigy_name" "$prodigy_path" >&2 || exit 1
	printf '%s\n' "$prodigy_path"
	exit 0
}

[ -z "${PRODIGY_GIT_SILENCE-}" ] || exit 0
[ -x "$prodigy_python" ] || prodigy_gone
[ -f "$prodigy_package/prodigy_git/record/agent_hook.py" ] || prodigy_gone

# Whether the worktree of a folder has a session of ours.
prodigy_has_session() {
	prodigy_at=$1
	while [ ! -e "$prodigy_at/.git" ]; do
		case $prodigy_at in
		*/*) prodigy_at=${prodigy_at%/*} ;;
		*) return 1 ;;
		esac
	done
	prodigy_dir=$prodigy_at/.git
	if [ -f "$prodigy_dir" ]; then
		prodigy_line=
		IFS= read -r prodigy_line 2>/dev/null <"$prodigy_dir"
		case $prodigy_line in
		"gitdir: /"*) prodigy_dir=${prodigy_line#gitdir: } ;;
		"gitdir: "*) prodigy_dir=$prodigy_at/${prodigy_line#gitdir: } ;;
		*) return 1 ;;
		esac
	fi
	[ ! -f "$prodigy_dir/prodigy" ] || return 0
	# Of several users in one worktree each has one; the first's may be gone.
	set -- "$prodigy_dir"/prodigy.[0-9]*
	[ -f "$1" ]
}

# Whether there is something to do. What comes with each step of an agent means nothing where it has no
# session. Everything else is rare, and can be of a session that began elsewhere.
prodigy_wanted() {
	case $prodigy_event in
	*[Tt]ool* | *Execution | *File* | *Model | *Thought | message.*) ;;
	*) return 0 ;;
	esac
	prodigy_has_session "$PWD" && return 0
	# Through a link one may have come into the midst of a worktree.
	cd -P . 2>/dev/null && prodigy_has_session "$PWD" && return 0
	# Where the program began; it stands elsewhere by now, perhaps.
	for prodigy_folder in "${CLAUDE_PROJECT_DIR-}" "${GEMINI_PROJECT_DIR-}" "${CURSOR_PROJECT_DIR-}" \
		"${COPILOT_PROJECT_DIR-}"; do
		case $prodigy_folder in
		/*) prodigy_has_session "$prodigy_folder" && return 0 ;;
		esac
	done
	return 1
}

if ! prodigy_wanted; then
	case $prodigy_program in
	gemini | cursor) printf '{}\n' 2>/dev/null ;;
	esac
	exit 0
fi

prodigy_call() {
	"$prodigy_python" -I -S -X utf8 -c 'import sys;sys.path.insert(0,sys.argv[1]);from prodigy_git.record.agent_hook import main;main(sys.argv[2],sys.argv[3],int(sys.argv[4]))' "$prodigy_package" "$prodigy_program" "$prodigy_event" "$PPID"
}

case $prodigy_event in
WorktreeCreate | WorktreeRemove)
	trap - EXIT
	prodigy_call
	prodigy_status=$?
	case $prodigy_status in
	0 | 3 | 1[3-9]?) exit $prodigy_status ;; # done, refused, or ended by a signal
	esac
	prodigy_gone $prodigy_status # a Python that cannot start, an installation that lacks a library
	;;
esac
# A Python that cannot start, and a package of which pip has just replaced a half, are no failure of the
# agent's: stderr would be shown to it.
prodigy_call 2>/dev/null
exit 0
