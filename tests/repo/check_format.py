"""Every C++ file is as clang-format leaves it. Skips without the version Debian 12 has."""

import re
import shutil
import subprocess
import sys

import repo_files

VERSION = "14"  # others lay out some lines differently


def find_clang_format():
    for name in (f"clang-format-{VERSION}", "clang-format"):
        if shutil.which(name):
            answer = subprocess.run([name, "--version"], capture_output=True, text=True, check=True)
            if re.search(rf"version {VERSION}\.", answer.stdout):
                return name
    return None


if __name__ == "__main__":
    clang_format = find_clang_format()
    if not clang_format:
        print(f"clang-format {VERSION} is not installed")
        sys.exit(repo_files.SKIP)
    sources = repo_files.files("*.h", "*.cpp")
    answer = subprocess.run([clang_format, "--dry-run", "-Werror", *sources],
                            capture_output=True, text=True)
    problems = [line for line in answer.stderr.splitlines() if "error:" in line]
    if answer.returncode != 0 and not problems:
        problems = answer.stderr.splitlines() or [f"clang-format exits {answer.returncode}"]
    sys.exit(repo_files.report("format", problems, len(sources)))
