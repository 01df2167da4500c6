"""The real agent programs, from npm, and sessions of theirs with a model's API that is a local script.

They are kept in the user's cache, so that they are fetched once: half a gigabyte on its way, more on
the disk. Where they cannot be had, the tests that need them are skipped, and say why.
"""

import fcntl
import functools
import hashlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from support_model_api import Served

LIMIT = 240
"""Seconds that fetching them may take."""
PATIENCE = 120
"""Seconds after which a session of a program is given up."""
_CACHE = os.environ.get("XDG_CACHE_HOME", "")  # of who runs the tests: the tests' own is empty
TOP = (Path(_CACHE) if os.path.isabs(_CACHE) else Path.home() / ".cache") / "prodigy-git-tests"
_MACHINE = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
_SYSTEM = f"{sys.platform}-{_MACHINE}"
PACKAGES = {
    "claude": f"@anthropic-ai/claude-code-{_SYSTEM}@2.1.332",
    "codex": f"codex-{_SYSTEM}@npm:@openai/codex@0.171.0-{_SYSTEM}",
    "copilot": f"@github/copilot-{_SYSTEM}@1.0.102",
    "gemini": "@google/gemini-cli@0.61.0",
    "opencode": f"opencode-{_SYSTEM}@1.18.33",
}
"""The native packages themselves: what wraps them is a script that is run after the installation."""
_BINARIES = {
    "claude": f"@anthropic-ai/claude-code-{_SYSTEM}/claude",
    "codex": f"codex-{_SYSTEM}/vendor/*/bin/codex",
    "copilot": f"@github/copilot-{_SYSTEM}/copilot",
    "gemini": "@google/gemini-cli/bundle/gemini.js",
    "opencode": f"opencode-{_SYSTEM}/bin/opencode",
}


