# What every hook does before, and after, its own few lines. Only builtins on the usual way: each
# process that a hook starts is paid for at every commit. Nothing here may fail a git command, so
# our part never has an exit status of its own, only the chained hooks have.
#
# Set above: prodigy_hook, prodigy_python, prodigy_package, prodigy_installed, prodigy_chained (the
# files beside this one that were the hook before us, oldest first, as `suffix:kind`, and how to call it
# where that is another way than by its file).

prodigy_begin() {
	prodigy_status=0

	# A manager that we call may call us again. Same hook, same folder: the same call of git, unless
	# git itself is our parent, as it is for a commit made by a hook. Where /proc is missing that
	# commit is recorded late rather than risking an endless loop.
	if [ "${PRODIGY_GIT_HOOK-}" = "$prodigy_hook $PWD" ]; then
		prodigy_parent=
		if [ -r "/proc/$PPID/comm" ]; then
			read -r prodigy_parent 2>/dev/null <"/proc/$PPID/comm"
		fi
		case $prodigy_parent in
		git | git-*) ;;
		*) exit 0 ;;
		esac
	fi
	export PRODIGY_GIT_HOOK="$prodigy_hook $PWD"

	[ -z "$prodigy_chained" ] || prodigy_chain "$@"
	[ -z "${PRODIGY_GIT_SILENCE-}" ] || exit "$prodigy_status"

	# The private git directory of this worktree; git starts hooks at the top of the worktree.
	if [ -n "${GIT_DIR-}" ]; then
		prodigy_dir=$GIT_DIR
	elif [ -d .git ]; then
		prodigy_dir=.git
	elif [ -f .git ]; then
		prodigy_dir=
		IFS= read -r prodigy_dir 2>/dev/null <.git
		case $prodigy_dir in
		"gitdir: "*) prodigy_dir=${prodigy_dir#gitdir: } ;;
		*) exit "$prodigy_status" ;;
		esac
	else
		exit "$prodigy_status"
	fi
	[ -d "$prodigy_dir" ] || exit "$prodigy_status"
}

# Run what was the hook before us; the first status that is not 0 becomes ours. Not for `doctor`, which
# tries our part alone.
prodigy_chain() {
	[ -z "${PRODIGY_GIT_ALONE-}" ] || return 0
	case $0 in
	*/*) prodigy_here=${0%/*} ;;
	*) prodigy_here=. ;;
	esac
	# The list of rewritten commits can be read once only. More than one reader is rare, so the
	# two processes that it takes to keep a copy are paid here alone.
	prodigy_shared=
	case "$prodigy_hook:$prodigy_chained" in
	post-rewrite:*" "*)
		prodigy_shared=yes
		prodigy_input=$(cat && echo .)
		;;
	esac
	for prodigy_item in $prodigy_chained; do
		prodigy_file=$prodigy_here/$prodigy_hook.${prodigy_item%%:*}
		# git ignores a hook that is not executable, and so do we.
		[ -x "$prodigy_file" ] || continue
		# Called by pre-commit or prek as their legacy hook: their own script has run already, and
		# would refuse to run again ("installed in migration mode").
		case "${0##*.}:${prodigy_item#*:}" in
		legacy:pre-commit) [ -z "${PRE_COMMIT_RUNNING_LEGACY-}" ] || continue ;;
		legacy:prek) [ -z "${PREK_RUNNING_LEGACY-}" ] || continue ;;
		esac
		if [ -n "$prodigy_shared" ]; then
			printf '%s' "${prodigy_input%.}" | prodigy_call "$@"
		else
			prodigy_call "$@"
		fi
		prodigy_code=$?
		[ "$prodigy_status" -ne 0 ] || prodigy_status=$prodigy_code
	done
}

# Call one of them. Some look at what their own file is called, and get to see the name they had.
prodigy_call() {
	case $prodigy_item in
	*:sh,*)
		prodigy_shell=${prodigy_item##*:sh,}
		prodigy_flag=${prodigy_shell#"${prodigy_shell%%,*}"}
		"${prodigy_shell%%,*}" ${prodigy_flag:+"${prodigy_flag#,}"} -c ". \"\$0.${prodigy_item%%:*}\"" \
			"$prodigy_here/$prodigy_hook" "$@"
		;;
	*:link) "$prodigy_here/${prodigy_item%%:*}/$prodigy_hook" "$@" ;;
	*) "$prodigy_file" "$@" ;;
	esac
}

# What a rebase makes is recorded once, when it is over: what happens in between may not survive.
prodigy_unless_rebasing() {
	if [ -d "$prodigy_dir/rebase-merge" ] || [ -f "$prodigy_dir/rebase-apply/rebasing" ]; then
		exit "$prodigy_status"
	fi
}

prodigy_enrolled() {
	[ ! -f "$prodigy_dir/prodigy" ] || return 0
	# Of several users in one worktree each has one; the first's may be gone.
	set -- "$prodigy_dir"/prodigy.[0-9]*
	[ -f "$1" ]
}

prodigy_say_once() {
	[ ! -f "$prodigy_dir/prodigy-hook-warned" ] || return 0
	# Not `: >file`: where that cannot be written, a POSIX shell would exit with a failure.
	printf '' 2>/dev/null >"$prodigy_dir/prodigy-hook-warned"
	printf '%s\n' "prodigy-git: commits are not recorded, $1 (said once)" >&2
}

# Hand over to Python: in the background, or where git has to wait, here.
prodigy_record() {
	# A shell that cannot start a process ends with a failure of its own.
	trap 'exit "$prodigy_status"' EXIT
	if [ ! -x "$prodigy_python" ] || [ ! -f "$prodigy_package/prodigy_git/record/hook.py" ]; then
		prodigy_gone=$prodigy_python
		[ ! -x "$prodigy_python" ] || prodigy_gone=$prodigy_package/prodigy_git
		prodigy_say_once "$prodigy_gone is gone; run 'prodigy-git install' again"
		exit "$prodigy_status"
	fi
	# The one git process that a hook may start, and only until the worktree is enrolled.
	if prodigy_enrolled; then
		prodigy_wake "$@"
	elif [ "$(git config --type=bool --get prodigy.autoRegister 2>/dev/null)" = false ]; then
		exit "$prodigy_status"
	fi
	# Ignored here, ignored by Python too: a Ctrl-C leaves neither a traceback nor half a line.
	trap '' INT
	# A Python that cannot start, and a package of which pip has just replaced a half, say so in many
	# lines at every commit: stderr is given back when our own code has begun, which always exits 0.
	"$prodigy_python" -I -S -X utf8 -c 'import sys;sys.path.insert(0,sys.argv[1]);from prodigy_git.record.hook import main,os;os.dup2(3,2);os.close(3);main(sys.argv[2],sys.argv[3:],"'"$prodigy_installed"'")' "$prodigy_package" "$prodigy_hook" "$@" </dev/null 3>&2 2>/dev/null
	case $? in
	0) [ ! -f "$prodigy_dir/prodigy-hook-warned" ] || rm -f "$prodigy_dir/prodigy-hook-warned" ;;
	129 | 137 | 143) ;; # ended from outside: the next hook records
	*) prodigy_say_once "$prodigy_python cannot run $prodigy_package/prodigy_git; if that does not pass, install prodigy-git anew" ;;
	esac
	exit "$prodigy_status"
}
