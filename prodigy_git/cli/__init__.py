"""The command line. Each command's module is imported when that command is called, not before."""

import contextlib
import errno
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import click

from prodigy_git import __version__, descriptors, layout
from prodigy_git.cli.lazy import LazyGroup
from prodigy_git.errors import ProdigyError
from prodigy_git.names import BadName
from prodigy_git.record import files, ownership

_COARSE = 1.0  # seconds by which a file's time may be behind the clock
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_COMMANDS = {
    "install": "prodigy_git.cli.hooks:install",
    "uninstall": "prodigy_git.cli.hooks:uninstall",
    "hooks": "prodigy_git.cli.hooks:hooks",
    "agents": "prodigy_git.cli.plug_in:agents",
    "new-worktree": "prodigy_git.cli.worktrees:new_worktree",
    "setup": "prodigy_git.cli.setup:setup",
    "finish": "prodigy_git.cli.worktrees:finish",
    "worktree": "prodigy_git.cli.worktrees:worktree",
    "sessions": "prodigy_git.cli.sessions:sessions",
    "status": "prodigy_git.cli.status:status",
    "top": "prodigy_git.cli.top:top",
    "explain": "prodigy_git.cli.explain:explain",
    "logs": "prodigy_git.cli.logs:logs",
    "diff": "prodigy_git.cli.diff:diff",
    "report": "prodigy_git.cli.report:report",
    "job": "prodigy_git.cli.job:job",
    "run": "prodigy_git.cli.running:run",
    "stop": "prodigy_git.cli.stop:stop",
    "resume": "prodigy_git.cli.resume:resume",
    "conflicts": "prodigy_git.cli.conflicts:conflicts",
    "merge": "prodigy_git.cli.merge:merge",
    "publish": "prodigy_git.cli.publish:publish",
    "import": "prodigy_git.cli.import_runs:import_runs",
    "dlq": "prodigy_git.cli.dlq:dlq",
    "hub": "prodigy_git.cli.hub:hub",
    "event": "prodigy_git.cli.event:event",
    "events": "prodigy_git.cli.events:events",
    "otel": "prodigy_git.cli.otel:otel",
    "clean": "prodigy_git.cli.clean:clean",
    "trash": "prodigy_git.cli.trash:trash",
    "sync": "prodigy_git.cli.sync:sync",
    "verify": "prodigy_git.cli.verify:verify",
    "doctor": "prodigy_git.cli.doctor:doctor",
    "statusline": "prodigy_git.cli.statusline:statusline",
    "agent-hook": "prodigy_git.cli.agent_hook:agent_hook",
    "context": "prodigy_git.cli.context:context",
    "shell-init": "prodigy_git.cli.shell:shell_init",
    "completion": "prodigy_git.cli.shell:completion",
}
_SHORT = {
    "install": "Install the git hooks that record commits.",
    "uninstall": "Take our hooks out and put back what was there before, byte for byte.",
    "hooks": "Show whether the hooks are in effect here, and what this worktree is enrolled as.",
    "agents": "Agent programs: plug in, so that they tell what their agents do.",
    "new-worktree": "Make a worktree with a branch and a session of its own, and print its path.",
    "setup": "Set-up commands: what would run in a new worktree, and whether a person has allowed it.",
    "finish": "End a session: of the worktree you stand in, or NAME.",
    "worktree": "Worktrees and their sessions: list them, look into them, clean them, bring them back.",
    "sessions": "Sessions: one worktree's stretch of work each.",
    "status": "Show jobs, agents, queue and trash, trouble first, and what to do about it.",
    "top": "Show agents and events on a full screen, live: trouble first.",
    "explain": "Tell the story of a commit, a work item, a session or an agent.",
    "logs": "Show what an agent has said and done: its command's output, its program's transcript.",
    "diff": "Show what an item's result changes, against where it parted from its target.",
    "report": "Write a job's report: one HTML file that opens offline, and print its path.",
    "job": "Jobs: open one with work items, hand the items out, see how far it is.",
    "run": "Run COMMAND on a work item, in a worktree made for it; give '--' before it.",
    "conflicts": "Say which results merge, which conflict, and in which order most of them merge.",
    "merge": "Merge the results of agents into a branch, one after the other.",
    "publish": "Push the branches of results, and open a pull request for each.",
    "stop": "Stop agents that `run` started, wherever its terminal is.",
    "resume": "Take up a job, or a session and its job, where a crash left it.",
    "import": "Take over what Prodigy left: its runs become jobs that can go on here.",
    "dlq": "The dead letter queue: work items whose attempts are used up.",
    "hub": "The hub: a PostgreSQL database that joins hosts, whose agents work on the same jobs.",
    "event": "Put events of your own into a job's log.",
    "events": "The event logs of the jobs.",
    "otel": "Traces and metrics for monitoring systems.",
    "clean": "Clean up what is finished and old, of this repository: into the trash, or archives.",
    "trash": "What was cleaned, and waits in the trash: list it, empty it.",
    "sync": "Wait until all that git knows is in the log, and say what was recorded.",
    "verify": "Compare the log with git's own records.",
    "doctor": "Examine hooks, store, worktrees and sessions; exit 1 where there is an error.",
    "statusline": "Print one line on the session you stand in, for a prompt; nothing outside of one.",
    "agent-hook": "Take in one event of an agent program: what its hooks call.",
    "context": "Say what an agent should know of its work and of the others' before it begins.",
    "shell-init": "Print what a shell's rc file evaluates: completion, and the function pgcd.",
    "completion": "Print the completion alone, as for a file in the shell's folder of completions.",
}
"""The first sentence of each command's help, for `--help` and completion, which import none of them."""


