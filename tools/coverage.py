"""Prints how many lines of core/src and src the tests ran:  coverage.py LINES.lcov LEAST_PERCENT

A line counts as run when any copy of it was, in any program. Lines of tests do not count: files named for them, and what
follows `#[cfg(test)]` and a module to a file's end.
"""
import collections
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDERS = ("core/src/", "src/")
# Code that no release has: the doors of the fuzzers.
NOT_RELEASED = ("core/src/fuzzing/",)


def of_tests(path):
    return path.name == "tests.rs" or path.name.endswith("_tests.rs") or "tests" in path.parent.parts


def end_of_code(path):
    """The number of the line where a file's tests begin."""
    lines = path.read_text().splitlines()
    for number, line in enumerate(lines, 1):
        if line.startswith("#[cfg(test)]") and re.match(r"(pub(\(crate\))? )?mod \w+ \{", lines[number]):
            return number
    return len(lines) + 1


def read(lcov):
    """For each file, the line numbers with code and how often each was run."""
    files = collections.defaultdict(dict)
    for line in lcov.read_text().splitlines():
        kind, _, value = line.partition(":")
        if kind == "SF":
            current = files[pathlib.Path(value)]
        elif kind == "DA":
            number, count = value.split(",")[:2]
            current[int(number)] = max(current.get(int(number), 0), int(count))
    return files


def main():
    lcov, least = pathlib.Path(sys.argv[1]), float(sys.argv[2])
    rows, all_lines, all_run = [], 0, 0
    for path, counts in read(lcov).items():
        if not path.is_relative_to(ROOT):
            continue
        name = str(path.relative_to(ROOT))
        if not name.startswith(FOLDERS) or name.startswith(NOT_RELEASED) or of_tests(path):
            continue
        end = end_of_code(path)
        counts = {number: count for number, count in counts.items() if number < end}
        run = sum(count > 0 for count in counts.values())
        all_lines, all_run = all_lines + len(counts), all_run + run
        missing = [number for number, count in sorted(counts.items()) if count == 0]
        if counts:
            rows.append((100 * run / len(counts), name, len(counts), missing))
    if not rows:
        sys.exit("coverage: no lines of the library were found")
    for share, name, lines, missing in sorted(rows):
        if share < least:
            print(f"{share:6.1f} %  {name} ({lines} lines), not run: {' '.join(map(str, missing[:20]))}{' ...' if missing[20:] else ''}")
    share = 100 * all_run / all_lines
    print(f"coverage: {share:.1f} % of {all_lines} lines in {len(rows)} files were run; at least {least:g} % are wanted")
    sys.exit(share < least)


main()
