# Runs for each patch of `git am`, and for each pick of a rebase with the apply backend.
prodigy_begin "$@"
prodigy_unless_rebasing
prodigy_record "$@"
