"""What a client asks of an API server, by its audit log."""

import json


def requests_of(audit_log, user):
    """The requests of `user`, each once: {audit ID: (verb, URI)}."""
    found = {}
    with open(audit_log) as lines:
        for line in lines:
            event = json.loads(line)
            if event["user"]["username"] == user:
                found[event["auditID"]] = (event["verb"], event["requestURI"])
    return found
