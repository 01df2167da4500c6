"""What mkdocs.yml cannot say: the pages of the commands are in the navigation, each by its name."""

from pathlib import Path
from typing import Any


def on_config(config: Any) -> Any:
    """Put the pages of reference/commands/ into the navigation, in the order of their names."""
    folder = Path(config.docs_dir) / "reference" / "commands"
    names = sorted(path.name for path in folder.glob("*.md") if path.name != "index.md")
    for section in config.nav:
        if "Reference" in section:
            commands = [f"reference/commands/{name}" for name in ("index.md", *names)]
            section["Reference"].insert(0, {"Commands": commands})
    return config
