"""What a page tells to type is a command that there is, with options that there are."""

import re
from pathlib import Path

import click
import pytest
from support_examples import command_lines, parsed

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^ *```(?:sh|console|text)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"(?<!`)`(prodigy-git [^`]+)`(?!`)")


def shown(page):
    """Return the calls of ours in a page's blocks and sentences, each as its words."""
    text = page.read_text()
    lines = []
    for block in BLOCK.findall(text):
        said = re.sub(r"\\\n *", " ", block).splitlines()
        prompt = any(line.startswith("$ ") for line in said)
        lines += [line for line in said if line.startswith("$ ") or not prompt]
    lines += SPAN.findall(BLOCK.sub("", text))
    found = []
    for line in lines:
        line = re.sub(r"#.*", "", line.removeprefix("$ "))
        call = re.search(r"(?<![\w/-])prodigy-git ", line)
        if call is not None and "COMMAND" not in line and "SHELL" not in line:
            words = line if "$(prodigy-git" in line else line[call.start() :]
            found += command_lines(re.sub(r"\$\{?[a-z]\w*", "1", words))
    return found


def test_commands_are_found_where_they_are_shown():
    """In blocks, one after a pipe, within a substitution, and in a sentence."""
    found = [words[0] for words in shown(ROOT / "README.md")]
    assert {"install", "new-worktree", "job", "run", "uninstall"} <= set(found)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_tells_to_type_is_right(page):
    wrong = []
    for words in shown(page):
        try:
            parsed(words)
        except click.MissingParameter:  # the name of a command in a sentence
            pass
        except click.UsageError as error:
            wrong.append(f"prodigy-git {' '.join(words)}: {error.format_message()}")
        except click.exceptions.Exit:  # --help, --version
            pass
    assert wrong == []
