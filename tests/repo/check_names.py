"""Files are named in snake_case, a TODO says its issue, and no text names a path of one machine or
holds what a merge left behind."""

import re
import sys

import repo_files

FILE_NAME = re.compile(r"[a-z0-9_]+\.(h|cpp|py|sh)$")
MACHINE_PATH = re.compile(r"(?<![\w.$}/-])/(home|Users|root|work|mnt)/\w+")
TODO = re.compile(r"\b(TODO|FIXME|XXX)\b(?!\(#\d+\))")
CONFLICT = re.compile(r"(<{7}|>{7}) ")
TEXT = ("*.h", "*.cpp", "*.py", "*.sh", "*.md", "*.txt", "*.cmake", "*.in", "*.json", "run")
MAX_BYTES = 1 << 20  # larger files are data


def problems_of(path):
    name = path.relative_to(repo_files.ROOT)
    if path.suffix in (".h", ".cpp", ".py") and not FILE_NAME.match(path.name):
        yield f"{name}: file names are snake_case"
    if path.stat().st_size > MAX_BYTES or path.samefile(__file__):
        return
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if MACHINE_PATH.search(line):
            yield f"{name}:{number}: names a path of one machine: {line.strip()[:100]}"
        if CONFLICT.match(line):
            yield f"{name}:{number}: an unresolved merge conflict"
        if TODO.search(line):
            yield f"{name}:{number}: write TODO(#12): with the number of an issue"


if __name__ == "__main__":
    paths = repo_files.files(*TEXT)
    found = [problem for path in paths for problem in problems_of(path)]
    sys.exit(repo_files.report("names", found, len(paths)))
