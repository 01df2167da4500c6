"""publish: branches pushed, and pull requests opened, or the addresses where they can be."""

from typing import TYPE_CHECKING

import click

from prodigy_git import gitenv
from prodigy_git.cli import completing, output, result_options

if TYPE_CHECKING:
    from prodigy_git.merging.publish.publishing import Published

_NONE_LEFT = 3


@click.command()
@result_options.results("What the pull requests go into.")
@click.option(
    "--remote",
    default="origin",
    show_default=True,
    metavar="REMOTE",
    help="Where to push.",
    shell_complete=completing.remotes,
)
@click.option("--draft", is_flag=True, help="Open the pull requests as drafts.")
@click.option("--dry-run", is_flag=True, help="Say what would be pushed and change nothing.")
@output.json_option
def publish(
    names: tuple[str, ...],
    job: str | None,
    into: str | None,
    remote: str,
    draft: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Push the branches of results, and open a pull request for each.

    Title and body are made from the item, its commits and its checks. Where gh or
    glab is installed and logged in, it opens the request; else the address is
    printed where that is done. Nothing is forced, but what is there from an
    earlier call of ours.

    \b
    Example:
      prodigy-git publish login --draft
      prodigy-git publish --job review --dry-run
    """
    from prodigy_git.lifecycle import whereabouts
    from prodigy_git.merging.publish import publishing
    from prodigy_git.merging.queue import choosing, target

    cwd = gitenv.here()
    known = None
    if names and job is None:
        store, repo = whereabouts.repository(cwd, take=not dry_run)
    else:
        store, repo, known = choosing.of_here(cwd, job, output.note, take=not dry_run)
    found = choosing.chosen(store, repo, names, known, output.note, fetch=not dry_run)
    branch = target.find(store, repo, cwd, into, found)
    found = [one for one in found if one.branch != branch.branch]
    if not found:
        output.note("there is nothing to publish")
        if as_json:
            output.emit_json([])
        return _NONE_LEFT

    def told(done: "Published") -> None:
        if not as_json:
            _tell(done, remote, dry_run=dry_run)

    done = publishing.publish(
        branch, found, remote, cwd=cwd, draft=draft, dry_run=dry_run, told=told, broken=output.note
    )
    if as_json:
        output.emit_json([one.as_json(remote) for one in done])
    return 1 if any(one.state in ("refused", "not_ready") for one in done) else 0


def _tell(done: "Published", remote: str, *, dry_run: bool) -> None:
    name = done.result.name
    if done.title is None or done.state == "nothing":
        output.prose(f"{name}: not published: {done.reason}")
        return
    where = f"{done.result.branch} to {remote}"
    if done.pushed:
        text = f"would push {where}" if dry_run else f"pushed {where}"
    else:
        text = f"{remote} has {done.result.branch} already"
    if done.reason is not None:
        text += f", no pull request: {done.reason}"
    elif done.opened is not None:
        text += ", opened" if done.opened == "now" else ", its pull request is there"
    elif done.url is not None:
        text += ", to be opened at"
    output.prose(f"{name}: {text}")
    if done.url is not None:
        output.line(done.url)
    if dry_run:
        output.prose(f"  {done.title}")
