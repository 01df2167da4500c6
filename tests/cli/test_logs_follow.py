"""logs -f: what comes is shown as it comes, also in files that are new."""

import signal
import threading

from support_cli import rewrite_session, start
from support_transcripts import answer, run_of, with_transcript


def until(process, wanted):
    for line in process.stdout:
        if wanted in line:
            return
    raise AssertionError(f"no {wanted!r}: {process.stderr.read()}")


def test_follow_shows_what_comes_also_in_new_files(repo, store, tmp_path):
    path, later = tmp_path / "1.jsonl", tmp_path / "later" / "2.jsonl"
    path.write_text("".join(map(answer, range(30))))
    later.parent.mkdir()
    with_transcript(repo, store, "w1", path)
    process = start("logs", "w1", "-f", cwd=repo)
    deadline = threading.Timer(120, process.kill)  # or a failure would wait for ever
    deadline.start()
    try:
        first = process.stdout.readline()
        assert first.strip() == "2026-11-02 (UTC)"
        assert process.stdout.readline().endswith("answer 10\n")  # 20 from the end
        until(process, "answer 29")
        with path.open("a") as stream:
            stream.write(answer(30)[:40])
            stream.flush()
            stream.write(answer(30)[40:])
        until(process, "answer 30")
        later.write_text(answer(30) + answer(31))
        rewrite_session(store, "w1", metadata={"program_sessions": [run_of(path), run_of(later)]})
        until(process, "answer 31")
        replaced = tmp_path / "new"
        replaced.write_text(answer(32))
        replaced.rename(path)
        until(process, "answer 32")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    finally:
        deadline.cancel()
        process.kill()
        process.wait()


def test_follow_goes_on_with_the_next_attempt_at_an_item(repo, store, tmp_path):
    first, second = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    first.write_text(answer(1))
    second.write_text(answer(2))
    with_transcript(repo, store, "w1", first, item="login")
    process = start("logs", "login", "-f", cwd=repo)
    deadline = threading.Timer(120, process.kill)
    deadline.start()
    try:
        until(process, "answer 1")
        with_transcript(repo, store, "w2", second, item="login")
        until(process, "answer 2")
    finally:
        deadline.cancel()
        process.kill()
        process.wait()
