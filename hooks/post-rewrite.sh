# `rebase` comes once, at a rebase's end; `amend` also comes inside one, for each fixup or squash.
prodigy_begin "$@"
[ "${1-}" = rebase ] || prodigy_unless_rebasing
prodigy_record "$@"
