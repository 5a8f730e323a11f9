"""The recordings that our client's unit tests read are still what a server says."""

import record


def test_the_recorded_answers_are_still_given(make_cluster, tmp_path):
    record.record(make_cluster(), tmp_path)
    assert (tmp_path / "README.md").read_text() == (record.TARGET / "README.md").read_text(), (
        "statuses or media types changed; run python3 tests/cluster/record.py and see what that means for the client")
    kept = {path.name: path.stat().st_size for path in record.TARGET.glob("*.bin")}
    assert {path.name for path in tmp_path.glob("*.bin")} == set(kept)
    assert all(0 < size < 8192 for size in kept.values())
