"""shellcheck has nothing to say about the scripts. Skips where it is not installed."""

import shutil
import subprocess
import sys

import repo_files

if __name__ == "__main__":
    if not shutil.which("shellcheck"):
        print("shellcheck is not installed")
        sys.exit(repo_files.SKIP)
    scripts = repo_files.files("scripts/*.sh", "examples/ci/*.sh", ".ci/run")
    answer = subprocess.run(["shellcheck", "--external-sources", "--format=gcc", *scripts],
                            cwd=repo_files.ROOT, capture_output=True, text=True)
    problems = answer.stdout.splitlines()
    if answer.returncode != 0 and not problems:
        problems = answer.stderr.splitlines()
    sys.exit(repo_files.report("shell", problems, len(scripts)))
