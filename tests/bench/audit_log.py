"""What clients ask of an API server, by its audit log."""

import json

POLICY = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
          "rules": [{"level": "Metadata"}]}


def arguments(audit_log, policy):
    """Of an API server that writes every request to `audit_log`; makes the file `policy`."""
    policy.write_text(json.dumps(POLICY))
    return [f"--audit-log-path={audit_log}", f"--audit-policy-file={policy}", "--audit-log-mode=blocking"]


def requests(audit_log):
    """All requests, each once: {audit ID: (user, verb, URI)}."""
    found = {}
    with open(audit_log) as lines:
        for line in lines:
            event = json.loads(line)
            found[event["auditID"]] = (event["user"]["username"], event["verb"], event["requestURI"])
    return found


def requests_of(audit_log, user):
    """The requests of `user`, each once: {audit ID: (verb, URI)}."""
    return {key: (verb, uri) for key, (who, verb, uri) in requests(audit_log).items() if who == user}


def kind_of(verb, uri):
    """For counting: "patch pods/status", whatever the name and the namespace."""
    parts = uri.split("?")[0].strip("/").split("/")
    parts = parts[3 if parts[0] == "apis" else 2:]
    if parts[:1] == ["namespaces"] and len(parts) > 2:
        parts = parts[2:]
    return " ".join([verb, "/".join(parts[::2])])
