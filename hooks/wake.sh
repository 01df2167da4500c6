# Recording leaves git's way: this wakes a recorder, or finds one awake that has yet to look, and the
# hook is over. It returns where git has to wait, because that is asked for, or because anything is not
# as the note in the private git directory says (docs/reference/recording.md): slow, and right in every case. The
# note is prodigy_git/record/wake.py's; only builtins read it.
prodigy_wake() {
	# What a rebase replaced git deletes as soon as this hook is over.
	[ "$prodigy_hook ${1-}" != "post-rewrite rebase" ] || return 0
	[ "${PRODIGY_RECORD-}" != wait ] || return 0
	prodigy_note=$prodigy_dir/prodigy-wake
	# Of several users in one worktree, and for root in a user's, somebody has to see whose is what.
	if [ ! -O "$prodigy_dir/prodigy" ] || [ ! -f "$prodigy_note" ] || [ ! -O "$prodigy_note" ]; then
		return 0
	fi
	set -- "$prodigy_dir"/prodigy.[0-9]*
	[ ! -e "$1" ] || return 0
	prodigy_noted || return 0

	prodigy_mark=$prodigy_store/recorders/$prodigy_session+
	for prodigy_file in "$prodigy_mark"*; do
		prodigy_pid=${prodigy_file##*+}
		# Awake, and going to look: it holds this journal, and it lets go of it before its last look.
		# A process of another kind with the same number does not hold it.
		if [ "/proc/$prodigy_pid/fd/3" -ef "$prodigy_dir/logs/HEAD" ] &&
			[ "/proc/$prodigy_pid/fd/6" -ef "$prodigy_dir/HEAD" ]; then
			exit "$prodigy_status"
		fi
		# It did not end well: git waits once, so that whatever is wrong is said. (A zombie holds nothing.)
		[ "$prodigy_pid" = "*" ] || [ "/proc/$prodigy_pid/fd/8" -ef "$prodigy_lock" ] || {
			[ ! -d /proc/self/fd ] && kill -0 "$prodigy_pid" 2>/dev/null
		} || return 0
	done

	# What is needed of the worktree is opened before git returns: it may be gone a moment later. And
	# nothing is kept open of what git, or whoever started it, passes on: somebody may wait for its end.
	# Without `command`, a shell would exit with a failure where one cannot be opened.
	[ -f "$prodigy_dir/prodigy-cursor" ] || return 0
	{
		command exec 3<"$prodigy_dir/logs/HEAD" 4<"$prodigy_dir/prodigy" 5<>"$prodigy_dir/prodigy-cursor" \
			6<"$prodigy_dir/HEAD" 7<"$prodigy_dir" 8<"$prodigy_lock" 9<"$prodigy_note"
	} 2>/dev/null || return 0
	command exec </dev/null >/dev/null 2>&1 || return 0
	# Who looks for processes at work in the worktree must not find this one.
	prodigy_top=$PWD
	cd / || return 0
	# A Ctrl-C, or a runner that ends the whole process group, must not meet it before it is in a session
	# of its own: it takes the signals up again itself.
	trap '' HUP INT QUIT TERM
	prodigy_session=
	[ ! -x /usr/bin/setsid ] || prodigy_session=/usr/bin/setsid
	(
		exec $prodigy_session "$prodigy_python" -I -S -X utf8 -c 'import posix as p,sys;p.getsid(0)==p.getpid()or p.setsid();sys.path.insert(0,sys.argv[1]);from prodigy_git.record.recorder import main;main(sys.argv[2],sys.argv[3])' "$prodigy_package" "$prodigy_mark" "$prodigy_top"
	) &
	# By this the next hook, and whoever wants to read, finds it. It takes it away when all is recorded.
	printf '' >"$prodigy_mark$!"
	exit "$prodigy_status"
}

# Whether the note is still true: written here, for a store that is there, and in this environment; and
# no file of git's configuration is younger, in which `prodigy.record` may stand by now.
prodigy_noted() {
	case ${GIT_CONFIG_PARAMETERS-} in
	*[rR][eE][cC][oO][rR][dD]* | *[iI][nN][cC][lL][uU][dD][eE]*) return 1 ;;
	esac
	prodigy_number=0
	while [ "$prodigy_number" -lt "${GIT_CONFIG_COUNT:-0}" ]; do
		eval "prodigy_key=\${GIT_CONFIG_KEY_$prodigy_number-}"
		case $prodigy_key in
		*[rR][eE][cC][oO][rR][dD] | [iI][nN][cC][lL][uU][dD][eE]*) return 1 ;;
		esac
		prodigy_number=$((prodigy_number + 1))
	done 2>/dev/null
	prodigy_whole=
	{
		IFS= read -r prodigy_way
		IFS= read -r prodigy_private
		IFS= read -r prodigy_common
		IFS= read -r prodigy_store
		IFS= read -r prodigy_session
		IFS= read -r prodigy_home
		while IFS= read -r prodigy_file; do
			if [ "$prodigy_file" = . ]; then
				prodigy_whole=yes
			elif [ -e "$prodigy_file" ] && [ ! "$prodigy_note" -nt "$prodigy_file" ]; then
				break
			fi
		done
	} 2>/dev/null <"$prodigy_note"
	prodigy_lock=$prodigy_store/locks/session-$prodigy_session.lock
	[ -n "$prodigy_whole" ] && [ "${PRODIGY_RECORD:-$prodigy_way}" = background ] &&
		[ "$prodigy_private" -ef "$prodigy_dir" ] && [ -f "$prodigy_lock" ] &&
		[ "$prodigy_home" = "${HOME-}|${XDG_CONFIG_HOME-}|${GIT_CONFIG_GLOBAL-}|${GIT_CONFIG_SYSTEM-}|${GIT_CONFIG_NOSYSTEM-}" ]
}
