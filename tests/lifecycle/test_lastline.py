"""The line of a command's output that is recorded as its error: as real tools write it."""

import pytest

from prodigy_git.lifecycle.lastline import ESCAPES, last_line, telling_line

PYTHON = """\
working
Traceback (most recent call last):
  File "/x/a.py", line 3, in <module>
    raise LookupFailed("no such thing")
          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
orders.Missing: order 17

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/x/a.py", line 5, in <module>
    fail()
orders.Rejected: order 17 is closed
"""
GROUP = """\
  + Exception Group Traceback (most recent call last):
  |   File "/x/a.py", line 1, in <module>
  |     raise ExceptionGroup("two", found)
  | ExceptionGroup: two went wrong (1 sub-exception)
  +-+---------------- 1 ----------------
"""
NODE = """\
/app/x.js:3
    throw new Error("no fixture")
    ^

Error: Cannot find module './y'
    at Module._resolveFilename (node:internal/modules/cjs/loader:1140:15)
    at Object.<anonymous> (/app/x.js:3:9)
    at node:internal/main/run_main_module:23:47 {
  code: 'MODULE_NOT_FOUND',
  requireStack: [ '/app/x.js' ]
}

Node.js v20.11.0
npm ERR! Lifecycle script `test` failed with error:
npm ERR! Error: command failed
npm ERR!   in workspace: x@1.0.0
npm ERR! A complete log of this run can be found in: /home/me/.npm/_logs/x.log
"""
NPM = """\
npm ERR! code E404
npm ERR! 404 Not Found - GET https://registry.npmjs.org/nosuch - Not found
npm ERR! 404\x20
npm ERR! 404 Note that you can also install from a
npm ERR! 404 tarball, folder, http url, or git folder.

npm ERR! A complete log of this run can be found in:
npm ERR!     /home/me/.npm/_logs/x-debug-0.log
"""
RUSTC = """\
error[E0308]: mismatched types
 --> src/main.rs:2:18
  |
2 |     let x: i32 = "a";
  |            ---   ^^^ expected `i32`, found `&str`
  |            |
  |            expected due to this

error: aborting due to 1 previous error

For more information about this error, try `rustc --explain E0308`.
error: could not compile `x` (bin "x") due to 1 previous error
"""
CARGO_TEST = """\
---- tests::adds stdout ----

thread 'tests::adds' panicked at src/lib.rs:9:9:
assertion `left == right` failed
  left: 3
 right: 4
stack backtrace:
   0: rust_begin_unwind
             at /rustc/07dca/library/std/src/panicking.rs:647:5
   1: core::panicking::panic_fmt
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace

failures:
    tests::adds

test result: FAILED. 0 passed; 1 failed; 0 ignored; finished in 0.00s

error: test failed, to rerun pass `--lib`
"""
PYTEST = """\
=================================== FAILURES ===================================
____________________________________ test_x ____________________________________

    def test_x():
>       assert 1 == 2
E       assert 1 == 2

test_a.py:2: AssertionError
=========================== short test summary info ============================
FAILED test_a.py::test_x - assert 1 == 2
========================= 1 failed, 3 passed in 0.02s ==========================
"""
UNITTEST = """\
FAIL: test_x (t.T.test_x)
----------------------------------------------------------------------
Traceback (most recent call last):
  File "/x/t.py", line 4, in test_x
    self.assertEqual(1, 2)
AssertionError: 1 != 2

----------------------------------------------------------------------
Ran 1 test in 0.000s

FAILED (failures=1)
"""
JEST = """\
FAIL src/sum.test.js
  ✕ adds (3 ms)

  ● sums › adds

    expect(received).toBe(expected) // Object.is equality

    Expected: 4
    Received: 3

      at Object.<anonymous> (src/sum.test.js:4:20)

Test Suites: 1 failed, 1 total
Tests:       1 failed, 1 total
Snapshots:   0 total
Time:        0.5 s
Ran all test suites.
"""
GO_TEST = """\
--- FAIL: TestAdd (0.00s)
    add_test.go:8: got 3, want 4
FAIL
FAIL\texample.com/add\t0.002s
FAIL
exit status 1
"""
GO_PANIC = """\
panic: runtime error: index out of range [5] with length 3

goroutine 1 [running]:
main.main()
\t/x/main.go:4 +0x1d
exit status 2
"""
GO_BUILD = "# example.com/x\n./main.go:5:2: undefined: y\nnote: module requires Go 1.22\n"
GCC = """\
a.c:3:5: error: 'x' undeclared (first use in this function)
a.c:3:5: note: each undeclared identifier is reported only once
make: *** [Makefile:2: all] Error 1
"""
JAVA = """\
Exception in thread "main" java.lang.IllegalStateException: no database
\tat com.x.Main.main(Main.java:5)
Caused by: java.io.IOException: refused
\tat com.x.Main.open(Main.java:9)
\t... 1 more
"""