@click.group(
    cls=LazyGroup,
    where=_COMMANDS,
    short=_SHORT,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="prodigy-git")
@click.pass_context
def cli(context: click.Context) -> None:
    """Worktree sessions for many coding agents at once, and every commit recorded exactly once.

    Exit codes: 0 done, 1 something is wrong (one line on stderr says what), 2 wrong usage.

    \b
    Example:
      prodigy-git install
      cd "$(prodigy-git new-worktree login --agent ada)"
    """
    if context.invoked_subcommand not in _AT_ONCE:
        settle()


_AT_ONCE = frozenset(
    ("install", "uninstall", "event", "statusline", "agent-hook", "shell-init", "completion", "sync",
     "top", "hooks", "trash", "dlq", "job", "agents", "hub")
)  # fmt: skip
"""The commands that need no commit to be recorded, or see to it themselves."""


def settle() -> None:
    """Have recorded what hooks have left to recorders: `git commit`, then a look, shows the commit.

    And done what the ends of agent programs ask for, where the process that was to do it was killed.
    """
    from prodigy_git.record import underway
    from prodigy_git.record.conversations import end_notes
    from prodigy_git.store import home

    try:
        store = home.here()
    except (ProdigyError, OSError):
        return  # the command says so
    if underway.marks(store):
        from prodigy_git.cli import output
        from prodigy_git.store import sessions

        sessions.settle(store, output.note)
    if end_notes.notes(store):
        from prodigy_git.cli import output
        from prodigy_git.lifecycle import program_ended

        program_ended.settle(store, output.note)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit; the only place where errors become exit codes."""
    _to_its_end(lambda: run(arguments))


def call(work: Callable[[], int]) -> None:
    """Do what is no command of the command line's as if it were one, and exit with what it returns."""
    from prodigy_git.cli import output
    from prodigy_git.gitenv import drop_local_variables

    def guarded() -> int:
        output.begin()
        drop_local_variables(os.environ)
        return _guarded(work, ())

    _to_its_end(guarded)


def _to_its_end(work: Callable[[], int]) -> None:
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, _interrupt)
    code = work()
    if descriptors.lost():
        from prodigy_git.cli import output

        output.error(
            "standard output is closed: what was done stands, but the result is not printed"
        )
        code = code or 1
    _drop_output()
    sys.exit(code)


class _Interrupted(BaseException):
    """A signal asked for the end; not KeyboardInterrupt, at which click prints a line of its own."""


def _interrupt(*_: object) -> None:
    # What was begun is undone first, which a second signal, also to git, must not cut short.
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise _Interrupted


