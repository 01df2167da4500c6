"""``python -m prodigy_git`` is the same as ``prodigy-git``."""

from prodigy_git.cli import main

if __name__ == "__main__":
    main()
