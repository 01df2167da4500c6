"""The line of a command's output that says why it failed, most likely: the last that says anything.

After it tools write what is true of any failure: where it was (stack frames), how many there were, what
to read. Those lines are passed over. Of what remains a line that has the form of an error comes before
one that sounds like one, and that before any other.
"""

import re
from collections.abc import Mapping

from prodigy_git.redaction.gate import redact

KEPT = 32768
"""How many bytes of the end of the output are looked at."""
_LONGEST = 300  # characters
_READ = 1000
"""How many characters of a line are looked at, whoever wrote it."""
# Colours and movements of the cursor; titles, links and what else terminals take until BEL or ST. Those
# end at any escape: else each of many that do not end is looked for to the end of the text.
ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\|$)|\x1b[ -/]*[0-~]"
)
"""What terminals take for commands."""
_TELLING = re.compile(
    r"error|exception|fatal|panic|fail|abort|denied|refused|cannot|can't|not found|no such|killed"
    r"|could not|undefined|unresolved|unable to|invalid|timed out",
    re.IGNORECASE,
)
_LOOKED_AT = 30
"""How many lines from the end may tell: further up are errors that the command got over."""

_RAISED = r"(?:[A-Za-z_$][\w$]*\.)*[\w$]*(?:Error|Exception|Exit|Interrupt|Group)\b"
_STRONG = re.compile(
    rf"(?:Uncaught |Unhandled |Caused by: |Exception in thread \S+ )*{_RAISED}(?: \[\w+\])?(?::|$)"
    r"|(?:uncaught )?exception\b.*:|error(?:\[\w+\])?: |fatal(?: error)?: "
    r"|\S+: (?:fatal )?error: |ERR_\w+"
    r"|panic: |--- FAIL: |(?:FAILED|ERROR) \S+(?: - |$)|E   +\S|● |thread '[^']*'.* panicked at "
    r"|\S+\(\d+,\d+\): error "
)
_PLACE = re.compile(r"\S+\.\w+:\d+(?::\d+)?:? (?!.*\b(?:warning|note|info|debug)\b)", re.IGNORECASE)
"""A place in a file, and what is wrong there, as compilers say it."""
_NOISE = re.compile(
    # Where it was.
    r"at .*(?:[:(]\d+\)?|<anonymous>\)?|native\)?|Native Method\)?)$|at async "
    r"|File \".*\", line \d+|goroutine \d+ \[|\S+\.go:\d+ \+0x|[\w./*()]+\(.*\)$(?<!:)"
    r"|stack backtrace:"
    r"|\d+: (?:0x[0-9a-f]+|\S*::|<)|\.\.\. \d+ more$|created by \S+"
    r"|Traceback \(most recent call last\):$"
    r"|During handling of the above|The above exception was the direct|Node\.js v\d|\^+~*$|[|~^]+$"
    r"|-->|\d* *\| |throw |code: '|requireStack: |errno: |syscall: |[\[\]{}(),;]+$"
    # What to do or to read.
    r"|(?:note|help|hint|info|warning|warn|tip|usage)\b ?[:\[]|info |For more information"
    r"|Some errors have"
    r"|.*see (?:above|also|the output)|Run `|Try |hint:|Did you mean|\(use --|Re-run |Visit http"
    # That there was something, and how much: the line above says what.
    r"|error: (?:could not compile|aborting due to|test failed, to rerun|build failed"
    r"|process didn't)"
    r"|error Command failed|(?:error: )?script \"?.*exited with|Command failed with exit code"
    r"|ELIFECYCLE|(?:npm|pnpm|yarn)(?: ERR!| error| warn| notice| WARN)"
    r" (?:code|errno|path|command|syscall|Lifecycle|Failed at|This is probably|in workspace"
    r"|at location|"
    r"A complete log|workspace|location|exit|Test failed\.|\S+@\S+ \S+: `)"
    r"|(?:npm|pnpm|yarn)(?: ERR!| error| warn| notice| WARN)?(?:\s+\d+)?$|(?:npm|yarn) (?:WARN"
    r"|notice|warn)\b"
    r"|(?:g?make|ninja)(?:\[\d+\])?: (?:\*\*\* \[.*Error \d+|Leaving|Entering|\*\*\* Waiting"
    r"|build stopped)"
    r"|exit status \d+$|FAIL(?:\s+\S+\s+[\d.]+s|\s+\S+ \[.*\])?$|FAIL \S+\.\w+(?: \(.*\))?$"
    r"|PASS\b|ok  +"
    r"|=+ .* =+$|_{3,} .* _{3,}$|!+ .* !+$|[=_*-]+$|=== RUN|failures:$|\d+ (?:passed|failed"
    r"|problems?|errors?)\b"
    r"|Found \d+ errors?|✖ \d+ problem|test result: |(?:Test Suites|Tests|Snapshots|Time):  *\d"
    r"|Ran all test|Ran \d+ tests?|FAILED \((?:failures|errors)|compilation terminated|collect2: "
    r"|\[ERROR\] *(?:-> \[Help|To see the full|Re-run|For more information|After correcting"
    r"|\[Help|$)"
    r"|BUILD FAILED|\* (?:Try|Get more help)|> (?:Run with|Get more)|\d+ warnings?\b|left: |right: "
)
_STEM = re.compile(r"thread '[^']*'.* panicked at .*:$|● |--- FAIL: ")
"""The line below says what it was."""
_BAR = re.compile(
    r"\d{1,3}(?:\.\d+)?%|.*\d{1,3}%\s*[|\[█▏▎▍▌▋▊▉━─#].*|.*\d{1,3}% \(\d+/\d+\).*"
    r"|[\[|]?[#=>█━─.\s-]{5,}[\]|]?\s*\d*%?|.*\b\d+(?:\.\d+)?\s?(?:it|[kMG]?i?B)/s\b.*"
    r"|[|/\\-]|[\u2800-\u28ff].*|% Total .*|Dload +Upload.*|\d+ +\d+[kMG]? +\d+ +\d+[kMG]? .*-:--.*"
)
_TRACEBACK = "Traceback (most recent call last):"


