"""Every #include keeps to the rooms of docs/rooms.json, which docs/architecture.md draws.

Usage: check_layers.py [ROOT]
"""

import json
import pathlib
import re
import sys

import repo_files

# room: (rooms it may include besides itself, packages it may include)
LAYERS = {
    row["room"]: (set(row["uses"]), set(row["packages"]))
    for row in json.loads((repo_files.ROOT / "docs/rooms.json").read_text(encoding="utf-8"))["rooms"]
}

# package: how the names of its headers begin
PACKAGES = {
    "nlohmann": ["nlohmann/"],
    "xxhash": ["xxhash.h"],
    "icu": ["unicode/"],
    "torch": ["ATen/", "c10/", "torch/"],
    "eigen": ["Eigen/"],
    "hwy": ["hwy/"],
    "metis": ["metis.h"],
    "openmp": ["omp.h"],
    "mpi": ["mpi.h"],
    "cli11": ["CLI/"],
}

# Headers of the C library and the system, free for all. The C++ library's have no dot.
SYSTEM = re.compile(r"(sys/\w+|linux/\w+|dirent|dlfcn|errno|fcntl|fnmatch|malloc|poll|pthread|pwd|sched|signal|"
                    r"termios|time|unistd|immintrin|xmmintrin|pmmintrin|arm_neon|cpuid)\.h$")

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
SUFFIXES = {".h", ".cpp"}


def layer_of(path):
    """The layer a file of the tree belongs to, by its path relative to the root."""
    parts = path.parts
    if parts[0] == "apps":
        return "apps"
    depth = 2 if parts[0] == "include" else 1  # include/moefy/<layer>/, src/<layer>/
    return parts[depth] if len(parts) > depth + 1 else None


def problem_of(root, path, layer, quote, header):
    """What is wrong with one #include, or None."""
    may_include, packages = LAYERS[layer]
    if header.startswith("moefy/") and quote == "<":
        return "our own headers are included with quotes"
    if quote == '"':
        places = [root / "include" / header, root / "src" / header, root / path.parent / header]
        if path.parts[0] == "include":
            places = places[:1]  # what users get must not need what they do not get
        found = [place for place in places if place.is_file()]
        if not found:
            return "no such header (packages are included with <...>)"
        owner = layer_of(found[0].resolve().relative_to(root.resolve()))
        return None if owner in may_include | {layer} else f"{layer} may not include {owner}"
    for package, prefixes in PACKAGES.items():
        if header.startswith(tuple(prefixes)):
            return None if package in packages else f"{layer} may not use {package}"
    if "." not in header and "/" not in header or SYSTEM.match(header):
        return None
    return "unknown package: add it to check_layers.py and docs/rooms.json"


def check(root):
    """All problems of the tree at `root`, and the number of files looked at."""
    problems, num_files = [], 0
    for top in ("include", "src", "apps"):
        for file in sorted((root / top).rglob("*")):
            if file.suffix not in SUFFIXES:
                continue
            num_files += 1
            path = file.relative_to(root)
            layer = layer_of(path)
            if layer not in LAYERS:
                problems.append(f"{path}: lies in no layer of the table")
                continue
            text = file.read_text(encoding="utf-8")
            for match in INCLUDE.finditer(text):
                problem = problem_of(root, path, layer, *match.groups())
                if problem:
                    line = text.count("\n", 0, match.start(2)) + 1
                    problems.append(f"{path}:{line}: {match.group(2)}: {problem}")
    return problems, num_files


def check_readers(root):
    """The readers that are fuzzed reach no header of ATen (tests/fuzz/CMakeLists.txt says why)."""
    cmake = root / "tests/fuzz/CMakeLists.txt"
    if not cmake.is_file():
        return []
    sources = re.findall(r"\$\{layers\}/(\S+?\.cpp)", cmake.read_text(encoding="utf-8"))
    unread = [file for source in sources for file in sorted((root / "src").glob(source))]
    seen, problems = set(unread), []
    while unread:
        file = unread.pop()
        for quote, header in INCLUDE.findall(file.read_text(encoding="utf-8")):
            if header.startswith(("ATen/", "torch/")):
                problems.append(f"{file.relative_to(root)}: {header}: a fuzzed reader includes it")
            for place in (root / "include" / header, root / "src" / header, file.parent / header):
                if quote == '"' and place.is_file() and place not in seen:
                    seen.add(place)
                    unread.append(place)
    return problems


if __name__ == "__main__":
    tree = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else repo_files.ROOT
    layer_problems, num_looked_at = check(tree)
    sys.exit(repo_files.report("layers", layer_problems + check_readers(tree), num_looked_at))
