"""What processes send to a port of this machine and get from there, as the kernel counts it."""

import re
import subprocess


def bytes_of_connections(port, program):
    """{connection: bytes, both ways} of the open connections that processes of that name have to `port`."""
    text = subprocess.run(["ss", "--no-header", "--oneline", "--tcp", "--info", "--processes", "--numeric",
                           "state", "established", "dport", "=", f":{port}"],
                          check=True, capture_output=True, text=True).stdout
    found = {}
    for line in text.splitlines():
        owner = re.search(r'users:\(\("([^"]+)",pid=(\d+)', line)
        if owner and owner[1] == program:
            counts = re.findall(r"\bbytes_(?:sent|received):(\d+)", line)
            found[owner[2], line.split()[2]] = sum(map(int, counts))
    return found


def difference(before, after):
    """Bytes between the two. What a connection that has ended meanwhile carried since `before` is not known."""
    return sum(size - before.get(connection, 0) for connection, size in after.items())
