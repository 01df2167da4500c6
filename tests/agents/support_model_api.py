"""A model's API on 127.0.0.1 that plays a script, in the forms of four makers.

The model that it plays calls the tools of the script, one after the other, and is done.
"""

import itertools
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

SAID = "All done."
PROMPT = "Do the work."
Step = tuple[str, Any]
"""A tool's name, and its input."""


class Served(NamedTuple):
    """What a program is told of the API."""

    url: str
    prompt: str
    asked: list[str]
    """The paths that were asked for, in order."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    steps: list[Step]
    asked: list[str]
    number: "itertools.count[int]"

    def next_id(self, kind: str) -> str:
        return f"{kind}_{next(self.number):08}"

    def step(self, done: int, prompted: bool, tools: list[str]) -> Step | None:
        """Return the step that comes behind ``done`` results, if the request is the agent's own."""
        if not prompted or not tools or done >= len(self.steps):
            return None
        return self.steps[done]


@contextmanager
def served(*steps: Step) -> Iterator[Served]:
    """Serve a model that takes these steps, and then says `SAID`."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.steps, server.asked, server.number = list(steps), [], itertools.count(1)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield Served(f"http://127.0.0.1:{server.server_address[1]}", PROMPT, server.asked)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self._answer({"object": "list", "data": [], "models": []})

    def do_POST(self) -> None:
        self.server.asked.append(self.path)
        self.close_connection = True
        body = json.loads(self._body() or b"{}")
        path = self.path.split("?")[0]
        if path.endswith("/v1/messages"):
            self._messages(body)
        elif path.endswith("/responses"):
            self._responses(body)
        elif path.endswith("/chat/completions"):
            self._chat(body)
        elif "enerateContent" in path:
            self._gemini(body, streamed=":stream" in path)
        elif path.endswith(":countTokens"):
            self._answer({"totalTokens": 100})
        else:
            self._answer({"input_tokens": 100})

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        pieces = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _answer(self, value: Any) -> None:
        text = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(text)

    def _stream(self, *events: Any) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        for event in events:
            if isinstance(event, dict) and "type" in event:
                self.wfile.write(b"event: %s\n" % event["type"].encode())
            text = event if isinstance(event, str) else json.dumps(event)
            self.wfile.write(b"data: %s\n\n" % text.encode())

    def _messages(self, body: dict[str, Any]) -> None:
        """Anthropic's."""
        blocks = [
            block
            for message in body["messages"]
            for block in (message["content"] if isinstance(message["content"], list) else [])
        ]
        done = sum(block.get("type") == "tool_result" for block in blocks)
        step = self.server.step(done, PROMPT in json.dumps(body["messages"]), body.get("tools", []))
        usage = {"input_tokens": 120, "output_tokens": 7, "cache_read_input_tokens": 50}
        block: dict[str, Any] = {"type": "text", "text": ""}
        delta = {"type": "text_delta", "text": SAID}
        if step is not None:
            block = {
                "type": "tool_use",
                "id": self.server.next_id("toolu"),
                "name": step[0],
                "input": {},
            }
            delta = {"type": "input_json_delta", "partial_json": json.dumps(step[1])}
        message = {
            "id": self.server.next_id("msg"), "type": "message", "role": "assistant",
            "model": body["model"], "stop_sequence": None, "usage": usage,
        }  # fmt: skip
        reason = "end_turn" if step is None else "tool_use"
        if not body.get("stream"):
            block = {**block, "text": SAID} if step is None else {**block, "input": step[1]}
            self._answer({**message, "content": [block], "stop_reason": reason})
            return
        self._stream(
            {"type": "message_start", "message": {**message, "content": [], "stop_reason": None}},
            {"type": "content_block_start", "index": 0, "content_block": block},
            {"type": "content_block_delta", "index": 0, "delta": delta},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": usage},
            {"type": "message_stop"},
        )

    def _responses(self, body: dict[str, Any]) -> None:
        """OpenAI's, as Codex asks it."""
        items = body["input"]
        done = sum(item.get("type", "").endswith("_call_output") for item in items)
        step = self.server.step(done, PROMPT in json.dumps(items), body.get("tools", []))
        call = {"call_id": self.server.next_id("call"), "id": self.server.next_id("item")}
        item: dict[str, Any]
        if step is None:
            text = [{"type": "output_text", "text": SAID}]
            item = {"type": "message", "role": "assistant", "id": call["id"], "content": text}
        elif isinstance(step[1], str):
            item = {"type": "custom_tool_call", "name": step[0], "input": step[1], **call}
        else:
            arguments = json.dumps(step[1])
            item = {"type": "function_call", "name": step[0], "arguments": arguments, **call}
        usage = {"input_tokens": 100, "output_tokens": 10, "total_tokens": 110}
        answer = {"id": self.server.next_id("resp"), "usage": usage}
        self._stream(
            {"type": "response.created", "response": {"id": answer["id"]}},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": answer},
        )

    def _chat(self, body: dict[str, Any]) -> None:
        """OpenAI's older one, as everybody has it."""
        done = sum(message["role"] == "tool" for message in body["messages"])
        prompted = PROMPT in json.dumps(body["messages"])
        step = self.server.step(done, prompted, body.get("tools", []))
        said: dict[str, Any] = {"role": "assistant", "content": SAID}
        if step is not None:
            function = {"name": step[0], "arguments": json.dumps(step[1])}
            call = {"index": 0, "id": self.server.next_id("call"), "type": "function"}
            said = {"role": "assistant", "tool_calls": [{**call, "function": function}]}
        reason = "stop" if step is None else "tool_calls"
        usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
        frame = {
            "id": self.server.next_id("chat"), "object": "chat.completion.chunk", "created": 1,
            "model": body["model"],
        }  # fmt: skip
        if not body.get("stream"):
            choice = {"index": 0, "message": said, "finish_reason": reason}
            whole = {"object": "chat.completion", "choices": [choice], "usage": usage}
            self._answer({**frame, **whole})
            return
        last = {"index": 0, "delta": {}, "finish_reason": reason}
        self._stream(
            {**frame, "choices": [{"index": 0, "delta": said, "finish_reason": None}]},
            {**frame, "choices": [last], "usage": usage},
            "[DONE]",
        )

    def _gemini(self, body: dict[str, Any], *, streamed: bool) -> None:
        parts = [part for one in body["contents"] for part in one["parts"]]
        done = sum("functionResponse" in part for part in parts)
        step = self.server.step(done, PROMPT in json.dumps(parts), body.get("tools", []))
        part = (
            {"text": SAID} if step is None else {"functionCall": {"name": step[0], "args": step[1]}}
        )
        if body.get("generationConfig", {}).get("responseMimeType") == "application/json":
            # Which model is to be asked.
            choice = {"reasoning": "", "model_choice": "flash", "complexity_reasoning": "",
                      "complexity_score": 1, "next_speaker": "user"}  # fmt: skip
            part = {"text": json.dumps(choice)}
        value = {
            "candidates": [
                {"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}
            ],
            "usageMetadata": {"promptTokenCount": 100, "candidatesTokenCount": 10},
            "modelVersion": "gemini-2.5-pro",
        }
        if streamed:
            self._stream(value)
        else:
            self._answer(value)