@pytest.mark.parametrize(
    ("output", "wanted"),
    [
        (PYTHON, "orders.Rejected: order 17 is closed"),
        (GROUP, "ExceptionGroup: two went wrong (1 sub-exception)"),
        (NODE, "Error: Cannot find module './y'"),
        (NPM, "npm ERR! 404 Not Found - GET https://registry.npmjs.org/nosuch - Not found"),
        (RUSTC, "error[E0308]: mismatched types"),
        (
            CARGO_TEST,
            "thread 'tests::adds' panicked at src/lib.rs:9:9: assertion `left == right` failed",
        ),
        (PYTEST, "FAILED test_a.py::test_x - assert 1 == 2"),
        (UNITTEST, "AssertionError: 1 != 2"),
        (JEST, "● sums › adds: expect(received).toBe(expected) // Object.is equality"),
        (GO_TEST, "--- FAIL: TestAdd (0.00s): add_test.go:8: got 3, want 4"),
        (GO_PANIC, "panic: runtime error: index out of range [5] with length 3"),
        (GO_BUILD, "./main.go:5:2: undefined: y"),
        (GCC, "a.c:3:5: error: 'x' undeclared (first use in this function)"),
        (JAVA, "Caused by: java.io.IOException: refused"),
        ("fatal: not a git repository\nhint: stand in one\n", "fatal: not a git repository"),
        ("reading\ngiving it up\n 45%|████▌     | 45/100 [00:01<00:01, 33.1it/s]", "giving it up"),
        ("Receiving objects: 100% (3/3), done.\n", ""),
        ("10%\r20%\r30%\n", ""),
        ("step one\nModuleNotFoundError: No module named 'x'\nfirst step done\n",
         "ModuleNotFoundError: No module named 'x'"),
        ("npm ERR! code ELIFECYCLE\n", "npm ERR! code ELIFECYCLE"),
    ],
)  # fmt: skip
def test_the_line_that_says_why(output, wanted):
    assert last_line(output.encode(), {}) == wanted
    coloured = "".join(f"\x1b[31m{line}\x1b[0m\r\n" for line in output.splitlines())
    assert last_line(coloured.encode(), {}) == wanted


def test_errors_of_long_ago_are_not_why():
    gone_on = "".join(f"step {n}\n" for n in range(40))
    assert last_line(f"Error: no cache\n{gone_on}".encode(), {}) == "step 39"


def test_standard_output_is_why_only_where_it_says_so():
    assert telling_line(PYTEST.encode(), {}) == "FAILED test_a.py::test_x - assert 1 == 2"
    assert telling_line(b"done\n", {}) == ""


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("cannot push to https://me:hunter2@host/x.git",
         "cannot push to https://me:[redacted: url-password]@host/x.git"),
        ("api_key=abc123def456 is wrong", "api_key=[redacted: named] is wrong"),
        ("SyntaxError: Unexpected token: identifier", "SyntaxError: Unexpected token: identifier"),
        ("the value is tulip-under-glass", "the value is [redacted: MY_API_KEY]"),
        ("tulip", "tulip"),
        ("/my place/a.py: no such file", "/my place/a.py: no such file"),
    ],
)  # fmt: skip
def test_secrets_are_taken_out(said, wanted):
    env = {
        "PWD": "/my place",
        "MY_API_KEY": "tulip-under-glass",
        "TOKEN": "tulip",
        "HOME": "the value",
    }
    assert last_line(said.encode(), env) == wanted


def test_an_escape_that_does_not_end_ends_at_the_next():
    """Or each of many is looked for to the end: by the square, of lines of megabytes."""
    many = "\x1b]0;" * 100_000
    assert ESCAPES.sub("", "\x1b]0;a \x1b]0;title\x07\x1b[1mError: so") == "0;a Error: so"
    assert last_line(f"{many}\nError: so\n".encode(), {}) == "Error: so"
    assert ESCAPES.sub("", f"{many}\nx") == "0;" * 100_000 + "\nx"
