"""Lines of Markdown pages and of comments in C++ are at most 100 characters wide.

Tables, code blocks and lines that only a link makes too wide are free. In C++ this looks at lines
that are comments, which clang-format does not always wrap; it lays out the code.
"""

import re
import sys

import repo_files

WIDTH = 100
LINK = re.compile(r"\]\([^)]*\)|https?://\S+")


def wide_in_page(text):
    """The numbers of the lines of a page that are too wide."""
    in_code = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            in_code = not in_code
        elif not in_code and not line.lstrip().startswith("|") and len(LINK.sub("", line)) > WIDTH:
            yield number


def wide_in_source(text):
    """The numbers of the comment lines that are too wide."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("//") and len(line) > WIDTH:
            yield number


if __name__ == "__main__":
    pages = [page for page in repo_files.files("*.md") if page.name != "cli.md"]  # cli.md is generated
    sources = repo_files.files("*.h", "*.cpp")
    problems = [f"{file.relative_to(repo_files.ROOT)}:{number}: wider than {WIDTH} characters"
                for files, look in ((pages, wide_in_page), (sources, wide_in_source))
                for file in files for number in look(file.read_text(encoding="utf-8"))]
    sys.exit(repo_files.report("columns", problems, len(pages) + len(sources)))
