"""The completion scripts in real shells: each is typed at through a terminal, with the tab key, beside a running agent.

    DAEMONSETD_BUILD=build/asan python3 -m pytest tests/packaging/test_completions.py     (as root)
"""

import contextlib
import os
import pathlib
import pty
import re
import select
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("DAEMONSETD_BUILD", ROOT / "build" / "release"))
sys.path[:0] = [str(ROOT / "docs"), str(ROOT / "tests" / "support")]
import generate  # noqa: E402
from hollow_agent import hollow_agent  # noqa: E402

ANSWER_SECONDS = 30
END_OF_LINE, KILL_LINE, BEGIN_OF_LINE = "\x05", "\x15", "\x01"
PROMPT = "ready> "

FISH = ["fish", "--no-config", "-i", "-C", f"function fish_prompt; echo -n '{PROMPT}'; end"]

# How each is started, and told of the script: as the help says, and from the place where a package puts it.
SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"],
             "bind 'set show-all-if-ambiguous on'; bind 'set enable-bracketed-paste off';"
             " source <(daemonsetctl completion bash)"),
    "zsh": (["zsh", "-f", "-i"],
            "LISTMAX=1000; autoload -U compinit; compinit -u -D; source <(daemonsetctl completion zsh)"),
    "zsh-package": (["zsh", "-f", "-i"],
                    "LISTMAX=1000; daemonsetctl completion zsh > $HOME/_daemonsetctl; fpath=($HOME $fpath);"
                    " autoload -U compinit; compinit -u -D"),
    "fish": (FISH, "daemonsetctl completion fish | source"),
    "fish-package": (FISH,
                     "daemonsetctl completion fish > $HOME/daemonsetctl.fish;"
                     " set fish_complete_path $HOME $fish_complete_path"),
}


class Shell:
    """An interactive shell on a terminal that knows no colours and moves no cursor."""

    def __init__(self, arguments, setup, environment):
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:
            os.execvpe(arguments[0], arguments, environment)
        self._commands = 0
        self._read_until(re.escape(PROMPT))
        self.run(setup)

    def run(self, typed):
        """What appears from `typed` until the shell has done it and waits for more: what is typed earlier is the
        terminal's to edit. A command of its own says when: it prints its number in another form than it is echoed in."""
        self._commands += 1
        os.write(self._terminal, f"{typed}\rprintf 'done-%d-\\n' {self._commands}\r".encode())
        return self._read_until(rf"done-{self._commands}-\s[\s\S]*{re.escape(PROMPT)}")

    def _read_until(self, pattern):
        seen = ""
        deadline = time.monotonic() + ANSWER_SECONDS
        while not re.search(pattern, seen):
            if not select.select([self._terminal], [], [], max(0, deadline - time.monotonic()))[0]:
                raise AssertionError(f"within {ANSWER_SECONDS} s the shell said only {seen!r}")
            seen += os.read(self._terminal, 65536).decode(errors="replace")
        return seen

    def completed(self, typed):
        """What becomes of the line when the tab key is pressed at its end. The shell itself tells: it echoes the words."""
        seen = self.run(f"{typed}\t{BEGIN_OF_LINE}printf 'line[%s]\\n' \"{END_OF_LINE}\"")
        lines = re.findall(r"line\[(daemonsetctl[^\]\r\n]*)\]", seen)
        assert lines, seen
        return lines[-1].strip()

    def listed(self, typed):
        """The words that the tab key shows below the line."""
        seen = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.run(f"{typed}\t{KILL_LINE}"))
        lines = [line for line in re.split(r"[\r\n]+", seen) if not re.match(rf"{PROMPT}|daemonsetctl|printf|done-|#|%", line)]
        return {word for line in lines for word in line.replace("\x07", "").split()}

    def close(self):
        os.close(self._terminal)  # a hang-up
        os.waitpid(self._pid, 0)


class Fish(Shell):
    """Draws its lists anew at each key, so it is asked for them in its own words."""

    def listed(self, typed):
        return set(re.findall(r"^=(\S+)", self.run(f"for word in (complete -C '{typed}'); echo =$word; end"), re.M))


@pytest.fixture(scope="module")
def agent():
    with hollow_agent(BUILD) as running:
        yield running


@pytest.fixture(scope="module", params=SHELLS)
def shell(request, agent, tmp_path_factory):
    arguments, setup = SHELLS[request.param]
    environment = {"PATH": f"{agent.ctl_program.parent}:{os.environ['PATH']}", "TERM": "dumb", "LC_ALL": "C.UTF-8", "PS1": PROMPT,
                   "HOME": str(tmp_path_factory.mktemp("home")), "DAEMONSETD_SOCKET": str(agent.socket)}
    kind = Fish if arguments[0] == "fish" else Shell
    with contextlib.closing(kind(arguments, setup, environment)) as started:
        yield started


def help_of(*verb):
    return generate.Help(generate.output_of(BUILD, "daemonsetctl", *verb, "--help"))


def long_options(*verb):
    return {name for names, _ in help_of(*verb).options for name in names.split()[0].split(",") if name.startswith("--")}


def test_verbs_are_offered(shell):
    assert shell.listed("daemonsetctl ") == set(help_of().verbs)


def test_options_are_offered(shell):
    assert shell.listed("daemonsetctl logs --") == long_options() | long_options("logs")


def test_resources_are_offered(shell):
    assert shell.listed("daemonsetctl get ") == {"status", "daemonsets", "pods", "node"}


def test_a_word_is_completed(shell):
    assert shell.completed("daemonsetctl comp") == "daemonsetctl completion"
    assert shell.completed("daemonsetctl get po") == "daemonsetctl get pods"
    assert shell.completed("daemonsetctl get pods --no-h") == "daemonsetctl get pods --no-headers"


def test_names_come_from_the_agent(shell, agent):
    pod = agent.pods("collector")[0]["name"]
    assert shell.completed("daemonsetctl logs -n monitoring coll") == f"daemonsetctl logs -n monitoring {pod}"
    assert shell.completed("daemonsetctl explain -n mon") == "daemonsetctl explain -n monitoring"
    assert shell.completed("daemonsetctl explain -n monitoring co") == "daemonsetctl explain -n monitoring collector"
    assert shell.completed(f"daemonsetctl logs -n monitoring {pod} -c m") == f"daemonsetctl logs -n monitoring {pod} -c main"


def test_files_are_offered_where_an_option_takes_one(shell, tmp_path):
    (tmp_path / "agent.sock").touch()
    assert shell.completed(f"daemonsetctl --socket {tmp_path}/ag") == f"daemonsetctl --socket {tmp_path}/agent.sock"
    assert shell.completed(f"daemonsetctl logs {tmp_path}/ag") == f"daemonsetctl logs {tmp_path}/ag"


def test_without_an_agent_nothing_is_offered_and_nothing_printed(tmp_path):
    result = subprocess.run([generate.program_of(BUILD, "daemonsetctl"), "__complete", "--", "logs", ""],
                            env={"DAEMONSETD_SOCKET": str(tmp_path / "none.sock")}, capture_output=True, timeout=60)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")


@pytest.mark.parametrize("verb", help_of().verbs)
def test_options_of_a_verb_are_those_of_its_help(verb):
    offered = generate.output_of(BUILD, "daemonsetctl", "__complete", "--", verb, "--").split()
    assert sorted(offered) == sorted(long_options() | long_options(verb))
