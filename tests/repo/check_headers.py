"""A name finds its file, and users get the headers that a program needs, no others.

Every .cpp has a header of its name beside it or in include/, but commands and the rows of tables,
which one header declares together. tests/repo/public_headers.txt lists include/. docs/architecture.md
says where things are whose first guess may miss, and what it names is there.

Usage: check_headers.py [ROOT]
"""

import pathlib
import re
import sys

import repo_files

# files: the header that declares the functions of all of them
ROWS = {
    "src/ask/*_task.cpp": "src/ask/task_inputs.h",
    "src/model/families/*.cpp": "src/model/families/families.h",
    "src/split/coactivation.cpp": "src/split/methods.h",
    "src/split/kmeans_methods.cpp": "src/split/methods.h",
    "src/text/*_tokenizer.cpp": "src/text/tokenizer_kinds.h",
    "src/text/*/*_tokenizer.cpp": "src/text/tokenizer_kinds.h",
    "src/text/tokenizer_json/*.cpp": "src/text/tokenizer_json/pipeline_steps.h",
    "apps/*.cpp": "apps/command.h",
}


def check(root):
    """All problems of the tree at `root`, and the number of files looked at."""
    problems, num_files = [], 0
    for top in ("src", "apps"):
        for file in sorted((root / top).rglob("*.cpp")):
            num_files += 1
            path = file.relative_to(root)
            public = root / "include/moefy" / path.relative_to(top).with_suffix(".h")
            if file.with_suffix(".h").is_file() or public.is_file():
                continue
            headers = [header for rows, header in ROWS.items() if path.match(rows)]
            if not any((root / header).is_file() for header in headers):
                problems.append(f"{path}: no header of its name, and no table that it is a row of")
    listed = (root / "tests/repo/public_headers.txt").read_text(encoding="utf-8").split()
    found = sorted(str(file.relative_to(root / "include"))
                   for file in (root / "include").rglob("*") if file.is_file())
    problems += [f"include/{name}: not in tests/repo/public_headers.txt; does a program that embeds "
                 "moefy need it?" for name in found if name not in listed]
    problems += [f"tests/repo/public_headers.txt: {name} is not in include/"
                 for name in listed if name not in found]
    where = page_names(root)
    problems += [f"docs/architecture.md: {name} is neither in src/ nor in include/" for name in where
                 if not any((root / top / (name + ending)).exists()
                            for top in ("src", "include/moefy") for ending in ("", ".h", ".cpp"))]
    return problems, num_files + len(found) + len(where)


def page_names(root):
    """What the table "where" of the page names as room/file or room/folder."""
    page = (root / "docs/architecture.md").read_text(encoding="utf-8")
    table = page.split("<!-- where -->")[1].split("<!-- /where -->")[0]
    return re.findall(r"`([a-z_]+/[a-z_/]+)`", table)


if __name__ == "__main__":
    tree = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else repo_files.ROOT
    sys.exit(repo_files.report("headers", *check(tree)))
