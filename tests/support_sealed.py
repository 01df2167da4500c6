"""The git configuration of a sealed world."""

GIT_CONFIG = """\
[user]
	name = Test User
	email = test@example.org
[init]
	defaultBranch = main
[commit]
	gpgsign = false
[tag]
	gpgsign = false
[gc]
	auto = 0
[maintenance]
	auto = false
[advice]
	detachedHead = false
[protocol "file"]
	allow = always
[safe]
	directory = *
"""
