"""Where the hub is: ``$PRODIGY_HUB``, else git config ``prodigy.hub``; and how that is shown.

An address is what libpq takes (PostgreSQL's manual, "Connection Strings"): a URL, or keywords with
their values, among them ``service=NAME``. Both are taken apart here, without libpq: who asks whether
there is a hub does not pay for loading it, and what it would say of an address that does not parse has
parts of the address in it, so perhaps of a password.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from prodigy_git.errors import ProdigyError, Refused
from prodigy_git.git.ask import git, git_status, said

VARIABLE = "PRODIGY_HUB"
SETTING = "prodigy.hub"
FORMS = "postgresql://USER@HOST/DATABASE, service=NAME or host=HOST dbname=DATABASE"
ADVICE = "give it in ~/.pgpass, in a service file of libpq's, or as PGPASSWORD"
"""Where a password belongs: libpq's own places."""

_SECRET = frozenset(
    ("password", "sslpassword", "scram_client_key", "scram_server_key", "oauth_client_secret")
)
_URL = re.compile(r"(postgres(?:ql)?://)([^/?]*)(/[^?]*)?(\?.*)?", re.DOTALL)
_PART = re.compile(
    r"\s*([A-Za-z_][A-Za-z0-9_]*)\s*=\s*((?:'(?:[^'\\]|\\.)*')|(?:[^\s'\\]|\\.)*)(?=\s|$)"
)
_HOST = re.compile(r"(\[[0-9A-Za-z:.%]+\]|[^:\[\]@]*)(?::([0-9]{0,5}))?")


@dataclass(frozen=True)
class Address:
    """Where a hub is. Its ``repr`` has no password in it, so that no trace of an error has one."""

    text: str = field(repr=False)
    """The address as it was given."""
    source: str
    """Who gave it, in words: a variable or a setting."""
    parameters: Mapping[str, str] = field(repr=False, compare=False)
    """libpq's keywords and their values."""
    public: str = field(compare=False)
    """The address as it was given, but for secrets."""

    def shown(self) -> str:
        """Return the address without passwords."""
        return self.public

    def for_libpq(self, patience: float) -> dict[str, str]:
        """Return libpq's keywords for a connection for which ``patience`` seconds are waited.

        Each place has a part of them, so that one that says nothing leaves time for the next: of
        several hosts, and of the addresses of one, of which the first may lead nowhere (IPv6).
        """
        hosts = self.parameters.get("hostaddr") or self.parameters.get("host", "")
        part = max(2, math.floor(patience / max(2, hosts.count(",") + 1)))  # libpq takes no fewer
        return {
            "application_name": "prodigy-git", "keepalives_idle": "30", "keepalives_interval": "10",
            "keepalives_count": "3", **self.parameters,
            "client_encoding": "UTF8", "connect_timeout": str(part),
        }  # fmt: skip

    def secrets(self) -> list[str]:
        """Return the values that are never shown."""
        return [value for name, value in self.parameters.items() if name in _SECRET and value]


def configured(common: str | None, environ: Mapping[str, str]) -> Address | None:
    """Return where the hub is of a repository, by its common git directory; None where it has none.

    ``common`` None asks for the user's own setting. An empty ``prodigy.hub`` in a repository says that
    it has none, whatever the user's setting is. Raises `Refused` for what is no address, and for a
    password in git's configuration, which is a file that many can read; `ProdigyError` where git cannot
    be asked.
    """
    given = environ.get(VARIABLE)
    if given:
        return parsed(given, f"${VARIABLE}")
    _, out, _ = git_status("/" if common is None else common, "config", "--get", SETTING)
    text = out.removesuffix("\n")
    if not text.strip():
        return None
    address = parsed(text, f"git config {SETTING}")
    if address.secrets():
        raise Refused(f"git config {SETTING} has a password in it: take it out, and {ADVICE}")
    return address


def required(common: str | None, environ: Mapping[str, str]) -> Address:
    """Return what `configured` does. Raises `Refused` also where there is none."""
    found = configured(common, environ)
    if found is None:
        raise Refused("no hub is configured: 'prodigy-git hub init URL' notes one")
    return found


