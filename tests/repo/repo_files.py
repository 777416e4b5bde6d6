"""The project's own files: what git tracks, or all that is not a build when git cannot say."""

import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
SKIP = 77  # the exit code ctest takes for "skipped"


def files(*patterns):
    """Files of the project whose names match any of the glob patterns, sorted."""
    git = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True) if (ROOT / ".git").exists() else None
    if git and git.returncode == 0:
        paths = [ROOT / os.fsdecode(name) for name in git.stdout.split(b"\0") if name]
    else:  # an archive, or a checkout of another user's
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