def _was_interrupted(error: BaseException | None) -> bool:
    """Whether an error that is no word of ours is what a library has made of a signal."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt | _Interrupted):
            return True
        error = error.__cause__ or error.__context__
    return False


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code (``docs/reference/exit-codes.md``)."""
    from prodigy_git.cli import output
    from prodigy_git.gitenv import drop_local_variables

    output.begin()
    git_dir = os.environ.get("GIT_DIR")
    drop_local_variables(os.environ)
    given = sys.argv[1:] if arguments is None else arguments
    if git_dir is not None:
        _stand_in(git_dir, given)

    def work() -> Any:
        return cli.main(
            args=None if arguments is None else list(arguments),
            prog_name="prodigy-git",
            standalone_mode=False,
        )

    return _guarded(work, given)


def _guarded(work: Callable[[], Any], given: Sequence[str]) -> int:
    """Do ``work`` and return the exit code; ``given`` are the words of the command line."""
    from prodigy_git.cli import output
    from prodigy_git.gitenv import NOWHERE
    from prodigy_git.gitenv import gone as gone_folder

    stdout, stderr = sys.stdout, sys.stderr
    begun = time.time()
    try:
        code = work()
        if sys.stdout is not None:
            sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.UsageError as error:
        from prodigy_git.cli import usage

        usage.say(error, cli, given)
        return 2
    except click.ClickException as error:
        output.error(error.format_message())
        return 1
    except (click.Abort, KeyboardInterrupt, _Interrupted):
        output.error("interrupted")
        return 130
    except SystemExit:
        # click answers a broken pipe so, in every mode, and wraps what it cannot flush.
        if sys.stdout is stdout:
            raise
        sys.stdout, sys.stderr = stdout, stderr
        _drop_output()
        return 0
    except BrokenPipeError:
        # The reader has gone (`| head`); what it wanted it has.
        _drop_output()
        return 0
    except (ProdigyError, BadName) as error:
        gone = gone_folder() if NOWHERE in str(error) else None
        output.error(gone or str(error))
        return error.code
    except (files.Unusable, files.Damaged) as error:
        output.error(f"{error}; nothing more was changed")
        return 1
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        gone = gone_folder() if error.errno in (errno.ENOENT, errno.ESTALE) else None
        if gone is not None:  # a relative path leads nowhere then
            output.error(gone)
            return 1
        output.error(f"{error.strerror or error}{where}; nothing more was changed")
        _drop_output()
        return 1
    except Exception as error:
        # CPython before 3.12 makes a RuntimeError of what ends the making of a class: an import's.
        if _was_interrupted(error):
            output.error("interrupted")
            return 130
        # A bug of ours. The user gets a line; whoever mends it gets the rest from the store's log.
        import traceback

        from prodigy_git.record.log import report
        from prodigy_git.store import home

        where = ""
        with contextlib.suppress(ProdigyError):  # without a store there is no log of it
            store = home.here()
            report(store, traceback.format_exc())
            where = f" with the last entry of {layout.hook_errors(store)}"
        output.error(f"internal error, {type(error).__name__}: {error}; please report it{where}")
        return 1
    finally:
        ownership.hand_over_noted(begun - _COARSE)


_OF_A_REPOSITORY = frozenset(
    ("install", "uninstall", "hooks", "doctor", "verify", "finish", "status", "sessions")
)
"""The commands that are about the repository one stands in, and take no path of a file."""


def _stand_in(git_dir: str, arguments: Sequence[str]) -> None:
    """Go to the repository that ``GIT_DIR`` names, where we stand in none, as yadm's shell has it.

    Where we stand in one it is that one: a hook's or an alias's GIT_DIR is often not what is meant.
    """
    from prodigy_git.record import gitdir

    if arguments and arguments[0] in _OF_A_REPOSITORY:
        with contextlib.suppress(OSError):
            if gitdir.find(os.getcwd(), {}) is None and os.path.isfile(f"{git_dir}/HEAD"):
                os.chdir(git_dir)


def _drop_output() -> None:
    """Keep the interpreter from complaining when it flushes, at exit, what cannot be written."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except AttributeError:
        pass  # closed before we began
