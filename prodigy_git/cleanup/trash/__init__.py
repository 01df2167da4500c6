"""The trash: an entry for each removed worktree, from the intent to remove it until it is emptied.

Whatever is removed comes here, whole, and everything here can go back until it is emptied.
"""
