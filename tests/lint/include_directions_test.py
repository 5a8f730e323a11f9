#!/usr/bin/env python3
"""The rules that the compiler does not check: who may include whom, what pure folders may touch, how long a file may be.

Each rule is a function from a file's path and text to complaints; `test_rule_fires` holds a bad sample for each, so a
rule that stopped working is itself a failure. Runs under pytest and, without it, as a program (`meson test`).
"""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
MAX_LINES = 650

# Folder → the folders of ours that it may include besides itself. agent/*.cc (the composition root) may include all.
BASE = {"agent/base"}
MODEL = BASE | {"agent/model"}
DECIDE = MODEL | {"agent/decide"}
OUTER = DECIDE | {"agent/async"}
ALLOWED = {
    "agent/base": set(),
    "agent/model": BASE,
    "agent/decide": MODEL,
    "agent/async": BASE,
    "cri": OUTER,
    "agent/kube": OUTER,
    "agent/store": OUTER,
    "agent/local": OUTER,
    "agent/service": OUTER,
    "agent/config": OUTER,
    "agent/manifests": OUTER,
    "agent/node": OUTER | {"cri"},
    "agent/pods": OUTER | {"cri"},
    "agent/identity": OUTER | {"agent/kube"},
    "agent/cluster": OUTER | {"agent/kube", "agent/pods", "agent/node", "agent/store", "cri"},
    "agent/rollout": OUTER | {"agent/kube", "agent/pods"},
    "agent/pch": BASE | {"agent/model", "agent/async"},
    "agent/ctl": OUTER | {"agent/local", "agent/config", "agent/kube", "agent/identity"},
}
PURE = ("agent/base/", "agent/model/", "agent/decide/")
# The logging façade writes to standard error through spdlog; it is the one way out of the pure folders.
SPDLOG_USER = "agent/base/log.cc"

IMPURE = [
    (r"^\s*#\s*include\s*<boost/asio|^\s*#\s*include\s*<boost/beast|\basio::", "uses Asio"),
    (r"^\s*#\s*include\s*<grpc", "uses gRPC"),
    (r"_clock::now\b|\b(?:gettimeofday|clock_gettime)\s*\(|(?<![\w.:>])(?:std::)?time\s*\(\s*(?:NULL|nullptr|0|&\w+)\s*\)",
     "reads a clock; take the time as a parameter"),
    (r"^\s*#\s*include\s*<random>|(?<![\w:])(?:std::)?s?rand\s*\(|\b(?:random_device|getrandom|arc4random)\b",
     "uses randomness; take the value as a parameter"),
    (r"^\s*#\s*include\s*<(?:fstream|filesystem|cstdio|stdio\.h|iostream|unistd\.h|fcntl\.h|sys/[\w/]+\.h|thread|mutex)>"
     r"|\b(?:std::)?[io]?fstream\b|(?<![\w.:>])(?:::)?(?:fopen|open|openat|popen|getenv)\s*\(", "does I/O or threads"),
]


def strip_comments(text):
    """Comments and the contents of string literals blanked out, line numbers kept; #include lines stay readable."""

    def blank(match):
        token = match.group(0)
        if token.startswith(("//", "/*")):
            return re.sub(r"[^\n]", " ", token)
        return token[0] + " " * (len(token) - 2) + token[-1] if "\n" not in token else re.sub(r"[^\n]", " ", token)

    pattern = r'(?m)^[ \t]*#[ \t]*include[^\n]*|//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\''
    return re.sub(pattern, lambda m: m.group(0) if m.group(0).lstrip().startswith("#") else blank(m), text, flags=re.S)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def folder_of(path):
    return next((folder for folder in sorted(ALLOWED, key=len, reverse=True) if path.startswith(folder + "/")), None)


def include_directions(path, text):
    folder = folder_of(path)
    if folder is None:
        return
    for match in re.finditer(r'^\s*#\s*include\s*"([^"]+)"', text, re.M):
        target = folder_of(match.group(1))
        if target and target != folder and target not in ALLOWED[folder]:
            yield f"{path}:{line_of(text, match.start(1))}: {folder} must not include {target} ({match.group(1)})"


def purity(path, text):
    if not path.startswith(PURE):
        return
    code = strip_comments(text)
    patterns = list(IMPURE)
    if path != SPDLOG_USER:
        patterns.append((r"^\s*#\s*include\s*<spdlog|\bspdlog::", "uses spdlog; log through agent/base/log.h"))
    for pattern, what in patterns:
        if path == SPDLOG_USER and "I/O" in what:
            continue
        for match in re.finditer(pattern, code, re.M):
            yield f"{path}:{line_of(code, match.end())}: this folder is pure, but the line {what}"


def capturing_coroutines(path, text):
    """A lambda's captures die with the lambda, before a coroutine made from it resumes."""
    if not path.endswith((".cc", ".h")):
        return
    code = strip_comments(text)
    # Only captures that are not empty; "]" then "(" or "{" tells a lambda from a subscript.
    for match in re.finditer(r"(?<![\w\])])\[[^\[\]]+\]\s*(?:\([^()]*\))?\s*(?:mutable\s*)?(?:noexcept\s*)?->\s*"
                             r"(?:[\w:]*::)?(?:Task|awaitable)\s*<", code):
        yield f"{path}:{line_of(code, match.start())}: a coroutine must not be a capturing lambda; make it a function"
    for match in re.finditer(r"\bco_await\s*\(?\s*\[[^\[\]]+\]\s*(?=[({])", code):
        yield f"{path}:{line_of(code, match.start())}: a capturing lambda is awaited; make it a named function"


