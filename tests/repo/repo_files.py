"""The project's own files: what git tracks, or all that is not a build when git cannot say."""

import os
import pathlib
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
SKIP = 77  # the exit code ctest takes for "skipped"


def tracked_names():
    """What git tracks or would, or None: no git here, an archive, another user's checkout."""
    if not shutil.which("git") or not (ROOT / ".git").exists():
        return None
    answer = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True)
    if answer.returncode != 0:
        return None
    return [os.fsdecode(name) for name in answer.stdout.split(b"\0") if name]


def files(*patterns):
    """Files of the project whose names match any of the glob patterns, sorted."""
    names = tracked_names()
    if names is not None:
        paths = [ROOT / name for name in names]
    else:
        paths = [path for path in ROOT.rglob("*")
                 if not {"build", ".git", ".cache"} & set(path.relative_to(ROOT).parts)]
    return sorted(path for path in set(paths)
                  if path.is_file() and any(path.match(pattern) for pattern in patterns))


def report(check, problems, num_checked):
    """Prints the problems and returns the exit code. Having checked nothing is a problem."""
    if not num_checked:
        problems = ["found no file to check"]
    for problem in problems:
        print(problem)
    print(f"{check}: {num_checked} files, {len(problems)} problems")
    return 1 if problems else 0
