# Runs for commit, amend, cherry-pick, revert, a merge that had conflicts, and each pick of a rebase.
prodigy_begin "$@"
prodigy_unless_rebasing
prodigy_record "$@"
