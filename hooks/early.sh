# First, because a shell reads a script as it runs it, and a rebase starts a hook for each pick: the
# functions below are not even parsed. What is not plain to see from here, the guard looks at again.
if [ -z "$prodigy_chained" ] && [ "$prodigy_hook ${1-}" != "post-rewrite rebase" ]; then
	if [ -d "${GIT_DIR:-.git}/rebase-merge" ] || [ -f "${GIT_DIR:-.git}/rebase-apply/rebasing" ]; then
		exit 0
	fi
fi
