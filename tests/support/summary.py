#!/usr/bin/env python3
"""summary.py RESULTS: adds up what `./dev test` left in RESULTS and prints one line per suite and the total.

RESULTS/suites holds "SUITE EXIT_CODE" lines; RESULTS/SUITE/ holds JUnit files and, for steps that are no test program,
NAME.step files saying "passed" or "failed". A suite whose command failed without naming a failed test counts one
failure: a test program that crashed writes no results. Exits 1 on any failure and when a suite ran no test at all.
"""

import pathlib
import sys
import xml.etree.ElementTree as xml


def count(path):
    """(passed, names of the failed, skipped) of one JUnit file."""
    passed, failed, skipped = 0, [], 0
    for case in xml.parse(path).getroot().iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            failed.append(f"{case.get('classname')}.{case.get('name')}")
        elif case.find("skipped") is not None or case.get("status") == "notrun" or case.get("result") == "skipped":
            skipped += 1
        else:
            passed += 1
    return passed, failed, skipped


def main(results):
    total_passed = total_failed = 0
    for line in (results / "suites").read_text().splitlines():
        suite, code = line.split()
        passed, failed, skipped = 0, [], 0
        for path in sorted((results / suite).glob("*.xml")):
            try:
                more_passed, more_failed, more_skipped = count(path)
            except xml.ParseError as error:
                more_passed, more_failed, more_skipped = 0, [f"{path.name}: no complete results ({error})"], 0
            passed, failed, skipped = passed + more_passed, failed + more_failed, skipped + more_skipped
        for path in sorted((results / suite).glob("*.step")):
            if path.read_text().strip() == "passed":
                passed += 1
            else:
                failed.append(path.stem)
        if code != "0" and not failed:
            failed.append("the suite's command failed (see its output above)")
        if passed + len(failed) == 0:
            failed.append("no test ran")
        print(f"{suite}: {passed} passed, {len(failed)} failed, {skipped} skipped")
        for name in failed:
            print(f"  failed: {name}")
        total_passed += passed
        total_failed += len(failed)
    print(f"{total_passed} passed, {total_failed} failed")
    return 1 if total_failed or not total_passed else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(pathlib.Path(sys.argv[1])))