def last_line(output: bytes, env: Mapping[str, str] | None) -> str:
    """Return the last meaningful line of ``output``, fit to be recorded; else an empty string.

    ``env`` is the environment of who wrote it, and what looks like a secret is taken out; with None it
    stays.
    """
    lines = _lines(output)
    said = [one for one in lines if one[0] or not _NOISE.match(one[1])]
    found = (said or lines or [(False, "")])[-1][1]
    end = said[-_LOOKED_AT:]
    for kind in (_is_strong, _is_telling):
        if telling := [text for raised, text in end if kind(raised, text)]:
            found = telling[-1]
            break
    if env is not None:
        found = redact(found, env)
    return found if len(found) <= _LONGEST else found[: _LONGEST - 1] + "…"


def telling_line(output: bytes, env: Mapping[str, str] | None) -> str:
    """Return as `last_line` a line of standard output, but only one that tells of an error."""
    found = last_line(output, env)
    return found if _is_strong(False, found) or _is_telling(False, found) else ""


def _is_strong(raised: bool, text: str) -> bool:
    return raised or _STRONG.match(text) is not None


def _is_telling(_: bool, text: str) -> bool:
    return _TELLING.search(text) is not None or _PLACE.match(text) is not None


def _lines(output: bytes) -> list[tuple[bool, str]]:
    """Return the lines that say anything; with each, whether a Python traceback ends with it."""
    text = ESCAPES.sub("", output[-KEPT:].decode("utf-8", "replace"))
    found: list[tuple[bool, str]] = []
    in_traceback = is_stem = False
    for whole in text.split("\n"):
        line = _shown(whole)[:_READ]
        if line == _TRACEBACK or line.endswith(f"Group {_TRACEBACK}"):
            in_traceback = True
        elif not line or (_BAR.fullmatch(line) and not _TELLING.search(line)):
            pass
        elif in_traceback:
            # Of a group of exceptions all is behind a stroke, and further in.
            inner = whole.lstrip().removeprefix("| ") if "| " in whole[:8] else whole
            if inner[:1] not in (" ", "+"):
                in_traceback = False
                found.append((True, _shown(inner)[:_READ]))
        elif is_stem and found:
            raised, stem = found.pop()
            found.append((raised, f"{stem.rstrip(':')}: {line}"))
            is_stem = False
        else:
            found.append((False, line))
            is_stem = _STEM.match(line) is not None
    return found


def _shown(line: str) -> str:
    # A progress bar goes over its line again and again: what one saw last is behind the last return.
    for part in reversed(line.split("\r")):
        # Tabs are spaces; other control characters, and marks that change the direction, are nothing.
        clean = "".join(c for c in part.replace("\t", " ") if c.isprintable()).strip()
        if clean:
            return clean
    return ""
