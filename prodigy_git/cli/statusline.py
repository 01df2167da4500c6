"""statusline: its help, errors and completion; `prodigy_git.statusline` does the rest without click."""

import click

from prodigy_git import statusline as plain
from prodigy_git.cli import output


@click.command()
@click.option(
    "--format", "form", metavar="TEXT",
    help=f"Text with fields in braces: {', '.join(plain.FIELDS)}. [default: what is known of these]",
)  # fmt: skip
@output.json_option
def statusline(form: str | None, as_json: bool) -> None:
    """Print one line on the session you stand in, for a prompt; nothing outside of one.

    How far the job is, is as of the last item that was claimed or ended. Where git takes longer than a
    quarter of a second to say what has changed, a '?' stands for it.

    \b
    Example:
      prodigy-git statusline --format '{session} {done}/{total}{dirty}'
    """
    try:
        text = plain.line(form, as_json=as_json)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--format") from error
    if text is not None:
        click.echo(text)
