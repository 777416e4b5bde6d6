"""Every relative link in a Markdown page leads to a file, and its #anchor to a heading."""

import re
import sys
from urllib.parse import unquote

import repo_files

LINK = re.compile(r"\]\(<?([^)>\s]+)>?(?:\s+\"[^\"]*\")?\)")
CODE = re.compile(r"^(```|~~~).*?^\1[^\n]*$|`[^`\n]+`", re.MULTILINE | re.DOTALL)


def anchors_of(path):
    """The anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^(```|~~~).*?^\1[^\n]*$", "", path.read_text(encoding="utf-8"),
                  flags=re.MULTILINE | re.DOTALL)
    anchors = set()
    for heading in re.findall(r"^#{1,6}\s+(.*?)\s*$", text, re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        candidate, repeat = slug, 0
        while candidate in anchors:
            repeat += 1
            candidate = f"{slug}-{repeat}"
        anchors.add(candidate)
    return anchors


def problems_of(page):
    # Code is blanked, not removed: line numbers stay.
    text = CODE.sub(lambda match: re.sub(r"[^\n]", " ", match.group()),
                    page.read_text(encoding="utf-8"))
    for match in LINK.finditer(text):
        link = unquote(match.group(1))
        if re.match(r"[a-z]+:", link):
            continue
        where = f"{page.relative_to(repo_files.ROOT)}:{text.count(chr(10), 0, match.start()) + 1}"
        name, _, anchor = link.partition("#")
        target = page if not name else page.parent / name
        if not target.exists():
            yield f"{where}: {link}: no such file"
        elif anchor and target.suffix == ".md" and anchor not in anchors_of(target):
            yield f"{where}: {link}: no such heading"


if __name__ == "__main__":
    pages = repo_files.files("*.md")
    found = [problem for page in pages for problem in problems_of(page)]
    sys.exit(repo_files.report("links", found, len(pages)))
