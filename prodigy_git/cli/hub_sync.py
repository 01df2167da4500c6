"""hub sync: this host's events go to the hub, the others' come."""

import contextlib
import os
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from prodigy_git import gitenv
from prodigy_git.cli import completing, output
from prodigy_git.names import checked
from prodigy_git.store import home

if TYPE_CHECKING:
    from prodigy_git.hub.syncing import Done, Exchange

_PATIENCE = 10.0


@click.command()
@click.option("--follow", is_flag=True, help="Go on: exchange what happens, until it is ended.")
@click.option("--job", metavar="JOB", help="This one job alone.", shell_complete=completing.jobs)
@output.json_option
def sync(follow: bool, job: str | None, as_json: bool) -> int:
    """Ship what was recorded on this host, and pull what the others have.

    Events of all jobs of this repository, but of those that have items of their own: 'job start --hub'
    is what shares such a job. And which sessions there are. May be called at any time, also twice at
    once; whatever is interrupted is gone on with. With --follow, it goes on until it is interrupted,
    or gets SIGTERM: an event is on the other hosts in a part of a second. A hub that is not reached is
    tried again.

    \b
    Example:
      prodigy-git hub sync --follow
    """
    if follow and as_json:
        raise click.UsageError("--json tells of one exchange: --follow goes on")
    exchange = exchange_of(job, again=follow)
    if follow:
        _follow(exchange)
        return 0
    exchange.begin()
    done = exchange.whole()
    if as_json:
        output.emit_json(done.as_json())
    else:
        _show(done)
    for name, why in done.failed.items():
        output.note(f"job {name}: {why}")
    return 1 if done.failed else 0


def exchange_of(job: str | None, *, again: bool = False) -> "Exchange":
    """Return the exchange of this repository, or of one job, with its hub.

    The hub is connected, unless that is tried ``again`` and again. Raises `ProdigyError`.
    """
    from prodigy_git.git import repository
    from prodigy_git.hub import address, connection
    from prodigy_git.hub.syncing import Exchange
    from prodigy_git.record import repokey

    if job is not None:
        checked(job, "job id")
    there = repository.find(gitenv.here())
    where = address.required(there.common, os.environ)
    store = home.here()
    conn = (
        connection.Connection(where) if again else connection.connected(where, patience=_PATIENCE)
    )
    return Exchange(conn, store, repokey.take(store, there.common), there.common, output.note, job)


def _show(done: "Done") -> None:
    shipped, pulled = sum(done.shipped.values()), sum(done.pulled.values())
    output.line(
        f"{_of_jobs(shipped, done.shipped)} shipped, {_of_jobs(pulled, done.pulled)} pulled"
    )


def _of_jobs(count: int, jobs: dict[str, int]) -> str:
    some = sum(map(bool, jobs.values()))
    events = f"{count} event{'' if count == 1 else 's'}"
    return events if some == 0 else f"{events} of {some} job{'' if some == 1 else 's'}"


def _follow(exchange: "Exchange") -> None:
    """Exchange until a signal ends it, which may come at any moment: what is begun is no loss."""
    from prodigy_git.hub import following

    def tell(text: str) -> None:
        click.echo(f"prodigy-git: {output.clean(text)}", err=True)

    with _ended_by_signals():
        following.follow(exchange, tell)


class _Ended(BaseException):
    """A signal has come."""


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    def end(*_: Any) -> None:
        raise _Ended

    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, end)
    with contextlib.suppress(_Ended):
        yield
