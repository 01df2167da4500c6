"""doctor: what is wrong with an installation, and what to do about it."""

import click

from prodigy_git import gitenv
from prodigy_git.cli import output


@click.command()
@click.option("--fix", is_flag=True, help="Carry out the remedies that are safe.")
@output.json_option
def doctor(fix: bool, as_json: bool) -> int:
    """Examine hooks, store, worktrees and sessions; exit 1 where there is an error.

    Has the installed hook record a commit, in a repository and a store in the temporary folder that are
    removed again. No other hook runs, and nothing here is changed.

    \b
    Example:
      prodigy-git doctor --fix
    """
    from prodigy_git.doctor import examine

    findings = examine(gitenv.here(), fix=fix)
    if as_json:
        output.emit_json([one.as_json() for one in findings])
    else:
        for one in findings:
            level = "fixed" if one.fixed else one.level
            text = f"{level}\t{one.what}: {one.words}"
            output.prose(text.replace("\t", "  ") + (f" ({one.remedy})" if one.remedy else ""))
    return 1 if any(one.level == "error" and not one.fixed for one in findings) else 0
