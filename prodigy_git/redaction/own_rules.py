"""Secrets that are told by what stands before them: ``password=``, ``Authorization:``, a URL's user.

And tokens of a form that nothing else has, of which gitleaks has no rule, or only one that wants the
maker's name on the line. In each pattern the group ``secret`` is what is taken out.
"""

import functools
import re
from collections.abc import Callable, Iterator
from math import log2

Span = tuple[int, int]


class Rule:
    """One of ``words`` is in each match, in lower case: most lines are left at that. None: all are asked.

    ``judge`` has the last word on a match; None: each is a secret. ``group`` is what is taken out: 0 is
    the first that took something, or else all. ``least``: how many bits a character has (`entropy`).
    """

    __slots__ = ("group", "has_lines", "judge", "least", "name", "pattern", "words")
    # Not a dataclass, which would take a hook as long to load as all the rules.

    def __init__(
        self,
        name: str,
        words: tuple[str, ...],
        pattern: str,
        judge: "Callable[[re.Match[str]], bool] | None" = None,
        group: int | str = "secret",
        least: float = 0,
        has_lines: bool = False,
    ) -> None:
        """Take what a rule consists of; see the class."""
        self.name, self.words, self.pattern = name, words, pattern
        self.judge, self.group, self.least, self.has_lines = judge, group, least, has_lines

    def spans(self, text: str, start: int, end: int) -> Iterator[Span]:
        """Yield where the secrets are that lie between ``start`` and ``end`` of ``text``."""
        for found in compiled(self.pattern).finditer(text, start, end):
            group = self.group
            if group == 0:
                group = next((n for n, part in enumerate(found.groups(), 1) if part), 0)
            if (self.judge is None or self.judge(found)) and entropy(found[group]) >= self.least:
                yield found.span(group)


compiled = functools.cache(re.compile)
"""A pattern, compiled when a line first has one of its words: most of them never are."""


# What people write where a secret would stand, and what programs say of one: taken whole, folded.
_WORDS = frozenset(
    """
    absent changed changeme changeit correct default denied deleted disabled empty enabled env
    environ example exists expired failed false file found generated given hidden ignored
    incorrect input invalid keyring kept loaded masked missing mismatch needed none notset
    null optional pass password placeholder present prompt provided read received redacted
    refreshed rejected removed required reset revoked rotated secret secrets sent set short
    skipped stdin str string stored taken test there token true undefined unset unchanged
    unknown updated used valid value wrong your
    """.split()  # noqa: SIM905 - a list of them would take a line each
)
_PLACEHOLDER = re.compile(
    r"""(?ix) ^[$%@<{\[] | \$[({] | \*{3} | (?:x{4}|\.{3}|…) | ^x+$ | ^<.*>$
    | ^(?:your|my|some|the|insert|enter|change|replace|example|dummy|fake)[_\W-] | ^redacted
    | environ | getenv | process\.env | example$ | ^-{1,2}[a-z] | ^[\W_]+$"""
)
_PATH = re.compile(
    r"""(?ix) ^(?:~|\.{0,2})/[\w.@+~-]*(?:/[\w.@+~-]*)*$ | ^[a-z]:\\ | ^[a-z][a-z0-9+.-]*://
    | ^[\w.@+-]+(?:/[\w.@+-]+)*\.(?:pem|key|crt|cer|json|ya?ml|toml|txt|py|js|ts|rs|go|md|env|pub|cfg|ini|conf)
      (?:[:\d]*)$"""
)
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_CODE = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+\.?$")
_IDENTIFIER = re.compile(r"^[A-Za-z_]+(?:[._:-]+[A-Za-z_]+)*[.:]?$")


def entropy(text: str) -> float:
    """Return how many bits a character of ``text`` has, after Shannon: 0 for one repeated."""
    size = len(text)
    return -sum(n / size * log2(n / size) for n in map(text.count, set(text)))


def told(value: str) -> bool:
    """Whether somebody has written a word, a variable or a path, where a secret could stand."""
    bare = value.strip("\"'`.,:;!?")
    return (
        bare.lower() in _WORDS
        or _PLACEHOLDER.search(bare) is not None
        or _PATH.match(bare) is not None
    )