@functools.cache
def _fetched() -> Path | str:
    """Return the folder that the programs are in, or why they are not there."""
    for needed in ("node", "npm"):
        if shutil.which(needed) is None:
            return f"there is no {needed}"
    mark = hashlib.sha256(json.dumps(PACKAGES).encode()).hexdigest()[:12]
    place = TOP / f"agent-programs-{mark}"
    if (place / "whole").exists():
        return place
    try:
        place.mkdir(parents=True, exist_ok=True)
        with (place / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # held by another worker for LIMIT at most
            return place if (place / "whole").exists() else _fetch(place)
    except OSError as error:
        return str(error)


def _fetch(place: Path) -> Path | str:
    if (place / "failed").exists() and os.environ.get("PYTEST_XDIST_TESTRUNUID") == (
        place / "failed"
    ).read_text():
        return "another worker of this run could not fetch them"
    (place / "package.json").write_text('{"private": true}')
    options = ["--no-audit", "--no-fund", "--ignore-scripts", "--omit=optional", "--loglevel=error"]
    command = ["npm", "install", *options, *PACKAGES.values()]
    with subprocess.Popen(
        command, cwd=place, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, process_group=0,
    ) as npm:  # fmt: skip
        try:
            said = npm.communicate(timeout=LIMIT)[0]
        except subprocess.TimeoutExpired:
            os.killpg(npm.pid, signal.SIGKILL)
            said = f"npm was not through after {LIMIT} seconds"
    if npm.returncode != 0:
        (place / "failed").write_text(os.environ.get("PYTEST_XDIST_TESTRUNUID", ""))
        lines = said.strip().splitlines() or ["npm failed"]
        return next((line for line in lines if "npm error" in line), lines[-1])
    (place / "whole").touch()
    return place


def binary(program: str) -> list[str]:
    """Return the command that a program is called by; the test is skipped where there is none."""
    place = _fetched()
    if isinstance(place, str):
        pytest.skip(f"THE REAL AGENT PROGRAMS ARE NOT TESTED, npm could not install them: {place}")
    found = sorted((place / "node_modules").glob(_BINARIES[program]))
    if not found:
        pytest.skip(f"{program} IS NOT TESTED: there is none for {_SYSTEM}")
    return ["node", str(found[0])] if program == "gemini" else [str(found[0])]


def call(
    program: str, *arguments: str, cwd: Path, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Call a program in the test's own home, without a terminal; it has ended well."""
    done = subprocess.run(
        [*binary(program), *arguments], cwd=cwd, env={**_environment(), **(environ or {})},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done
    return done


def _environment() -> dict[str, str]:
    """Return what a program finds: nothing of this machine's programs, nothing that leads out."""
    kept = ("PATH", "LC_ALL", "TZ")
    sealed = ("HOME", "PRODIGY_", "GIT_", "XDG_")
    return {
        name: value for name, value in os.environ.items() if name in kept or name.startswith(sealed)
    } | {
        "TERM": "xterm-256color",
        # What they leave in a temporary folder goes with the test's.
        "TMPDIR": os.environ["HOME"],
        "CLAUDE_CODE_TMPDIR": os.environ["HOME"],
        "NO_PROXY": "127.0.0.1",
        "HTTPS_PROXY": "http://127.0.0.1:9",  # nobody is there: no program tells anybody of a test
        "DISABLE_AUTOUPDATER": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        # OpenCode asks npm for what a plugin may be written with, several times.
        "npm_config_offline": "true",
        "npm_config_fetch_retries": "0",
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
        "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
        "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1",
        "COPILOT_AUTO_UPDATE": "false",
    }


def session(program: str, served: Served, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a session of one prompt in ``cwd``, with what ``served`` has the model do."""
    return _SESSIONS[program](served, cwd)


def claude_session(served: Served, cwd: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Run a session of Claude Code, with more arguments."""
    return call(
        "claude", "-p", served.prompt, "--permission-mode", "bypassPermissions", *more, cwd=cwd,
        environ={"ANTHROPIC_BASE_URL": served.url, "ANTHROPIC_API_KEY": "none", "IS_SANDBOX": "1"},
    )  # fmt: skip


def _codex(served: Served, cwd: Path) -> subprocess.CompletedProcess[str]:
    provider = (
        f'{{name="local", base_url="{served.url}/v1", wire_api="responses", env_key="NO_KEY"}}'
    )
    settings = {
        "model": '"gpt-5.5"',
        "model_provider": '"local"',
        "model_providers.local": provider,
    }
    words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    return call(
        "codex", "exec", *words, "--dangerously-bypass-approvals-and-sandbox", served.prompt,
        cwd=cwd, environ={"NO_KEY": "none"},
    )  # fmt: skip


def codex_hooks(cwd: Path) -> list[dict[str, Any]]:
    """Return the hooks that Codex itself lists for a folder."""
    asked = [
        {
            "id": 1,
            "method": "initialize",
            "params": {"clientInfo": {"name": "test", "version": "1"}},
        },
        {"method": "initialized"},
        {"id": 2, "method": "hooks/list", "params": {"cwds": [str(cwd)]}},
    ]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(
        [*binary("codex"), "app-server"], cwd=cwd, env=_environment(), text=True, **pipes
    ) as server:
        server.stdin.write("".join(json.dumps({"jsonrpc": "2.0", **one}) + "\n" for one in asked))
        server.stdin.flush()
        answers = map(json.loads, server.stdout)
        answer = next(one for one in answers if one.get("id") == 2)
        server.kill()
    hooks: list[dict[str, Any]] = answer["result"]["data"][0]["hooks"]
    return hooks


def copilot_session(served: Served, cwd: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Run a session of Copilot CLI, with more arguments."""
    environ = {
        "COPILOT_OFFLINE": "true", "COPILOT_PROVIDER_BASE_URL": f"{served.url}/v1",
        "COPILOT_PROVIDER_API_KEY": "none", "COPILOT_MODEL": "local",
    }  # fmt: skip
    words = ["--allow-all-tools", "--allow-all-paths", "--trust-folder", *more, "-p", served.prompt]
    return call("copilot", *words, cwd=cwd, environ=environ)


def _gemini(served: Served, cwd: Path) -> subprocess.CompletedProcess[str]:
    environ = {
        "GEMINI_API_KEY": "none", "GOOGLE_GEMINI_BASE_URL": served.url,
        "GEMINI_CLI_TRUST_WORKSPACE": "true", "GEMINI_TELEMETRY_ENABLED": "false",
        "GEMINI_CLI_NO_RELAUNCH": "true",
    }  # fmt: skip
    return call("gemini", "--yolo", "-p", served.prompt, cwd=cwd, environ=environ)


def _opencode(served: Served, cwd: Path) -> subprocess.CompletedProcess[str]:
    model = {"name": "local", "tool_call": True, "limit": {"context": 100_000, "output": 10_000}}
    settings = {
        "model": "local/local", "small_model": "local/local", "autoupdate": False,
        "share": "disabled", "permission": "allow",
        "provider": {"local": {
            "npm": "@ai-sdk/openai-compatible", "name": "local", "models": {"local": model},
            "options": {"baseURL": f"{served.url}/v1", "apiKey": "none"},
        }},
    }  # fmt: skip
    environ = {"OPENCODE_CONFIG_CONTENT": json.dumps(settings)}
    return call("opencode", "run", served.prompt, cwd=cwd, environ=environ)


_SESSIONS = {
    "claude": claude_session, "codex": _codex, "copilot": copilot_session, "gemini": _gemini,
    "opencode": _opencode,
}  # fmt: skip