def parsed(text: str, source: str) -> Address:
    """Return the address that ``text`` is; ``source`` says in words who gave it.

    Raises `Refused`; the message has nothing of ``text`` in it, which may be all password.
    """
    try:
        if any(ord(one) < 32 or ord(one) == 127 or 0xD800 <= ord(one) < 0xE000 for one in text):
            raise _Wrong("it has characters in it that are none of an address")
        if "://" in text.partition("=")[0]:
            parameters, public = _url(text.strip())
        else:
            parameters, public = _keywords(text.strip())
        name = parameters.get("dbname", "")
        if "=" in name or "://" in name:  # libpq would take it for one more address
            raise _Wrong("its database's name is none")
    except _Wrong as error:
        raise Refused(f"{source} is no address of a hub, {error}: write {FORMS}") from None
    return Address(text, source, parameters, public)


class _Wrong(ValueError):
    """What is wrong with an address; the text has nothing of it."""


def _url(text: str) -> tuple[dict[str, str], str]:
    """Return a URL's parameters, and the URL without secrets, by libpq's rules."""
    found = _URL.fullmatch(text)
    if found is None:
        raise _Wrong("it begins as one of something else")
    scheme, authority, path, query = (part or "" for part in found.groups())
    # libpq ends a name or password at the first '@', ':' or '/', and would say the rest to be a host.
    if authority.count("@") > 1 or "@" in path or "@" in query:
        raise _Wrong("an '@' in a password, a name or a value is written %40, a '/' %2F")
    login, at, places = authority.rpartition("@")
    user, colon, password = login.partition(":")
    parameters: dict[str, str] = {}
    if at:
        parameters |= {"user": _decoded(user)} if user else {}
        parameters |= {"password": _decoded(password)} if colon else {}
    hosts, ports = [], []
    for place in places.split(","):
        one = _HOST.fullmatch(place)
        if one is None or int(one[2] or 1) > 65535:
            raise _Wrong("what should be HOST:PORT is not")
        hosts.append(_decoded(one[1].strip("[]")))
        ports.append(one[2] or "")
    if any(hosts):
        parameters["host"] = ",".join(hosts)
    if any(ports):
        parameters["port"] = ",".join(ports)
    if path[1:]:
        parameters["dbname"] = _decoded(path[1:])
    shown = []
    for pair in query[1:].split("&") if query[1:] else []:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise _Wrong("what follows its '?' is not NAME=VALUE")
        name, value = _decoded(name), _decoded(value)
        if (name, value) == ("ssl", "true"):  # as JDBC writes it; libpq takes it for this
            name, value = "sslmode", "require"
        parameters[name] = value
        shown += [] if name in _SECRET else [pair]
    public = f"{scheme}{user if at else ''}{'@' if user else ''}{places}{path}"
    return parameters, public + (f"?{'&'.join(shown)}" if shown else "")


def _decoded(text: str) -> str:
    if re.search(r"%(?![0-9A-Fa-f]{2})|%00", text):
        raise _Wrong("a '%' in it is written %25")
    # urllib.parse costs more to load than all the rest.
    data = re.sub(rb"%(..)", lambda found: bytes([int(found[1], 16)]), text.encode())
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise _Wrong("it is not UTF-8") from None


def _keywords(text: str) -> tuple[dict[str, str], str]:
    """Return the parameters of keywords and values, and those that are no secrets as they were
    given."""
    parameters: dict[str, str] = {}
    shown = []
    at = 0
    while at < len(text):
        found = _PART.match(text, at)
        if found is None:
            raise _Wrong("it is no list of NAME=VALUE, a space between each")
        name, value = found[1], found[2]
        if value.startswith("'"):
            value = value[1:-1]
        parameters[name] = re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL)
        shown += [] if name in _SECRET else [found[0].strip()]
        at = found.end()
    if not parameters:
        raise _Wrong("it is empty")
    return parameters, " ".join(shown)


def note(address: Address, common: str | None) -> None:
    """Note an address, without secrets, in a repository's configuration; None: in the user's own.

    Raises `ProdigyError` where git cannot write it.
    """
    which = "--global" if common is None else "--local"
    git(common or "/", "config", which, "--replace-all", SETTING, address.shown())


def forget(common: str | None) -> bool:
    """Take the address out of a repository's configuration, None: the user's; return whether it was in.

    Where the user's own setting then gives the repository one, it gets an empty one: it has no hub.
    Raises `ProdigyError` where git cannot write it.
    """
    which, where = ("--global", "/") if common is None else ("--local", common)
    # 5: there was none (git-config(1)).
    status, _, err = git_status(where, "config", which, "--unset-all", SETTING)
    if status not in (0, 5):
        raise ProdigyError(f"git config {which} --unset-all {SETTING}: {said(err)}")
    _, rest, _ = git_status(where, "config", "--get", SETTING)
    if common is not None and rest.strip():
        git(where, "config", which, SETTING, "")
        return True
    return status == 0
