# Names the session and the job in the message, where `git config prodigy.trailers true` asks for it.
# Only builtins until that is known; a message that is to be written in an editor is left alone while
# it is empty, since git would no longer see that nothing was written.
prodigy_trailers() {
	prodigy_enrolled || return 0
	[ "$(git config --type=bool --get prodigy.trailers 2>/dev/null)" = true ] || return 0
	[ -n "${2-}" ] || return 0
	# Where several users record, each has an enrolment, the first one under the plain name.
	prodigy_own=$prodigy_dir/prodigy.$(id -u)
	[ -f "$prodigy_own" ] || prodigy_own=$prodigy_dir/prodigy
	prodigy_line=
	[ ! -r "$prodigy_own" ] || IFS= read -r prodigy_line <"$prodigy_own"
	# One JSON object on one line, and ids hold no character that JSON escapes.
	case $prodigy_line in
	*'"session":"'*'"job":"'*) ;;
	*) return 0 ;;
	esac
	prodigy_session=${prodigy_line#*'"session":"'}
	prodigy_session=${prodigy_session%%'"'*}
	prodigy_job=${prodigy_line#*'"job":"'}
	prodigy_job=${prodigy_job%%'"'*}
	git interpret-trailers --in-place --if-exists addIfDifferent \
		--trailer "Prodigy-Session: $prodigy_session" --trailer "Prodigy-Job: $prodigy_job" \
		"$1" 2>/dev/null
	return 0
}

prodigy_begin "$@"
prodigy_trailers "$@"
exit "$prodigy_status"
