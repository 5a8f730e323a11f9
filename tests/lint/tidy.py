#!/usr/bin/env python3
"""tidy.py BUILD [PATH…]: clang-tidy over our sources (those below PATH), in parallel, once for each content.

A file that was clean is not looked at again until it, a header of ours that it includes, its compile command, .clang-tidy
or clang-tidy itself changes. The headers of a file come from a scan with the compiler's -MM, which skips system headers.
Clean contents are remembered in ~/.cache/daemonsetd/tidy (or $DAEMONSETD_TIDY_CACHE).
"""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
TIDY = "clang-tidy-19"
OURS = tuple(str(ROOT / folder) + "/" for folder in ("agent", "cri", "tests"))


def cache_directory():
    default = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "daemonsetd" / "tidy"
    return pathlib.Path(os.environ.get("DAEMONSETD_TIDY_CACHE", default))


def headers(command, directory):
    """Files of this repository and its build that one compilation reads."""
    words = [word for word in shlex.split(command) if word not in ("ccache", "-c", "-MD", "-MMD")]
    arguments, skip = [], False
    for word in words:
        if skip:
            skip = False
        elif word in ("-o", "-MF", "-MQ", "-MT"):
            skip = True
        else:
            arguments.append(word)
    scan = subprocess.run([*arguments, "-MM"], cwd=directory, capture_output=True, text=True)
    if scan.returncode != 0:
        raise RuntimeError(scan.stderr)
    names = scan.stdout.replace("\\\n", " ").split(":", 1)[1].split()
    return sorted({(pathlib.Path(directory) / name).resolve() for name in names})


def fingerprint(entry, common):
    digest = hashlib.sha256(common)
    digest.update(entry["command"].replace(str(ROOT), "").encode())
    for path in headers(entry["command"], entry["directory"]):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def check(entry, build, common, cache):
    source = (pathlib.Path(entry["directory"]) / entry["file"]).resolve()
    name = source.relative_to(ROOT)
    try:
        stamp = cache / fingerprint(entry, common)
    except (RuntimeError, OSError) as error:
        return name, f"{name} does not compile, so it cannot be checked:\n{error}"
    if stamp.exists():
        return name, None
    run = subprocess.run([TIDY, "-p", build, "--quiet", source], capture_output=True, text=True)
    if run.returncode != 0:
        return name, run.stdout + "\n".join(line for line in run.stderr.splitlines() if "error" in line)
    stamp.touch()
    return name, None


def main(build, only):
    commands = json.loads((build / "compile_commands.json").read_text())
    entries = {}
    for entry in commands:
        source = str((pathlib.Path(entry["directory"]) / entry["file"]).resolve())
        chosen = not only or any(pathlib.Path(source).is_relative_to(path) for path in only)
        if chosen and source.startswith(OURS) and source.endswith(".cc"):
            entries.setdefault(source, entry)
    cache = cache_directory()
    cache.mkdir(parents=True, exist_ok=True)
    version = subprocess.run([TIDY, "--version"], check=True, capture_output=True).stdout
    common = version + (ROOT / ".clang-tidy").read_bytes()
    bad = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, problem in pool.map(lambda entry: check(entry, build, common, cache), entries.values()):
            if problem:
                bad += 1
                print(problem, flush=True)
    print(f"clang-tidy: {len(entries)} files, {bad} with complaints")
    return 1 if bad or not entries else 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(pathlib.Path(sys.argv[1]).resolve(), {pathlib.Path(f).resolve() for f in sys.argv[2:]}))
