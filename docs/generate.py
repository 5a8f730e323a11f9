#!/usr/bin/env python3
"""Writes those parts of the documents that the programs know themselves: between two marks in each file.

    docs/generate.py [BUILD]     (as root; ./dev docs builds first)

    docs/configuration.md             the keys, from `daemonsetd --print-config-reference`
    packaging/man/daemonsetd.yaml.5   the same
    packaging/man/daemonsetd.8        the options, from `daemonsetd --help`
    packaging/man/daemonsetctl.1      the options and verbs, from `daemonsetctl --help` and each verb's
    docs/metrics.md                   the metrics, from what a running agent answers

tests/packaging/test_documents.py fails when a file says something else than the programs.
"""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "support"))
import exposition  # noqa: E402
from hollow_agent import hollow_agent  # noqa: E402

CONFIGURATION = ROOT / "docs" / "configuration.md"
MANUALS = ROOT / "packaging" / "man"
KEYS_MANUAL = MANUALS / "daemonsetd.yaml.5"
DAEMON_MANUAL = MANUALS / "daemonsetd.8"
CTL_MANUAL = MANUALS / "daemonsetctl.1"
METRICS = ROOT / "docs" / "metrics.md"

BEGIN = "begin of what docs/generate.py writes"
END = "end of what docs/generate.py writes"
REASONS = {"reloadable": "reload", "restart": "restart"}
KEY_COLUMNS = ("path", "type", "default", "least", "most", "change", "doc")


def program_of(build, name):
    for folder in ("agent", "agent/ctl", "."):
        path = pathlib.Path(build, folder, name)
        if path.is_file():
            return path
    sys.exit(f"{name} is not built below {build}; run ./dev docs")


def output_of(build, name, *arguments):
    return subprocess.run([program_of(build, name), *arguments], check=True, capture_output=True, text=True).stdout


# The configuration

def keys(build):
    lines = output_of(build, "daemonsetd", "--print-config-reference").splitlines()
    return [dict(zip(KEY_COLUMNS, line.split("\t"), strict=True)) for line in lines]


def type_of(key):
    return key["type"] + (f", {key['least']} to {key['most']}" if key["least"] else "")


def cell(text):
    return re.sub(r"([|<*_\\])", r"\\\1", text)


def table(heads, rows):
    lines = ["| " + " | ".join(row) + " |" for row in [heads, *rows]]
    lines.insert(1, "|" + "---|" * len(heads))
    return "\n".join(lines) + "\n"


def configuration(build):
    return table(("Key", "Type", "Default", "A change needs", "Meaning"),
                 [(f"`{key['path']}`", cell(type_of(key)), cell(key["default"]), REASONS[key["change"]], cell(key["doc"]))
                  for key in keys(build)])


def roff(text):
    """Text lines of a manual page, a sentence each; none begins as a request does."""
    text = re.sub(r"([.!?][)\"]*) (?=\S)", r"\1\n", text)
    lines = text.replace("\\", "\\e").replace("\"", "\\(dq").replace("-", "\\-").split("\n")
    return "".join((r"\&" if line[0] in ".'" else "") + line + "\n" for line in lines)


def keys_manual(build):
    items = "".join(f".It Cm {key['path']}\n{roff(key['doc'])}"
                    + roff(f"Type: {type_of(key)}. Default: {key['default']}. A change needs a {REASONS[key['change']]}.")
                    for key in keys(build))
    return f".Bl -tag -width Ds\n{items}.El\n"


# The options

class Help:
    """What a program says of itself with --help."""

    def __init__(self, text):
        self.about = text.split("\n", 1)[0]
        self.usage = re.search(r"^Usage: (.*)$", text, re.M)[1]
        self.arguments = self._entries(text, "Positionals")
        self.options = self._entries(text, "Options")
        self.verbs = [name for name, _ in self._entries(text, "Subcommands")]
        *_, self.footer = text.rstrip().split("\n\n\n") if "\n\n\n" in text else [""]

    @staticmethod
    def _entries(text, head):
        """[(names and value, description)] of one block, in which a long name has its description on the next line."""
        block = re.search(rf"^{head}:\n((?:  .*\n?)*)", text, re.M)
        entries = []
        for line in block[1].splitlines() if block else []:
            if line.startswith("    "):
                name, words = entries.pop()
                entries.append((name, f"{words} {line.strip()}".strip()))
            else:
                name, _, words = line.strip().partition("  ")
                entries.append((name, words.strip()))
        return entries


