#!/usr/bin/env python3
"""A report of `moefy convert` or `moefy eval --json` as the tables of docs/results.md.

Usage: results_table.py EVAL.json

One table per task and figure: a row per model and selection, a column per ffn ratio. The metric
comes with its standard error (shares in %), KL from dense where the report has it.
"""

import json
import sys


def figures(report):
    """(title, cell) of each table; cell: a row of the report to its text."""
    metric = report["metrics"][0]
    scale = 1 if metric in ("perplexity", "nats_per_token") else 100

    def value(row):
        found = row[metric]
        digits = 2 if scale == 100 or found["value"] < 100 else 0
        if found["standard_error"] is None:  # of one example
            return f"{scale * found['value']:.{digits}f}"
        return f"{scale * found['value']:.{digits}f} ± {scale * found['standard_error']:.{digits}f}"

    tables = [(metric + (" in %" if scale == 100 else ""), value)]
    if any("kl_from_dense" in row for row in report["rows"][1:]):
        tables.append(("KL from dense", lambda row: f"{row['kl_from_dense']['value']:.4f}"))
    return tables


def print_report(report):
    dense, *others = report["rows"]
    rows = [row for row in others if row["model"]]  # without the dense model on our kernels
    ratios = sorted({row["ffn_ratio"] for row in rows})
    names = list(dict.fromkeys((row["model"], row["selection"]) for row in rows))
    found = {(row["model"], row["selection"], row["ffn_ratio"]): row for row in rows}
    tables = figures(report)
    print(f"{report['task']}, {report['data_file']}, {report['examples']} examples; "
          f"dense {tables[0][1](dense)}")
    for title, cell in tables:
        print(f"\n| {title} | " + " | ".join(f"{100 * ratio:g} %" for ratio in ratios) + " |")
        print("|---" * (len(ratios) + 1) + "|")
        for model, selection in names:
            cells = [cell(found[model, selection, ratio]) for ratio in ratios]
            print(f"| {model.removeprefix('moe-')} + {selection} | " + " | ".join(cells) + " |")
    print()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as file:
        reports = json.load(file)
    for one in reports if isinstance(reports, list) else [reports]:
        print_report(one)