def is_word_or_path(value: str) -> bool:
    """Whether an environment's value is none to hide; it is expanded, so nothing in it is a placeholder."""
    return value.lower() in _WORDS or _PATH.match(value) is not None


def _random(value: str, least: int = 10, bits: float = 2.8) -> bool:
    """Whether ``value`` looks drawn: long enough, letters and digits, and not alike."""
    return (
        len(value) >= least
        and any(c.isdigit() for c in value)
        and any(c.isalpha() for c in value)
        and entropy(value) >= bits
        and not told(value)
    )


def _named(found: "re.Match[str]") -> bool:
    value, name = found["secret"], found["name"].lower()
    if found["gap"] and not found["quote"] and len(value) < 60 and _CODE.match(value):
        return False  # var.db2.password
    if name == "pass" and found.string[found.start() - 1 : found.start()] != "_":
        return _random(value, 8) and not _IDENTIFIER.match(value)  # tests pass, too
    if "pass" not in name and name not in ("pwd", "pw"):
        if len(value) == 40 and entropy(value) > 4 and _BASE64.fullmatch(value):
            return True  # a key of AWS's may look like a path
        return _is_key(value)
    if " " in value:  # in quotes; nobody asks "enter your password" with a sign of equality
        return found["sign"] == "=" and not _WORDS & set(value.lower().split())
    if told(value) or (value.replace(".", "").isdigit() and len(value) < 8):
        return False
    # A sentence may go on behind "password:", and behind a sign with spaces round it, code.
    mixed = any(not c.isalpha() for c in value.strip("\"'`.,:;!?-_"))
    return (found["sign"] == "=" and not found["gap"] and not found["code"]) or (
        mixed and not _IDENTIFIER.match(value)
    )


def _is_key(value: str) -> bool:
    if value.endswith("=") and len(value) >= 16 and _BASE64.fullmatch(value):
        return entropy(value) > 3.2  # it may have no digit
    return _random(value) and not _IDENTIFIER.match(value)


def _option(found: "re.Match[str]") -> bool:
    value = found["secret"].rstrip("]")
    if told(value) or (value.isupper() and _IDENTIFIER.match(value)):  # --password PASSWORD
        return False
    return "pass" in found["name"].lower() or _random(value, 8)


def _of_a_form(found: "re.Match[str]") -> bool:
    return _random(found["secret"], 8, 1.9)


def _random_secret(found: "re.Match[str]") -> bool:
    return _random(found["secret"], 8)


def _credential(found: "re.Match[str]") -> bool:
    value = found["secret"]
    if len(value) < 16 and value.islower() and not found[0].lower().startswith("auth"):
        return False  # a basic python3 image
    # A short name and password, encoded, may have no digit.
    drawn = value.endswith("=") or (
        len(value) >= 16 and not value.islower() and entropy(value) > 3.5
    )
    return _random(value, 8) or (drawn and _BASE64.fullmatch(value) is not None)


def _mixed_case(found: "re.Match[str]") -> bool:
    """Whether it looks drawn, also to who knows nothing of it: no hash, no id, no name."""
    value = found["secret"].rstrip(".,:;!?)")
    both = any(c.isupper() for c in value[1:]) and any(c.islower() for c in value)
    return both and _random(value, 12, 3.2) and not re.search(r"[/\\=]|\.\w{1,4}$|::", value)


def _drawn_or_mixed(found: "re.Match[str]") -> bool:
    value = found["secret"]
    return not told(value) and not _IDENTIFIER.match(value) and not value.replace(".", "").isdigit()


def _not_told(found: "re.Match[str]") -> bool:
    return not told(found["secret"])


_VALUE = r"""[^\s"'`,;&<>(){}|\\]"""
_NAMES = r"""(?: passw(?:or)?[dt] | passphrase | (?<=_)pass | (?<![a-z])pass | (?<=_)pw | sonar\.login | (?<!old)(?<![a-z])pwd | secret (?:[_-]?key(?:[_-]?base)?)?
      | (?:access|auth|refresh|bearer|id|api|bot|session|secret|private|security|user|csrf|xsrf|webhook
         |deploy|registry|personal|github|gitlab|npm|slack|vault|hf|jwt|sas|oauth)? [ _-]? token
      | (?:api|access|auth|private|encryption|signing|account|master|shared|license|storage|consumer
         |client|service|admin|deploy|webhook|secret|encrypt|app|hmac|session|jwt)[ _-]?key
      | credential )"""

