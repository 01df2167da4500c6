"""The place where a remote's repository is looked at: GitHub, GitLab, Gitea or Forgejo, Bitbucket.

Known by the remote's URL (git-fetch(1), GIT URLS). Credentials that a URL bears go nowhere from here.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote, urlencode, urlsplit

from prodigy_git.errors import ProdigyError
from prodigy_git.gitenv import drop_local_variables

Kind = Literal["github", "gitlab", "gitea", "bitbucket"]
KINDS: tuple[Kind, ...] = ("github", "gitlab", "gitea", "bitbucket")
_BY_WORD: dict[str, Kind] = {
    "github": "github", "gitlab": "gitlab", "bitbucket": "bitbucket", "gitea": "gitea",
    "forgejo": "gitea", "codeberg": "gitea",
}  # fmt: skip
_PROGRAMS = {"github": "gh", "gitlab": "glab"}
_SCP = re.compile(r"(?:[^/@]*@)?([^/:]+):(?!//)(.+)")
_PATIENCE = 120
_LONGEST = 6000
"""Characters that a link's body may have; browsers and servers take no more than some 8,000 in all."""


@dataclass(frozen=True)
class Forge:
    """A repository at a forge: its host (with a port, where its pages have one), and its path there."""

    kind: Kind
    host: str
    path: str

    @property
    def page(self) -> str:
        """The address of its page."""
        return f"https://{self.host}/{quote(self.path)}"


def of(url: str, configured: str | None) -> Forge | None:
    """Return the forge that a remote's URL leads to; None where it leads to none that is known.

    ``configured`` is git config ``prodigy.forge``, for hosts whose name does not say it. Raises
    `ProdigyError` for another word there.
    """
    if configured is not None and configured not in KINDS:
        raise ProdigyError(
            f"git config prodigy.forge {configured!r}: write one of {', '.join(KINDS)}"
        )
    host, path = _parts(url)
    if not host or not path.strip("/"):
        return None
    name = host.partition(":")[0].lower()
    kind = next((kind for word, kind in _BY_WORD.items() if word in name), None)
    if configured is not None:
        kind = next(one for one in KINDS if one == configured)
    path = path.strip("/").removesuffix(".git").rstrip("/")
    return None if kind is None or "/" not in path else Forge(kind, host, path)


def _parts(url: str) -> tuple[str, str]:
    """Return host and path of a URL, without credentials; empty where it is a path on this machine."""
    if "://" in url:
        try:
            split = urlsplit(url)
            host, port = split.hostname or "", split.port
        except ValueError:
            return "", ""
        if split.scheme not in ("http", "https", "ssh", "git", "git+ssh", "ssh+git"):
            return "", ""
        # The port of ssh is not that of its pages.
        return (f"{host}:{port}" if port and split.scheme.startswith("http") else host), split.path
    found = _SCP.fullmatch(url)
    return (found[1], found[2]) if found else ("", "")


def link(forge: Forge, branch: str, base: str, title: str, body: str) -> str:
    """Return the address of the page where a pull request is opened by hand, filled in."""
    short = body if len(body) <= _LONGEST else ""
    between = f"{quote(base)}...{quote(branch)}"
    if forge.kind == "github":
        more = {"expand": "1", "title": title} | ({"body": short} if short else {})
        return f"{forge.page}/compare/{between}?{urlencode(more, quote_via=quote)}"
    if forge.kind == "gitlab":
        fields = {"source_branch": branch, "target_branch": base, "title": title}
        fields |= {"description": short} if short else {}
        more = {f"merge_request[{name}]": value for name, value in fields.items()}
        return f"{forge.page}/-/merge_requests/new?{urlencode(more, quote_via=quote)}"
    if forge.kind == "gitea":
        more = {"title": title} | ({"body": short} if short else {})
        return f"{forge.page}/compare/{between}?{urlencode(more, quote_via=quote)}"
    more = {"source": branch, "dest": base, "t": "1"}
    return f"{forge.page}/pull-requests/new?{urlencode(more, quote_via=quote)}"


def program(forge: Forge, cwd: str) -> str | None:
    """Return the program that opens pull requests there; None: not installed, or not logged in."""
    name = _PROGRAMS.get(forge.kind)
    if name is None or shutil.which(name) is None:
        return None
    try:
        asked = _run([name, "auth", "status", "--hostname", forge.host], cwd)
    except ProdigyError:
        return None
    return name if asked.returncode == 0 else None


def existing(name: str, forge: Forge, branch: str, cwd: str) -> str | None:
    """Return the address of the open pull request of a branch; None: there is none, or no answer.

    One of a fork's branch, which may bear the same name, is not meant.
    """
    if name == "gh":
        command = [
            "gh", "pr", "list", "--repo", f"{forge.host}/{forge.path}", f"--head={branch}",
            "--state=open", "--json=url,isCrossRepository",
        ]  # fmt: skip
    else:
        command = [
            "glab", "mr", "list", "--repo", forge.page, f"--source-branch={branch}", "--output=json",
        ]  # fmt: skip
    done = _run(command, cwd)
    try:
        found = json.loads(done.stdout)
    except ValueError:
        return None
    every = found if isinstance(found, list) else []
    own = next((one for one in every if isinstance(one, dict) and not _of_a_fork(one)), {})
    url = own.get("url", own.get("web_url"))
    return url if isinstance(url, str) else None


def _of_a_fork(request: dict[str, Any]) -> bool:
    """Whether a request is of another repository's branch, which may bear the same name."""
    if request.get("isCrossRepository") is True:
        return True
    return request.get("source_project_id") != request.get("target_project_id")


def create(
    name: str, forge: Forge, branch: str, base: str, title: str, body: str, *, draft: bool, cwd: str
) -> str | None:
    """Have a pull request opened; return its address, if the program says it. Raises `ProdigyError`.

    No shell sees title and body: each is one argument, or a file.
    """
    with tempfile.TemporaryDirectory(prefix="prodigy-publish-") as folder:
        path = f"{folder}/body.md"
        with open(path, "w", encoding="utf-8", errors="replace") as stream:
            stream.write(body)
        if name == "gh":
            command = [
                "gh", "pr", "create", "--repo", f"{forge.host}/{forge.path}", f"--head={branch}",
                f"--base={base}", f"--title={title}", f"--body-file={path}",
            ]  # fmt: skip
        else:
            command = [
                "glab", "mr", "create", "--yes", "--repo", forge.page, f"--source-branch={branch}",
                f"--target-branch={base}", f"--title={title}", f"--description={body}",
            ]  # fmt: skip
        done = _run([*command, *(["--draft"] if draft else [])], cwd)
    if done.returncode != 0:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise ProdigyError(f"{name}: {'; '.join(said[-3:]) or f'exit status {done.returncode}'}")
    found = re.findall(r"https?://\S+", done.stdout)
    return found[-1] if found else None


def _run(command: list[str], cwd: str) -> "subprocess.CompletedProcess[str]":
    env = dict(os.environ)
    drop_local_variables(env)
    env |= {
        "GH_PROMPT_DISABLED": "1",
        "GH_NO_UPDATE_NOTIFIER": "1",
        "NO_PROMPT": "1",
        "NO_COLOR": "1",
    }
    try:
        return subprocess.run(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False,
            encoding="utf-8", errors="replace", timeout=_PATIENCE,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise ProdigyError(f"{command[0]} has not answered for {_PATIENCE} s") from None
    except (OSError, ValueError) as error:
        raise ProdigyError(f"{command[0]} cannot be started ({error})") from None
