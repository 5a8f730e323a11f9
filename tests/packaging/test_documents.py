"""The documents say what the programs say: references, manual pages, links, and the commands that a reader would type.

    DAEMONSETD_BUILD=build/asan python3 -m pytest tests/packaging/test_documents.py     (as root)
"""

import difflib
import functools
import os
import pathlib
import re
import shlex
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("DAEMONSETD_BUILD", ROOT / "build" / "release"))
sys.path[:0] = [str(ROOT / "docs"), str(ROOT / "tests" / "support")]
import generate  # noqa: E402
from hollow_agent import hollow_agent  # noqa: E402

PAGES = sorted((ROOT / "packaging" / "man").glob("*.[158]"))
ENVIRONMENT = {**os.environ, "LC_ALL": "C.UTF-8", "DAEMONSETD_SOCKET": "/nonexistent/daemonsetd.sock"}
WRONG_USAGE = 2
ACTS_ON_THE_MACHINE = {"join"}  # its flags are looked up, it is not run


def run(*command):
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=ENVIRONMENT, timeout=60)


@functools.cache
def help_of(name, *verb):
    return generate.Help(generate.output_of(BUILD, name, *verb, "--help"))


def plain(rendered):
    """Without bold and underlined letters, which a terminal gets as two on one place."""
    return re.sub(r".\x08", "", rendered)


def page(name):
    """A manual page as it is read, its whitespace collapsed."""
    result = run("mandoc", "-T", "utf8", ROOT / "packaging" / "man" / name)
    assert result.returncode == 0, result.stderr
    return " ".join(plain(result.stdout).split())


def markdown_files():
    listed = run("git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard", "*.md").stdout.split()
    assert "README.md" in listed
    return [ROOT / name for name in listed if (ROOT / name).exists()]


# What is written by docs/generate.py

@pytest.mark.parametrize("file", generate.WRITERS, ids=lambda file: file.name)
def test_document_says_what_the_programs_say(file):
    present, wanted = file.read_text(), generate.renewed(BUILD, file)
    difference = "".join(difflib.unified_diff(present.splitlines(True), wanted.splitlines(True),
                                              str(file.relative_to(ROOT)), "what the programs say", n=0))
    assert present == wanted, f"run ./dev docs and commit what it writes\n{difference}"


# Manual pages

def test_there_is_a_page_for_each_program_and_for_the_configuration():
    assert [file.name for file in PAGES] == ["daemonsetctl.1", "daemonsetd.8", "daemonsetd.yaml.5"]


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.name)
def test_page_renders_without_a_warning(file):
    lint = run("mandoc", "-T", "lint", "-W", "warning", file)
    assert (lint.returncode, lint.stdout + lint.stderr) == (0, "")
    man = run("man", "--warnings", "-l", "-Tutf8", file)
    assert (man.returncode, man.stderr) == (0, "")
    assert "NAME" in plain(man.stdout)


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.name)
def test_page_names_only_pages_that_are_ours_or_known(file):
    ours = {file.name for file in PAGES}
    others = {"systemd.1", "sd_notify.3", "systemd-logind.8", "kubectl.1", "containerd.8"}
    named = {f"{name}.{section}" for name, section in re.findall(r"^\.Xr (\S+) (\d)", file.read_text(), re.M)}
    assert named <= ours | others


def test_page_of_the_daemon_has_every_option_with_the_words_of_the_help():
    text = page("daemonsetd.8")
    for names, words in help_of("daemonsetd").options:
        assert f"{names.replace(',', ', ')} {words}" in text


def test_page_of_the_client_has_every_verb_and_option_with_the_words_of_the_help():
    text = page("daemonsetctl.1")
    whole = help_of("daemonsetctl")
    assert len(whole.verbs) >= 9
    for names, words in whole.options:
        assert f"{names.replace(',', ', ')} {words}" in text
    for verb in whole.verbs:
        said = help_of("daemonsetctl", verb)
        part = text.partition(f" {verb} {said.about}.")[2]
        assert part, f"the page has no section of {verb}: {said.about}"
        for names, words in said.options:
            assert f"{names.replace(',', ', ')} {words}" in text and names.split(",")[-1].split()[0] in text
        for name, words in said.arguments:
            assert f"{name.split()[0]} {words}" in part


def test_page_of_the_client_has_the_exit_codes_of_the_help():
    text = page("daemonsetctl.1")
    told = re.search(r"Exit codes: (.*)\.", generate.output_of(BUILD, "daemonsetctl", "--help"))[1]
    for code, words in re.findall(r"(\d) ([^,]+)", told):
        assert re.search(rf"\b{code} {re.escape(words)}", text, re.I), f"{code} {words}"


