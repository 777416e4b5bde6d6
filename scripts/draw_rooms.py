#!/usr/bin/env python3
"""Draws docs/rooms.json, which the layer test checks the sources by: the picture of the rooms, the
picture of the data's way, and the table in docs/architecture.md.

Usage: draw_rooms.py [--check] [ROOT]    --check writes nothing and fails if anything would change
"""

import json
import pathlib
import re
import sys
from xml.sax.saxutils import escape

BOX_WIDTH, BOX_HEIGHT, STEP_X, STEP_Y = 150, 40, 190, 76
STYLE = """<style>
  .box { fill: #eef3fa; stroke: #34506e; stroke-width: 1.5 }
  .torch { fill: #fdf3e3; stroke: #8a5a12 }
  .file { fill: #ffffff; stroke-dasharray: 5 3 }
  .way { fill: none; stroke: #5b6b7c; stroke-width: 1.4 }
  text { font: 15px sans-serif; fill: #1b2733; text-anchor: middle }
  .small { font-size: 12px; fill: #5b6b7c }
</style>"""


def nearest_uses(rooms):
    """room: the rooms it uses that none of its other rooms uses already."""
    uses = {row["room"]: set(row["uses"]) for row in rooms}
    return {room: [used for used in sorted(wanted) if not any(used in uses[other] for other in wanted)]
            for room, wanted in uses.items()}


def levels_of(rooms):
    """room: its height above the rooms that use nothing."""
    levels = {}
    for row in rooms:  # a room comes after those it uses
        levels[row["room"]] = 1 + max((levels[used] for used in row["uses"]), default=-1)
    return levels


def drawing(width, height, parts):
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}">', STYLE,
        '<defs><marker id="end" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" '
        'markerHeight="8" orient="auto"><path d="M0 0 8 4 0 8z" fill="#5b6b7c"/></marker></defs>',
        f'<rect width="{width:g}" height="{height:g}" rx="8" fill="#fbfcfd"/>', *parts, "</svg>", ""])


def box(x, y, kind, title, below=""):
    shift = -3 if below else 5
    parts = [f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="6"/>',
             f'<text x="{x + BOX_WIDTH / 2:g}" y="{y + BOX_HEIGHT / 2 + shift:g}">{escape(title)}</text>']
    if below:
        parts.append(f'<text class="small" x="{x + BOX_WIDTH / 2:g}" '
                     f'y="{y + BOX_HEIGHT / 2 + 13:g}">{escape(below)}</text>')
    return parts


def draw_rooms(table):
    """Every room stands on the rooms it uses; an arrow that another implies is left out."""
    rooms, levels = table["rooms"], levels_of(table["rooms"])
    top = max(levels.values())
    place = {row["room"]: (20 + row["column"] * STEP_X, 20 + (top - levels[row["room"]]) * STEP_Y)
             for row in rooms}
    parts = []
    for room, used_rooms in nearest_uses(rooms).items():
        for used in used_rooms:
            (x1, y1), (x2, y2) = place[room], place[used]
            parts.append(f'<path class="way" marker-end="url(#end)" d="M{x1 + BOX_WIDTH / 2:g} '
                         f'{y1 + BOX_HEIGHT:g} {x2 + BOX_WIDTH / 2:g} {y2:g}"/>')
    for row in rooms:
        kind = "box torch" if "torch" in row["packages"] else "box"
        parts += box(*place[row["room"]], kind, row["room"])
    width = 40 + BOX_WIDTH + STEP_X * max(row["column"] for row in rooms)
    return drawing(width, 40 + BOX_HEIGHT + top * STEP_Y, parts)


def draw_way(table):
    """What is made from what, and which room makes it; dashed boxes are files."""
    step_x, step_y = STEP_X + 60, STEP_Y + 10
    place = {row["thing"]: (20 + row["place"][0] * step_x, 20 + row["place"][1] * step_y)
             for row in table["way"]}
    parts = []
    for row in table["way"]:
        x2, y2 = place[row["thing"]]
        for source in row["from"]:
            x1, y1 = place[source]
            if y1 == y2:
                side = 1 if x2 > x1 else -1
                start = (x1 + BOX_WIDTH / 2 + side * BOX_WIDTH / 2, y1 + BOX_HEIGHT / 2)
                end = (x2 + BOX_WIDTH / 2 - side * BOX_WIDTH / 2, y2 + BOX_HEIGHT / 2)
            else:
                start, end = (x1 + BOX_WIDTH / 2, y1 + BOX_HEIGHT), (x2 + BOX_WIDTH / 2, y2)
            parts.append(f'<path class="way" marker-end="url(#end)" d="M{start[0]:g} {start[1]:g} '
                         f'{end[0]:g} {end[1]:g}"/>')
    for row in table["way"]:
        kind = "box file" if row.get("file") else "box"
        parts += box(*place[row["thing"]], kind, row["thing"], row.get("room", "given"))
    return drawing(40 + BOX_WIDTH + 2 * step_x,
                   40 + BOX_HEIGHT + step_y * max(row["place"][1] for row in table["way"]), parts)


def write_table(table):
    names = {"nlohmann": "nlohmann_json", "xxhash": "xxHash", "icu": "ICU", "torch": "LibTorch",
             "eigen": "Eigen", "metis": "METIS", "hwy": "Highway", "openmp": "OpenMP",
             "cli11": "CLI11", "mpi": "MPI"}
    lines = ["| room | what it is | it never knows | packages |", "|---|---|---|---|"]
    for row in table["rooms"]:
        packages = ", ".join(names[package] for package in row["packages"]) or "-"
        lines.append(f"| `{row['room']}` | {row['is']} | {row['never']} | {packages} |")
    return "\n".join(lines)


def problems_of(table):
    """What contradicts itself: a room before one it uses, a way that no room may go."""
    problems, uses = [], {}
    for row in table["rooms"]:
        for used in row["uses"]:
            if used not in uses:
                problems.append(f"docs/rooms.json: {row['room']} uses {used}, which no row before it is")
        uses[row["room"]] = set(row["uses"])
    declared = {}
    for row in table["way"]:
        room = row.get("room")
        for source in row["from"]:
            owner = declared.get(source, "unknown")
            if owner is not None and owner != room and owner not in uses.get(room, ()):
                problems.append(f"docs/rooms.json: {room} makes {row['thing']} of {source}, but may not "
                                f"use {owner}")
        # What is handed on is a value of the room that declares it.
        declared[row["thing"]] = row.get("declared", room)
    return problems


def main():
    arguments = [argument for argument in sys.argv[1:] if argument != "--check"]
    root = pathlib.Path(arguments[0]) if arguments else pathlib.Path(__file__).resolve().parent.parent
    table = json.loads((root / "docs/rooms.json").read_text(encoding="utf-8"))
    problems = problems_of(table)
    page = root / "docs/architecture.md"
    text = page.read_text(encoding="utf-8")
    wanted = {
        root / "docs/images/rooms.svg": draw_rooms(table),
        root / "docs/images/way.svg": draw_way(table),
        page: re.sub(r"(<!-- rooms -->\n).*?(<!-- /rooms -->)",
                     lambda match: match[1] + write_table(table) + "\n" + match[2], text, flags=re.S),
    }
    for file, content in wanted.items():
        if "--check" not in sys.argv:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content, encoding="utf-8")
        elif not file.is_file() or file.read_text(encoding="utf-8") != content:
            problems.append(f"{file.relative_to(root)}: not as docs/rooms.json says; run scripts/draw_rooms.py")
    print("\n".join(problems + [f"rooms: {len(table['rooms'])} rooms, {len(problems)} problems"]))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