RULES = (
    Rule(
        "private-key",
        ("private key",),
        r"(?P<secret>-----BEGIN[ A-Z0-9_-]{0,60}PRIVATE KEY(?: BLOCK)?-----"
            r"(?:[\s\S]{0,20000}?-----END[ A-Z0-9_-]{0,60}PRIVATE KEY(?: BLOCK)?-----"
            r"|(?:\s|\\[rn]|[A-Za-z0-9+/=:,.-])*))",
        has_lines=True,
    ),
    Rule(
        "named",
        ("pass", "pwd", "_pw", "secret", "token", "key", "credential", "sonar.login"),
        rf"""(?ix) (?P<name>{_NAMES}) s?
            (?: _?(?:b64|base64|value|v?\d{{1,2}}) )?
            \\?["'`\]]{{0,2}} (?P<gap>\s{{0,3}}|[ \t]{{4,24}}) (?P<sign>=>|:=|=|:) (?P<code>\s{{0,3}})
            \\?(?P<quote>["'`]?) (?P<secret> (?<=["'`])[^"'`\n]{{6,200}}(?=(?P=quote)) | {_VALUE}{{6,512}})""",
        _named,
    ),
    Rule(
        "option",
        ("--pass", "--token", "--secret", "--api", "--auth", "--access", "--client", "sshpass"),
        rf"""(?ix) (?P<name> --(?:pass(?:word|wd|phrase)?|token|secret|api-?key|auth-?token|access-?(?:key|token)
            |client-?secret|secret-?key) | sshpass\s+-p ) \s{{1,3}} ["']? (?P<secret>(?!-){_VALUE}{{4,512}})""",
        _option,
    ),
    Rule(
        "curl-user",
        ("curl",),
        r"""\bcurl\s[^\n]{0,200}?(?<=\s)(?:-u|--user)[=\s]?\s{0,3}["']?[^\s:"']{1,100}:(?P<secret>[^\s"']{3,255})""",
        _not_told,
    ),
    Rule(
        "mysql-password",
        ("mysql", "mariadb"),
        r"""\b(?:mysql|mariadb)\w*\s(?:[^\n]{0,200}\s)?-p(?P<secret>[^\s"'-][^\s"']{5,100})""",
        _random_secret,
    ),
    Rule(
        "login",
        ("login",),
        r"""\blogin\s(?:[^\n]{0,200}\s)?-p[ ]{1,3}["']?(?P<secret>[^\s"'-][^\s"']{7,200})""",
        _random_secret,
    ),
    Rule(
        "pgpass",
        (":5432:",),
        r"[\w.*-]{1,255}:5432:[^:\s]{1,64}:[^:\s]{1,64}:(?P<secret>[^\s:]{6,200})",
        _not_told,
    ),
    Rule(
        "user-password",
        ("@",),
        r"""(?<![\w.:/@-])[\w.-]{2,40}:(?P<secret>[^\s:@/"'<>]{12,200})@(?=[\w-]{1,63}\.)""",
        _mixed_case,
    ),
    Rule(
        "said",
        ("password", "passphrase", "secret", "token", "key"),
        r"""(?ix) (?: password | passphrase | secret | token | (?:api|access|secret|private)[ _-]?key )
            (?:[ ](?:for|of)[ ][\w.@-]{1,40})? (?:[ ](?:is|was|are))? :?[ ]{1,2}
            ["'`]?(?P<secret>[\w+!%^~.-]{12,512})""",
        _mixed_case,
    ),
    Rule(
        "url-password",
        ("://",),
        r"""(?i)\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@"'<>]{0,80}:(?P<secret>[^\s/@"'<>]{3,200})@(?=[\w\[])""",
        _not_told,
    ),
    Rule(
        "url-user",
        ("https://", "http://"),
        r"""(?i)\bhttps?://(?P<secret>[\w.~-]{20,255})@(?=\w)""",
        _random_secret,
    ),
    Rule(
        "url-query",
        ("?", "&"),
        r"""(?ix) [?&](?:x-amz-(?:signature|security-token|credential)|x-goog-signature|sig|signature|key
            |code|auth|access_token|id_token|client_secret)=(?P<secret>[^&\s"'#<>]{12,1024})""",
        _random_secret,
    ),
    Rule(
        "authorization",
        ("authorization", "bearer", "basic "),
        rf"""(?ix) (?: authorization \\?["']? \s{{0,3}}[:=]\s{{0,3}} \\?["']? (?:[a-z][\w-]{{2,15}}\s+)?
            | \b(?:bearer|basic):?\s+ ) (?P<secret>{_VALUE}{{8,4096}})""",
        _credential,
    ),
    Rule(
        "cookie",
        ("cookie",),
        r"""(?ix) (?:(?<=cookie:)|(?<=cookie=)|(?<=;)) [\s"']* [\w.-]*(?:sess|sid|auth|tok|jwt|csrf|remember|login)[\w.-]*
            = (?P<secret>[^;\s"',]{12,4096})""",
        _random_secret,
    ),
    Rule(
        "netrc",
        ("password",),
        r"(?i)\blogin\s+\S+\s+password\s+(?P<secret>\S{4,255})",
        _not_told,
    ),
    Rule(
        "basic-auth-of-a-registry",
        ("auth",),
        r"""(?:["']auth["']\s*:\s*["']|\b_auth\s*=\s*["']?)(?P<secret>[\w+/=]{12,512})""",
    ),
    Rule(
        "password-hash",
        ("$2", "$5$", "$6$", "$y$", "$apr1$", "$argon2"),
        r"(?P<secret>\$(?:2[aby]|5|6|y|apr1|argon2(?:id?|d))\$[./\w$=,+-]{20,200})",
    ),
    Rule(
        "registry-logins",
        ("dockerc",),
        r"""\.docker(?:configjson|cfg)\\?["']?:\s{0,3}\\?["']?(?P<secret>eyJ[\w+/=-]{20,20000})""",
    ),
    Rule(
        "element",
        ("password>", "passphrase>", "secret>", "token>", "key>"),
        r"(?i)<[\w.:-]{0,40}(?:password|passphrase|secret|token|(?:api|access|secret|private)[_-]?key)>"
            r"(?P<secret>[^<>\s]{6,512})</",
        _drawn_or_mixed,
    ),
    Rule(
        "value-of-a-name",
        ("value",),
        r"""(?ix) \\?["']?\b (?:name|key) \\?["']? \s{0,2}[=:]\s{0,2} \\?["']
            [\w.-]{0,60}(?:passw(?:or)?d|passphrase|secret|token|(?:api|access|secret|private|encryption|signing)[_-]?key)
            \\?["'] \s{0,2},?\s{0,2} \\?["']?value\\?["']? \s{0,2}[=:]\s{0,2} \\?["'](?P<secret>[^"'\s\\]{6,512})""",
        _drawn_or_mixed,
    ),
    Rule(
        "webhook",
        ("/webhooks/", "/webhook/", "webhook.office.com"),
        r"(?i)(?:/api/webhooks/\d{15,21}|webhook\.office\.com/webhookb2|/webhook)/(?P<secret>[\w@/-]{40,255})",
        _random_secret,
    ),
    Rule(
        "telegram-bot-token",
        (":aa",),
        r"(?<!\d)(?P<secret>\d{7,11}:AA[\w-]{32,34})(?![\w-])",
    ),
    Rule(
        "discord-bot-token",
        (),
        r"(?<![\w.-])(?P<secret>[MNO][\w-]{23,27}\.[\w-]{6}\.[\w-]{27,40})(?![\w-])",
    ),
    Rule(
        "paypal-token",
        ("access_token$production$",),
        r"(?P<secret>access_token\$production\$[a-z0-9]{10,30}\$[0-9a-f]{32})",
    ),
    Rule(
        "firebase-key",
        (":apa91b",),
        r"(?P<secret>[\w-]{7,200}:APA91b[\w-]{60,200})",
    ),
    Rule(
        "prefixed-token",
        (
            "ya29.", "gocspx-", "1//0", "key-", "gsk_", "r8_", "sbp_", "re_", "nfp_", "fm2_", "fm1", "figd_",
            "tskey-", "whsec_", "xai-", "sk-", "sk_", "rk_", "hf_", "lsv2_", "ops_", "pat-", "xapp-", "github_pat",
            "gh", "gl", "doo_v1", "dop_v1", "dor_v1", "dapi", "ntn_", "secret_", "rubygems_", "cio", "dckr_", "tvly-", "fc-",
            "sq0", "oy2", "cfpat", "sl.", "atctt3", "atbb", "rzp_", "pk.eyj", "sk.eyj", "squ_", "sqp_", "sqa_",
            "v1.", "v2.", "v3.", "v4.", "ls0tls1crudjt", "e2b_", "phc_", "phx_", "pk_", "napi_", "sntry", "eyj", "lin_api", "lin_oauth", "shp", "nrak-", "nvapi-",
            "ccip", "bkua_",
        ),
        r"""(?x) (?<![\w-]) (?P<secret>
              ya29\.[\w-]{20,512} | GOCSPX-[\w-]{20,40} | 1//0[\w-]{38,200} | key-[0-9a-f]{32}
            | gsk_[A-Za-z0-9]{40,64} | r8_[A-Za-z0-9]{30,44} | sbp_[0-9a-f]{40} | re_[A-Za-z0-9]{6,10}_[A-Za-z0-9]{20,30}
            | nfp_[A-Za-z0-9]{30,50} | fm(?:1[ar]|2)_[\w+/=-]{40,1024} | figd_[\w-]{36,50}
            | tskey-(?:api|auth|client|scim|webhook)-[\w-]{20,80} | whsec_[\w+/=]{24,80} | xai-[A-Za-z0-9]{60,90}
            | sk-[A-Za-z0-9][\w-]{18,255} | (?:sk|rk|pk)_(?:live|test|prod)_[A-Za-z0-9]{16,255} | hf_[A-Za-z0-9]{30,40}
            | lsv2_(?:pt|sk)_[0-9a-f]{32}_[0-9a-f]{10} | ops_eyJ[\w+/=-]{80,2048} | pat-(?:na|eu)\d-[0-9a-f-]{36}
            | xapp-\d-[A-Z0-9]+-\d+-[0-9a-f]{32,128} | github_pat_[A-Za-z0-9_]{36,255} | gh[pousr]_[A-Za-z0-9]{30,255}
            | gl(?:pat|dt|rt|cbt|ptt|ft|soat|agent|imt|oas)-[\w.-]{20,300} | do[opr]_v1_[0-9a-f]{64}
            | dapi[0-9a-f]{32}(?:-\d)? | ntn_[A-Za-z0-9]{40,60} | secret_[A-Za-z0-9]{43} | rubygems_[0-9a-f]{48}
            | cio[A-Za-z0-9]{32} | dckr_(?:pat|oat)_[\w-]{24,64} | tvly-[\w-]{24,64} | fc-[0-9a-f]{32} | e2b_[0-9a-f]{40}
            | ph[cx]_[A-Za-z0-9]{40,60} | napi_[a-z0-9]{60,80} | sntry[su]_[\w+/=.-]{40,300}
            | NRAK-[A-Z0-9]{27} | lin_(?:api|oauth)_[A-Za-z0-9]{40,80} | shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32} | nvapi-[\w-]{60,80}
            | sq0(?:csp|atp|idp)-[\w-]{22,60} | oy2[a-z0-9]{43} | CFPAT-[\w-]{40,60} | sl\.[\w-]{120,1200}
            | ATCTT3[\w=-]{80,300} | ATBB[A-Za-z0-9]{30,40} | rzp_(?:live|test)_[A-Za-z0-9]{14,24}
            | pk\.eyJ[\w-]{40,300}\.[\w-]{16,60} | sk\.eyJ[\w-]{40,300}\.[\w-]{16,60}
            | CCIP(?:AT|RJ)_\w{40,90} | bkua_[0-9a-f]{40}
            | squ_[0-9a-f]{40} | sqp_[0-9a-f]{40} | sqa_[0-9a-f]{40}
            | v[1234]\.(?:local|public)\.[\w-]{60,2000}
            | LS0tLS1CRUdJTi(?!BDRVJU|BQVUJM)[A-Za-z0-9+/=]{40,20000}
            | eyJ[\w-]{12,4096}\.eyJ[\w-]{12,8192}\.[\w-]{16,2048}
            )""",
        _of_a_form,
    ),
)  # fmt: skip
"""What is asked of each line, in this order."""
