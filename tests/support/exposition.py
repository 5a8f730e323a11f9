"""What an agent's /metrics says, as values: Prometheus' text format."""

import dataclasses
import re
import subprocess


@dataclasses.dataclass
class Family:
    name: str
    kind: str
    help: str
    samples: list = dataclasses.field(default_factory=list)  # (name, labels as a dict, value as text)

    @property
    def labels(self):
        """Names of the labels that its samples have."""
        return {label for _, labels, _ in self.samples for label in labels} - {"le"}


def parse(text):
    """{name: Family}; raises on a line that is none of the format's, and on a sample outside of its family."""
    families = {}
    family = None
    for line in text.splitlines():
        if head := re.fullmatch(r"# HELP (\S+) (.+)", line):
            assert head[1] not in families, f"{head[1]} comes twice"
            family = families[head[1]] = Family(head[1], "", head[2])
        elif kind := re.fullmatch(r"# TYPE (\S+) (counter|gauge|histogram)", line):
            assert family and kind[1] == family.name, line
            family.kind = kind[2]
        else:
            sample = re.fullmatch(r"([a-z_]+)(?:\{(.*)\})? (\S+)", line)
            assert sample and family and re.sub(r"_(bucket|sum|count)$", "", sample[1]) == re.sub(
                r"_(bucket|sum|count)$", "", family.name), line
            labels = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', sample[2] or ""))
            float(sample[3])
            family.samples.append((sample[1], labels, sample[3]))
    return families


# Named as the kubelet names it, so that its alerts carry over.
KUBELETS = {"daemonsetd_certificate_manager_client_expiration_renew_errors"}


def complaints(text):
    """What `promtool check metrics` says of it; "" when it finds nothing."""
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
    lines = (checked.stdout + checked.stderr).splitlines()
    return "\n".join(line for line in lines if line.split()[0] not in KUBELETS)
