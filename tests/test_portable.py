"""Where it is installed: no module needs what only one system has, or the encoding that only one has by default."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rooms import ROOT

FILES = [
    path
    for folder in ("reloop_stream", "simulator", "benchmarks", "examples")
    for path in (ROOT / folder).rglob("*.py")
]

# Modules of the standard library that some system does not have.
PARTIAL = {
    "crypt", "curses", "fcntl", "grp", "msvcrt", "nis", "ossaudiodev", "posix", "pty", "pwd", "readline", "resource",
    "select", "spwd", "syslog", "termios", "tty", "winreg", "winsound", "_winapi",
}  # fmt: skip
# What `os`, `signal` and `time` have on some systems. A use is allowed in the module that guards it.
PARTIAL_NAMES = {
    "O_DIRECTORY", "O_NOFOLLOW", "SIGALRM", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGUSR1", "SIGUSR2", "alarm", "chown", "fchmod",
    "fdatasync", "fork", "forkpty", "getloadavg", "getpgid", "getuid", "geteuid", "killpg", "mkfifo", "nice",
    "posix_fadvise", "posix_fallocate", "pread", "preadv", "pthread_kill", "pthread_sigmask", "pwrite", "pwritev",
    "sched_getaffinity", "sched_setaffinity", "sendfile", "setitimer", "setpgid", "setsid", "sigwait", "statvfs", "sync",
    "sysconf", "tzset", "uname", "wait3", "wait4", "waitpid",
}  # fmt: skip
GUARDED = {
    ("reloop_stream/runtime/descriptors.py", "pread"),
    ("reloop_stream/runtime/descriptors.py", "pwritev"),
    ("reloop_stream/runtime/processes.py", "SIGKILL"),  # on Linux alone
    ("reloop_stream/log/broker.py", "SIGKILL"),  # a broker does not start on Windows, and says so
    ("reloop_stream/log/broker.py", "setsid"),
    ("reloop_stream/runtime/processes.py", "pthread_sigmask"),
    ("reloop_stream/runtime/processes.py", "sched_getaffinity"),
    ("benchmarks/kafka.py", "sysconf"),  # for maintainers, on Linux
    ("benchmarks/linear.py", "sched_getaffinity"),
    ("benchmarks/linear.py", "sched_setaffinity"),
}


def parsed() -> Iterator[tuple[str, ast.Module]]:
    for path in FILES:
        yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def guarded(tree: ast.Module) -> set[ast.AST]:
    """All that stands in a `try` that catches ImportError, or in an `if` that asks for the platform."""
    found: set[ast.AST] = set()
    for node in ast.walk(tree):
        is_tried = isinstance(node, ast.Try) and any("ImportError" in ast.unparse(one) for one in node.handlers)
        if is_tried or (isinstance(node, ast.If) and "sys.platform" in ast.unparse(node.test)):
            found |= set(ast.walk(node))
    return found


def test_a_module_that_some_system_lacks_is_imported_where_it_is() -> None:
    bare = []
    for name, tree in parsed():
        fine = guarded(tree)
        for node in ast.walk(tree):
            if not isinstance(node, ast.Import | ast.ImportFrom) or node in fine:
                continue
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            bare += [f"{name}:{node.lineno}: {one}" for one in names if one.split(".")[0] in PARTIAL]
    assert bare == []


def test_a_call_that_some_system_lacks_stands_where_it_is_guarded() -> None:
    used = {
        (name, node.attr)
        for name, tree in parsed()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in PARTIAL_NAMES and ast.unparse(node.value) in ("os", "signal", "time")
    }  # fmt: skip
    assert used == GUARDED


def has(call: ast.Call, *keywords: str) -> bool:
    return any(keyword.arg in keywords for keyword in call.keywords)


def lacks_an_encoding(call: ast.Call) -> bool:
    """Whether text is read or written in the encoding that the machine happens to have."""
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if name == "read_text":
        return not (call.args or has(call, "encoding"))
    if name == "write_text":
        return not (len(call.args) > 1 or has(call, "encoding"))
    if name in ("run", "Popen", "check_output") and has(call, "text", "universal_newlines"):
        return not has(call, "encoding")
    if isinstance(function, ast.Name) and name == "open":
        mode = next((keyword.value for keyword in call.keywords if keyword.arg == "mode"), None)
        mode = mode or (call.args[1] if len(call.args) > 1 else None)
        return "b" not in (ast.literal_eval(mode) if mode else "r") and not has(call, "encoding")
    return False


def test_text_has_its_encoding_said() -> None:
    bare = [
        f"{name}:{node.lineno}"
        for name, tree in parsed()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and lacks_an_encoding(node)
    ]
    assert bare == []


# What a process finds on Windows, as far as it can be had here: for it and for all that it starts.
ELSEWHERE = """
import os, sys
for name in ("fcntl", "grp", "pwd", "resource", "termios"):
    sys.modules[name] = None
for name in ("O_DIRECTORY", "fork", "getuid", "killpg", "pread", "pwrite", "pwritev", "sched_getaffinity", "setsid"):
    delattr(os, name)
"""
IMPORT_ALL = """
import importlib, pkgutil, reloop_stream, simulator
for package in (reloop_stream, simulator):
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
"""
APPEND_AND_READ = """
import pathlib
from reloop_stream.log import Partition, open_log
log, place = open_log(pathlib.Path("log")), Partition("topic", 0)
log.create_topics({"topic": 1})
for value in (b"one\\n", b"two\\r\\n"):
    producer = log.producer()
    producer.append(place, value)
    producer.close()
print([record.value for record in log.reader({place: 0}).poll()])
"""


def elsewhere(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    (folder / "sitecustomize.py").write_text(ELSEWHERE, encoding="utf-8")
    path = os.pathsep.join([str(folder), str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder, env={**os.environ, "PYTHONPATH": path}, capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    "code, out",
    [pytest.param(IMPORT_ALL, "", marks=pytest.mark.slow), (APPEND_AND_READ, r"[b'one\n', b'two\r\n']")],
    ids=["every module", "the embedded log"],
)
def test_without_the_calls_of_posix_it_works(code: str, out: str, tmp_path: Path) -> None:
    done = elsewhere(tmp_path, "-c", code)
    assert (done.returncode, done.stdout.strip()) == (0, out), done.stderr
    assert done.stderr.count("\n") <= 1 and (not out or "no file locks" in done.stderr)


@pytest.mark.slow
def test_without_the_calls_of_posix_a_run_of_several_processes_comes_to_its_end(tiny: Path) -> None:
    done = elsewhere(tiny.parent, "-m", "simulator", "run", str(tiny), "--workers", "2", "--out", "run", "--quiet")
    assert done.returncode == 0 and (tiny.parent / "run" / "report.html").exists(), done.stderr
