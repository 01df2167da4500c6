"""What a remote's URL says of which repository it is, in one form for all the ways to write it.

A URL is the user's, or what a repository brought along in its configuration: it is read, and never
followed. Who may come in (a user's name, a password, a token) is no part of the form.
"""

import hashlib
import posixpath
import re
import unicodedata
import urllib.parse

from prodigy_git.redaction.gate import redact

LONGEST = 400
"""Characters of a form that is kept as it is; of a longer one its hash is."""

_PORTS = {
    "http": 80, "https": 443, "ssh": 22, "git+ssh": 22, "ssh+git": 22, "git": 9418,
    "ftp": 21, "ftps": 990,
}  # fmt: skip
"""What git itself speaks (git-clone(1), GIT URLS), with the port that nobody writes."""
_ALIASES = {
    # The same servers, on a port that firewalls let through.
    "ssh.github.com:443": "github.com",
    "altssh.gitlab.com:443": "gitlab.com",
    "altssh.bitbucket.org:443": "bitbucket.org",
}
_FORGES = frozenset(("github.com", "gitlab.com", "bitbucket.org", "codeberg.org"))
"""To which ``Team/Repo`` and ``team/repo`` are one, whoever asks. Other servers may have both."""
_WITH_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_BRACKETS = re.compile(r"(?:([^@/\[]*)@)?\[([^\]/]*)\]:(.*)", re.DOTALL)
_SCP = re.compile(r"(?:([^:/@]*)@)?([^:/@]+):(?!:)(.*)", re.DOTALL)
_SHARED_USERS = frozenset(("", "git"))
"""Users of a server who are nobody: what lies in their home is everybody's."""


def form(url: str) -> str | None:
    """Return the form of a remote's URL, as ``host/team/repo``; None: it names no place for others.

    Such are paths, ``file://``, this machine itself, and what only a helper of git's understands.
    Sources: git-clone(1), GIT URLS; url_is_local_not_ssh in git's connect.c; RFC 3986, section 6.
    """
    parts = _parts(url)
    if parts is None:
        return None
    scheme, user, host, port, path = parts
    server = _server(scheme, host, port)
    inside = _inside(path)
    if server is None or not inside:
        return None
    if inside == "~" or inside.startswith("~/"):
        # A folder in somebody's home: another user's has its own of that name.
        shared = user in _SHARED_USERS or server in _FORGES
        inside = inside[2:] if shared else f"~{user}/{inside[2:]}"
    if server in _FORGES:
        inside = inside.lower()
    found = f"{server}/{inside}"
    if not inside or not all(c.isprintable() for c in found):
        return None
    if len(found) > LONGEST or redact(found) != found:
        # Two hosts still agree on it, and nobody reads a token out of it.
        return "sha256:" + hashlib.sha256(found.encode("utf-8", "surrogateescape")).hexdigest()
    return found


def _parts(url: str) -> tuple[str, str, str, str, str] | None:
    """Return scheme, user, host, port and path; None where it is no URL of a server."""
    url = url.strip()
    if not url or not all(c.isprintable() for c in url):
        return None
    whole = _WITH_SCHEME.fullmatch(url)
    if whole is not None:
        scheme = whole[1].lower()
        if scheme not in _PORTS:
            return None
        place, slash, path = whole[2].partition("/")
        who, _, at = place.rpartition("@")
        host, port = _host_and_port(at)
        if scheme.startswith(("http", "ftp")):
            path = re.split("[?#]", path)[0]  # what else is asked there: tokens, for one
        return scheme, _user(who), host, port, slash + urllib.parse.unquote(path)
    brackets = _BRACKETS.fullmatch(url)
    if brackets is not None:
        inner = brackets[2]
        who, _, at = inner.rpartition("@")
        host, port = (at, "") if at.count(":") > 1 else _host_and_port(at)
        return "ssh", _user(who or brackets[1] or ""), host, port, _scp_path(brackets[3])
    short = _SCP.fullmatch(url)
    # One that lacks its strokes (`https:user:token@host/…`) is a mistake, and may hold a password.
    if short is None or short[2].lower() in (*_PORTS, "file") or "@" in short[3]:
        return None
    return "ssh", _user(short[1] or ""), short[2], "", _scp_path(short[3])


def _scp_path(path: str) -> str:
    """Return the path of ``host:path`` as a URL has it: without a stroke it is in the user's home."""
    if path.startswith("/"):
        return path
    return f"/{path}" if path.startswith("~") else f"/~/{path}"


def _user(who: str) -> str:
    return urllib.parse.unquote(who.partition(":")[0])


def _host_and_port(text: str) -> tuple[str, str]:
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        return host, rest.removeprefix(":")
    host, _, port = text.partition(":")
    return host, port


def _server(scheme: str, host: str, port: str) -> str | None:
    """Return the server, with its port where that is not the usual one; None: it is each host's own."""
    host = urllib.parse.unquote(host).lower().rstrip(".")
    try:
        host = host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:
        return None
    if not host or not re.fullmatch(r"[a-z0-9._:%-]+", host) or (port and not port.isdecimal()):
        return None
    if (
        host == "localhost"
        or host.endswith(".localhost")
        or host.startswith("127.")
        or host == "::1"
    ):
        return None
    if ":" in host:
        host = f"[{host}]"
    number = int(port) if port else _PORTS[scheme]
    usual = number in (_PORTS[scheme], 0)
    named = f"{host}:{number}"
    return _ALIASES.get(named, host if usual else named)


def _inside(path: str) -> str:
    """Return the path without what does not matter: strokes at its ends and in a row, ``.git``."""
    # What stands before a stroke may be an address within the address, with who may come in.
    path = re.sub(r"(?<=/)[^/@]*:[^/@]*@", "", path)
    path = unicodedata.normalize("NFC", posixpath.normpath("/" + path).lstrip("/"))
    if path == ".":
        return ""
    if path.endswith("/.git"):  # the git directory of a checkout on a server
        path = path.removesuffix("/.git")
    return path.removesuffix(".git").rstrip("/")
