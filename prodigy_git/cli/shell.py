"""shell-init, completion, worktree path: what a shell evaluates, and what that calls."""

import click

from prodigy_git import gitenv
from prodigy_git.cli import completing, output

_SHELLS = ("bash", "zsh", "fish")

# The x keeps the newlines that a path may end in, which $() would take off.
_PGCD = """
pgcd() {
    local where
    where=$(command prodigy-git worktree path "$@" && printf x) || return
    where=${where%$'\\n'x}
    case $where in
        /*) builtin cd -- "$where" ;;
        *) printf '%s\\n' "$where" ;;
    esac
}
"""

_SCRIPTS = {
    "bash": _PGCD
    + """
_pgcd() {
    local name quoted typed=${COMP_WORDS[COMP_CWORD]}
    COMPREPLY=()
    [ "$COMP_CWORD" = 1 ] || return 0
    while IFS= read -r name; do
        printf -v quoted %q "$name"
        if [[ $quoted == "$typed"* ]]; then COMPREPLY+=("$quoted"); fi
    done < <(command prodigy-git worktree path --names 2>/dev/null)
}
complete -F _pgcd pgcd
""",
    "zsh": _PGCD
    + """
_pgcd() {
    local -a found
    (( CURRENT == 2 )) || return 1
    found=("${(@f)$(command prodigy-git worktree path --names 2>/dev/null)}")
    compadd -- ${found}
}
compdef _pgcd pgcd
""",
    "fish": """
function pgcd --description 'Change into a worktree by its name, or into the main one'
    set -l where (command prodigy-git worktree path $argv | string collect)
    or return
    if string match -q -- '/*' $where
        builtin cd $where
    else
        printf '%s\\n' $where
    end
end
complete --command pgcd --no-files \
--condition 'test (count (commandline -opc)) -eq 1' \
--arguments '(command prodigy-git worktree path --names 2>/dev/null)'
""",
}

# Without it zsh has no `compdef`; an rc file that calls compinit itself has done so, or does again.
_COMPINIT = "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }\n"


@click.command("shell-init")
@click.argument("shell", metavar="SHELL", type=click.Choice(_SHELLS))
def shell_init(shell: str) -> None:
    """Print what a shell's rc file evaluates: completion, and the function pgcd.

    'pgcd NAME' changes into a worktree by its folder's name or its session, 'pgcd' into the main one.

    \b
    Example:
      eval "$(prodigy-git shell-init bash)"
      prodigy-git shell-init fish | source
    """
    click.echo(_completion(shell) + _SCRIPTS[shell], nl=False)


@click.command()
@click.argument("shell", metavar="SHELL", type=click.Choice(_SHELLS))
def completion(shell: str) -> None:
    """Print the completion alone, as for a file in the shell's folder of completions.

    \b
    Example:
      prodigy-git completion bash > ~/.prodigy-git.bash
    """
    click.echo(_completion(shell), nl=False)


def _completion(shell: str) -> str:
    from click.shell_completion import get_completion_class

    context = click.get_current_context()
    made = get_completion_class(shell)
    assert made is not None
    source = made(
        context.find_root().command, {}, "prodigy-git", "_PRODIGY_GIT_COMPLETE"
    ).source()  # fmt: skip
    # Its first line has to stay the first: `#compdef` is what zsh looks for in a file.
    head, _, rest = source.partition("\n")
    return f"{head}\n{_COMPINIT}{rest}" if shell == "zsh" else source


@click.command()
@click.argument("name", required=False, shell_complete=completing.worktrees)
@click.option("--names", "list_names", is_flag=True, hidden=True)
def path(name: str | None, list_names: bool) -> None:
    """Print the path of the worktree NAME: a folder's name, or a session. [default: the main one]

    The function pgcd, from 'prodigy-git shell-init', changes into it.

    \b
    Example:
      cd "$(prodigy-git worktree path login)"
    """
    from prodigy_git.errors import ProdigyError
    from prodigy_git.lifecycle import locate

    store, place, repo = locate.around(gitenv.here())
    if list_names:  # what pgcd completes; it quotes them itself
        for one in locate.folder_names(store, place, repo):
            if "\n" not in one:
                output.path(one)
    elif name is not None:
        output.path(locate.path_of(store, place, name))
    elif place is not None:
        output.path(locate.main_worktree(place))
    else:
        raise ProdigyError("this is no git repository: give a NAME, or change into one first")
