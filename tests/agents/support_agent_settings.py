"""Settings of agent programs in a sealed HOME: where each lies, writing one, counting what is ours."""

from prodigy_git.agents import calls, entries, jsonc, programs

CLAUDE = ".claude/settings.json"
FILES = {
    "claude": CLAUDE,
    "codex": ".codex/hooks.json",
    "gemini": ".gemini/settings.json",
    "cursor": ".cursor/hooks.json",
    "copilot": ".copilot/hooks/prodigy-git.json",
    "opencode": ".config/opencode/plugins/prodigy-git.js",
}
REAL = {
    "a person's": """\
{
  "model": "opus",
  "permissions": {
    "allow": ["Bash(git *)"]
  },
  "hooks": {
    "PostToolUse": [
      {
        "matcher": "Edit|Write",
        "hooks": [
          { "type": "command", "command": "jq -r .tool_input.file_path | xargs prettier -w" }
        ]
      }
    ]
  },
  "env": { "TOKEN": "x" }
}
""",
    "with comments": '// mine\n{\n\t"hooks": {\n\t\t// later\n\t\t"Stop": [],\n\t},\n}\n',
    "on one line": '{"a":1,"hooks":{}}',
    "of Windows": '\ufeff{\r\n  "a": 1\r\n}\r\n',
    "without an end": '{\n    "a": 1.0\n}',
    "empty": "",
    "of blanks": "\n \n",
    "an object": "{}\n",
    "an object with a line": "{\n}",
    "keys twice": '{"hooks": {"Stop": []}, "a": 1, "hooks": {"Stop": [], "Stop": [ ]}}',
}


def written(home, text, name=CLAUDE):
    path = home / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


def ours(path):
    root = jsonc.parse(path.read_text(encoding="utf-8"))
    there = entries.found(programs.CLAUDE, root)
    return sum(calls.is_ours(one.command()) for one in there)
