# A checkout makes no commit. What it can make is a worktree: then git passes the null id as the
# previous HEAD, as it does for a clone and after an unborn branch, which are not linked worktrees.
prodigy_begin "$@"
prodigy_unless_rebasing
if ! prodigy_enrolled; then
	case ${1-} in
	0000000000000000000000000000000000000000) ;;
	0000000000000000000000000000000000000000000000000000000000000000) ;;
	*) exit "$prodigy_status" ;;
	esac
	[ -f "$prodigy_dir/commondir" ] || exit "$prodigy_status"
fi
prodigy_record "$@"