def options(entries):
    items = ""
    for names, words in entries:
        names, _, value = names.partition(" ")
        flags = " , ".join("Fl " + name[1:].replace("-", "\\-") for name in names.split(","))
        items += f".It {flags}{' Ar ' + value if value else ''}\n{roff(words)}"
    return f".Bl -tag -width Ds\n{items}.El\n"


def arguments(entries):
    items = "".join(f".It Ar {names.split()[0]}\n{roff(words)}" for names, words in entries)
    return f".Bl -tag -width Ds\n{items}.El\n" if entries else ""


def footer(text):
    """Paragraphs; examples as they are."""
    parts = []
    for paragraph in text.strip().split("\n\n"):
        head, _, rest = paragraph.partition("\n")
        if re.fullmatch(r"Examples?:", head):
            lines = "\n".join(line.strip().replace("-", "\\-") for line in rest.split("\n"))
            parts.append(f"{head}\n.Bd -literal -offset indent\n{lines}\n.Ed\n")
        elif paragraph:
            parts.append(roff(" ".join(paragraph.split())))
    return "".join(".Pp\n" + part for part in parts)


def daemon_manual(build):
    return ".Sh OPTIONS\n" + options(Help(output_of(build, "daemonsetd", "--help")).options)


def ctl_manual(build):
    whole = Help(output_of(build, "daemonsetctl", "--help"))
    text = ".Sh OPTIONS\nThey may stand before or after the verb.\n" + options(whole.options) + ".Sh VERBS\n"
    for verb in whole.verbs:
        said = Help(output_of(build, "daemonsetctl", verb, "--help"))
        own = [entry for entry in said.options if not entry[0].startswith("-h,")]
        text += (f".Ss {verb}\n{roff(said.about + '.')}.Pp\n{roff('Usage: ' + said.usage)}"
                 + arguments(said.arguments) + (options(own) if own else "") + footer(said.footer))
    return text


# The metrics

def metrics(build, documented):
    """`documented`: the present text. A metric that shows no sample here, one of probes for example, keeps the labels that
    this gives it: who adds such a metric writes them there."""
    with hollow_agent(build) as agent:
        agent.get("/metrics")  # so that the second answer counts a request
        code, text = agent.get("/metrics")
    if code != 200:
        sys.exit(f"/metrics answered {code}: {text}")
    return table(("Metric", "Type", "Labels", "Meaning"),
                 [(f"`{name}`", kind, labels or documented_labels(documented, name), cell(help_text))
                  for name, kind, help_text, labels in families(text)])


def families(text):
    """(name, type, help, labels as they stand in the table) of each metric of an answer of /metrics, by name."""
    for name, family in sorted(exposition.parse(text).items()):
        labels = dict.fromkeys(label for _, labels, _ in family.samples for label in labels if label != "le")
        yield name, family.kind, family.help.replace(r"\n", " "), ", ".join(f"`{label}`" for label in labels)


def documented_labels(documented, name):
    found = re.search(rf"^\| `{name}` \| \w+ \| (.*?) \|", documented, re.M)
    return found[1] if found else ""


# The files

WRITERS = {
    CONFIGURATION: lambda build, _: configuration(build),
    KEYS_MANUAL: lambda build, _: keys_manual(build),
    DAEMON_MANUAL: lambda build, _: daemon_manual(build),
    CTL_MANUAL: lambda build, _: ctl_manual(build),
    METRICS: metrics,
}


def renewed(build, file):
    """The whole text of the file as it must be."""
    text = file.read_text()
    marks = [re.search(rf"^.*{mark}.*\n", text, re.M) for mark in (BEGIN, END)]
    if None in marks:
        sys.exit(f"{file.relative_to(ROOT)} lacks its marks, a comment \"{BEGIN}\" and one \"{END}\"")
    return text[:marks[0].end()] + WRITERS[file](build, text) + text[marks[1].start():]


def main():
    build = sys.argv[1] if len(sys.argv) > 1 else ROOT / "build" / "release"
    for file in WRITERS:
        text = renewed(build, file)
        print(f"{file.relative_to(ROOT)}: {'nothing new' if text == file.read_text() else 'written'}")
        file.write_text(text)


if __name__ == "__main__":
    main()