def test_pages_name_every_environment_variable_that_the_sources_read():
    read = {name for file in [*ROOT.glob("agent/**/*.cc"), *ROOT.glob("cri/**/*.cc")]
            for name in re.findall(r'(?:getenv\(|Value\(get, )"(\w+)"\)', file.read_text())}
    assert {"JOURNAL_STREAM", "DAEMONSETD_SOCKET", "NOTIFY_SOCKET"} <= read
    text = "".join(page(file.name) for file in PAGES)
    assert [name for name in sorted(read) if name not in text] == []


def test_page_of_the_daemon_names_every_path_of_the_socket():
    with hollow_agent(BUILD) as agent:
        code, answer = agent.get("/no-such-path")
    paths = re.search(r'paths: ([^"]*)"', answer)[1].split()
    assert code == 404 and "/metrics" in paths
    text = page("daemonsetd.8")
    assert [path for path in paths if not re.search(rf"{path}\b(?!/)", text)] == []


# Links and commands

def anchors(file):
    """As GitHub makes them of headings."""
    heads = re.findall(r"^#+ (.*)$", file.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("file", markdown_files(), ids=lambda file: str(file.relative_to(ROOT)))
def test_links_lead_somewhere(file):
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", file.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (file.parent / path).resolve() if path else file
        if not there.exists() or anchor and anchor not in anchors(there):
            broken.append(target)
    assert broken == []


def code_in(file):
    """Lines of code blocks and spans of a document."""
    text = file.read_text()
    if file.suffix == ".md":
        blocks = re.findall(r"^```.*?^```", text, re.M | re.S) + re.findall(r"^    .*$", text, re.M)
        spans = re.findall(r"`([^`\n]+)`", text)
    else:
        text = text.replace("\\-", "-")
        blocks = re.findall(r"^\.Bd -literal.*\n([^.]*(?:\n[^.].*)*)^\.Ed", text, re.M)
        spans = re.findall(r"^\.Ql (.*)$", text, re.M)
    return [line for block in blocks for line in block.splitlines()] + spans


def commands_in(file):
    """Calls of our programs: [program, argument...]."""
    found = []
    for line in code_in(file):
        for command in re.split(r"&&|\|\|?|;|<\(", line.split(" #")[0]):
            command = re.sub(r"^\s*(?:\$ |sudo |\w+=\S+ )*", "", command.strip("()"))
            if re.match(r"daemonset(ctl|d) +[-a-z]", command):
                words = re.split(r" [>)]|\)$", command)[0].replace("…", "x")
                found.append(shlex.split(words))
    return found


def test_troubleshooting_quotes_what_the_programs_say():
    """The first column, whose "…" stands for what differs. Literals that the sources break over lines are joined."""
    sources = "\n".join(re.sub(r'"\s*\n\s*"', "", file.read_text())
                        for folder in ("agent", "cri") for file in (ROOT / folder).rglob("*.[ch]*"))
    rows = re.findall(r"^\| (.*?) \|", (ROOT / "docs" / "troubleshooting.md").read_text(), re.M)
    quotes = [quote for row in rows for quote in re.findall(r"`([^`]+)`", row)]
    assert len(quotes) > 40
    unknown = [quote for quote in quotes
               if not all(piece.strip(" :;`") in sources for piece in quote.split("…"))]
    assert unknown == []


DOCUMENTS = [*markdown_files(), *PAGES]
COMMANDS = sorted({shlex.join(command) for file in DOCUMENTS for command in commands_in(file)})


def test_the_documents_have_commands():
    assert {"daemonsetctl get status", "daemonsetd --check-config"} <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_command_of_a_document_is_one_that_the_program_takes(command):
    name, *arguments = shlex.split(command)
    known = help_of(name).options
    if name == "daemonsetctl" and not arguments[0].startswith("-"):
        assert arguments[0] in help_of(name).verbs
        known = known + help_of(name, arguments[0]).options
    flags = {flag for names, _ in known for flag in names.split(" ")[0].split(",")}
    assert [word for word in arguments if re.match(r"--?[a-zA-Z]", word) and word not in flags] == []
    if len(arguments) == 1 and not arguments[0].startswith("-") or arguments[0] in ACTS_ON_THE_MACHINE:
        return  # only named
    # The client finds no agent, the daemon prints a table in place of running: the parser is what is asked.
    extra = ["--print-config-reference"] if name == "daemonsetd" else []
    result = run(generate.program_of(BUILD, name), *arguments, *extra)
    assert result.returncode != WRONG_USAGE, result.stderr
