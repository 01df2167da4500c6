// A prodigy-git plugin: `prodigy-git agents uninstall opencode` removes it.
// sha256 of the lines below: f7d138eb835345d282f41a5ba6cc570d513276f3cc39edb056255825c5cc9392
// OpenCode has no hooks that are commands: this hands its events on to prodigy-git, one call each.
import { spawnSync } from "node:child_process"

const COMMAND = "command -v prodigy-git >/dev/null 2>&1 && prodigy-git agent-hook opencode EVENT; exit 0"
const EVENTS = new Set([
  "session.created", "session.status", "session.idle", "session.error", "session.deleted",
  "permission.asked", "permission.updated", "permission.replied",
  "question.asked", "question.replied", "question.rejected", "file.edited",
])
const PATIENCE = 5000 // milliseconds

export const ProdigyGit = async ({ directory, worktree }) => {
  const cwd = directory || worktree
  const parents = new Map() // a subagent's session, and the one that it works for
  const states = new Map() // of each session whether it is busy or idle
  // Each call is waited for: so they come in order, and the last one comes at all. `opencode run` ends
  // at the very event that says so.
  const say = (name, payload) => {
    try {
      spawnSync("/bin/sh", ["-c", COMMAND.replace(/EVENT(?=(; exit 0)?$)/, name)], {
        input: JSON.stringify({ cwd, ...payload }),
        timeout: PATIENCE,
        stdio: ["pipe", "ignore", "ignore"],
      })
    } catch {
      // An agent is never disturbed by this.
    }
  }
  const hand = ({ id, type, properties }) => say(type, { id, type, properties })
  const whose = (id) => (parents.has(id) ? { session_id: parents.get(id), agent_id: id } : { session_id: id })
  // It says busy many times in a turn, and idle in two ways.
  const turn = (event, id, state) => {
    if (!id || states.get(id) === state) return
    states.set(id, state)
    if (!parents.has(id)) hand(event)
    else if (state === "idle") say("SubagentStop", { hook_event_name: "SubagentStop", event_id: event.id, ...whose(id) })
  }
  return {
    event: async ({ event }) => {
      if (!EVENTS.has(event.type)) return
      const { sessionID, info, status } = event.properties ?? {}
      if (event.type === "session.status") return turn(event, sessionID, status?.type)
      if (event.type === "session.idle") return turn(event, sessionID, "idle")
      if (event.type === "session.created" && info?.parentID) parents.set(info.id, info.parentID)
      else if (event.type === "session.created") states.set(info?.id ?? sessionID, "new")
      hand(event)
      if (event.type === "session.deleted") states.delete(info?.id ?? sessionID)
    },
    "chat.message": async (input, output) => {
      if (parents.has(input?.sessionID)) return // an agent's words to its subagent, not a person's
      const texts = (output?.parts ?? []).filter((one) => one.type === "text").map((one) => one.text)
      states.set(input?.sessionID, "busy")
      say("chat.message", {
        hook_event_name: "chat.message",
        session_id: input?.sessionID,
        message_id: output?.message?.id,
        prompt: texts.join("\n"),
        model: input?.model?.modelID ?? output?.message?.model?.modelID,
      })
    },
    "tool.execute.before": async (input) => {
      // What asks the person something is waited at; of other tools the end says enough.
      if (input?.tool !== "question") return
      say("tool.execute.before", {
        hook_event_name: "tool.execute.before",
        ...whose(input.sessionID),
        tool_name: input.tool,
        tool_use_id: input.callID,
      })
    },
    "tool.execute.after": async (input, output) => {
      const failed = Boolean(output?.metadata?.exit)
      say("tool.execute.after", {
        hook_event_name: "tool.execute.after",
        ...whose(input?.sessionID),
        tool_name: input?.tool,
        tool_use_id: input?.callID,
        tool_input: input?.args,
        tool_response: failed ? { error: `exit code ${output.metadata.exit}` } : {},
      })
    },
    dispose: async () => {
      for (const id of states.keys()) {
        if (parents.has(id)) continue
        const event = "server.instance.disposed"
        say(event, { type: event, properties: { sessionID: id } })
      }
    },
  }
}
