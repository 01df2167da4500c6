"""hub leave: this repository takes part in the hub no more."""

import os

import click

from prodigy_git import amounts, gitenv
from prodigy_git.cli import output
from prodigy_git.store import home

_PATIENCE = 10.0


@click.command()
@click.option(
    "--force", is_flag=True, help="Give back what agents of this host work on; leave also untold."
)
@output.json_option
def leave(force: bool, as_json: bool) -> None:
    """Take part in the hub no more; all that is here stays.

    What the hub has not been told yet is shipped first. While agents of this host have claims on its
    jobs it refuses; with --force they are given back, and the repository leaves also where the hub is
    away. The address goes from the repository's git config; 'hub init URL' takes part again.

    \b
    Example:
      prodigy-git hub leave
    """
    from prodigy_git.git import repository
    from prodigy_git.hub import address
    from prodigy_git.lifecycle import leaving_hub
    from prodigy_git.record import repokey

    common = repository.find(gitenv.here()).common
    where = address.required(common, os.environ)
    store = home.here()
    done = leaving_hub.leave(
        where, store, repokey.take(store, common), common,
        force=force, patience=_PATIENCE, say=output.note,
    )  # fmt: skip
    if done.untold is not None:
        output.note(f"{done.untold}; what it has not been told stays here")
    if os.environ.get(address.VARIABLE):
        output.note(f"{address.VARIABLE} is set, and still names a hub: unset it")
    if as_json:
        output.emit_json(
            {
                "address": where.shown(), "shipped": done.shipped,
                "given_back": [{"job_id": job, "item_id": item} for job, item in done.given_back],
                "host_left": done.marked, "error": done.untold,
            }
        )  # fmt: skip
        return
    output.line(f"left {where.shown()}; {amounts.number(done.shipped, 'event')} shipped first")
    for job, item in done.given_back:
        output.line(f"given back: {item} of {job}")