def length(path, text):
    lines = text.count("\n")
    if lines > MAX_LINES:
        yield f"{path}: {lines} lines; split it, no file is longer than {MAX_LINES}"


RULES = [include_directions, purity, capturing_coroutines, length]


def sources():
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard"],
                            check=True, capture_output=True, text=True).stdout.split("\n")
    return [p for p in listed
            if p.startswith(("agent/", "cri/", "tests/")) and p.endswith((".cc", ".h", ".py")) and (ROOT / p).exists()]


def complaints():
    found = []
    for path in sources():
        text = (ROOT / path).read_text()
        for rule in RULES:
            found += rule(path, text)
    return found


BAD_SAMPLES = [
    (include_directions, "agent/base/x.cc", '#include "agent/model/codec.h"\n'),
    (include_directions, "agent/model/x.h", '#include "agent/decide/placement.h"\n'),
    (include_directions, "agent/decide/x.h", '#include "agent/async/task.h"\n'),
    (include_directions, "agent/decide/x.h", '#include "cri/runtime.h"\n'),
    (include_directions, "agent/async/x.h", '#include "agent/model/codec.h"\n'),
    (include_directions, "cri/x.cc", '#include "agent/local/server.h"\n'),
    (include_directions, "agent/local/x.cc", '  #  include "cri/runtime.h"\n'),
    (include_directions, "agent/store/x.cc", '#include "agent/kube/client.h"\n'),
    (include_directions, "agent/pods/x.cc", '#include "agent/local/server.h"\n'),
    (purity, "agent/decide/x.cc", "#include <boost/asio/awaitable.hpp>\n"),
    (purity, "agent/decide/x.cc", "asio::post(f);\n"),
    (purity, "agent/model/x.cc", "auto now = std::chrono::steady_clock::now();\n"),
    (purity, "agent/model/x.cc", "using C = std::chrono::system_clock; C c; auto t = time(nullptr);\n"),
    (purity, "agent/base/x.cc", "#include <random>\n"),
    (purity, "agent/base/x.cc", "int x = std::rand();\n"),
    (purity, "agent/base/x.cc", "int x = rand();\n"),
    (purity, "agent/decide/x.cc", "std::ifstream file(path);\n"),
    (purity, "agent/decide/x.cc", "int fd = ::open(path, 0);\n"),
    (purity, "agent/decide/x.cc", "#include <filesystem>\n"),
    (purity, "agent/decide/x.cc", "#include <grpcpp/grpcpp.h>\n"),
    (purity, "agent/decide/x.cc", "#include <spdlog/spdlog.h>\n"),
    (purity, "agent/base/log.cc", "auto now = std::chrono::system_clock::now();\n"),
    (capturing_coroutines, "agent/pods/x.cc", "auto f = [this, x]() -> Task<void> { co_return; };\n"),
    (capturing_coroutines, "agent/pods/x.cc", "auto f = [&](int a) mutable -> asio::awaitable<int> { co_return 1; };\n"),
    (capturing_coroutines, "agent/pods/x.cc", "co_await [&] { return Go(); }();\n"),
    (length, "cri/x.cc", "\n" * (MAX_LINES + 1)),
]
GOOD_SAMPLES = [
    ("agent/decide/x.cc", '#include "agent/model/codec.h"\n#include "agent/base/result.h"\n#include "core_v1.pb.h"\n'),
    ("agent/decide/x.cc", "// time(nullptr) and asio::post are forbidden; say \"open(x)\"\nint Reopen(); int uptime(int);\n"),
    ("agent/decide/x.cc", 'auto text = "std::ifstream";\nstart_time(0); brand(); object.open(1); Status open_at;\n'),
    ("agent/base/log.cc", "#include <spdlog/spdlog.h>\n"),
    ("agent/agent.cc", '#include "agent/local/server.h"\n#include "cri/runtime.h"\n'),
    ("agent/pods/x.cc", "co_await Go([this] { return done_; });\nauto f = [](Worker* w) -> Task<void> { co_return; };\n"),
    ("agent/pods/x.cc", "values[i] = co_await Go(values[j]);\nstd::sort(a, b, [&](int x, int y) { return x < y; });\n"),
    ("tests/unit/x.cc", "\n" * MAX_LINES),
]


def test_rule_fires():
    for rule, path, text in BAD_SAMPLES:
        assert list(rule(path, text)), f"{rule.__name__} does not see what is wrong with {path}:\n{text[:200]}"


def test_rules_accept_good_code():
    for path, text in GOOD_SAMPLES:
        assert [c for rule in RULES for c in rule(path, text)] == []


def test_every_folder_has_a_rule():
    folders = {str(pathlib.PurePath(p).parent) for p in sources() if p.startswith(("agent/", "cri/"))}
    assert [f for f in sorted(folders) if f != "agent" and folder_of(f + "/x") is None] == []


def test_sources_keep_the_rules():
    found = complaints()
    assert not found, "\n" + "\n".join(found)


if __name__ == "__main__":
    for test in (test_rule_fires, test_rules_accept_good_code, test_every_folder_has_a_rule, test_sources_keep_the_rules):
        try:
            test()
        except AssertionError as error:
            sys.exit(f"{test.__name__}: {error}")
