# Runs for a merge without conflicts, fast-forward or not, where post-commit does not.
prodigy_begin "$@"
prodigy_unless_rebasing
prodigy_record "$@"
