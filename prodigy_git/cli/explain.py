"""explain"""

import click


@click.command()
def explain() -> None:
    """Tell the story of a commit, an item, a session or an agent."""
