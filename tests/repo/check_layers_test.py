"""check_layers.py finds one violation of each kind and passes the tree without them."""

import pathlib
import tempfile
import unittest

import check_layers

CLEAN = {
    "include/moefy/base/error.h": "#include <string>\n",
    "include/moefy/io/checkpoint.h": '#include "moefy/base/error.h"\n#include <sys/mman.h>\n',
    "include/moefy/model/ffn.h": '#include <ATen/ATen.h>\n#include "moefy/io/checkpoint.h"\n',
    "src/io/checkpoint.cpp": '#include "moefy/io/checkpoint.h"\n#include "io/parser.h"\n'
                             "#include <xxhash.h>\n",
    "src/io/parser.h": "#include <vector>\n",
    "src/route/router.h": "#include <vector>\n",
    "apps/console.h": "#include <CLI/CLI.hpp>\n",
    "apps/main.cpp": '#include "console.h"\n#include <CLI/CLI.hpp>\n#include "moefy/model/ffn.h"\n',
}

# file, what it holds, what the message must say
VIOLATIONS = [
    ("src/io/up.cpp", '#include "moefy/model/ffn.h"\n', "io may not include model"),
    ("include/moefy/io/up.h", '#include "moefy/model/ffn.h"\n', "io may not include model"),
    ("src/model/text.cpp", '#include "moefy/text/tokenizer.h"\n', "no such header"),
    ("src/io/torch.cpp", "#include <ATen/ATen.h>\n", "io may not use torch"),
    ("src/base/torch.cpp", "  #  include <c10/util/Half.h>\n", "base may not use torch"),
    ("src/model/cli.cpp", "#include <CLI/CLI.hpp>\n", "model may not use cli11"),
    ("src/model/parse.cpp", '#include "route/router.h"\n', "model may not include route"),
    ("src/model/boost.cpp", "#include <boost/any.hpp>\n", "unknown package"),
    ("src/model/angle.cpp", "#include <moefy/model/ffn.h>\n", "included with quotes"),
    ("src/model/quotes.cpp", '#include "ATen/ATen.h"\n', "packages are included with <...>"),
    ("src/attic/old.cpp", "#include <string>\n", "lies in no layer"),
    ("src/loose.cpp", "#include <string>\n", "lies in no layer"),
]


def with_tree(files, look):
    """What `look` says of a tree of these files."""
    with tempfile.TemporaryDirectory() as directory:
        root = pathlib.Path(directory)
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")
        return look(root)


def problems_of(files):
    return with_tree(files, check_layers.check)


def reader_problems_of(files):
    return with_tree(files, check_layers.check_readers)


class CheckLayersTest(unittest.TestCase):
    def test_clean_tree_passes(self):
        self.assertEqual(problems_of(CLEAN), ([], len(CLEAN)))

    def test_each_violation_is_found_alone(self):
        for name, text, message in VIOLATIONS:
            with self.subTest(name):
                problems, _ = problems_of({**CLEAN, name: text})
                self.assertEqual(len(problems), 1, problems)
                self.assertIn(message, problems[0])
                self.assertTrue(problems[0].startswith(name), problems[0])

    def test_line_number(self):
        problems, _ = problems_of({**CLEAN, "src/io/up.cpp": "// why\n\n#include <omp.h>\n"})
        self.assertEqual(problems, ["src/io/up.cpp:3: omp.h: io may not use openmp"])

    def test_layers_without_torch_include_only_each_other(self):
        torch_free = {"base", "io", "text", "task"}
        for layer in torch_free:
            may_include, packages = check_layers.LAYERS[layer]
            self.assertLessEqual(may_include, torch_free)
            self.assertNotIn("torch", packages)

    def test_fuzzed_readers_reach_no_tensor(self):
        files = {
            "tests/fuzz/CMakeLists.txt": "add_library(x ${layers}/model/config.cpp)\n",
            "include/moefy/model/config.h": "#include <string>\n",
            "src/model/config.cpp": '#include "moefy/model/config.h"\n',
        }
        self.assertEqual(reader_problems_of(files), [])
        files["include/moefy/model/config.h"] = '#include "moefy/model/ffn.h"\n'
        files["include/moefy/model/ffn.h"] = "#include <ATen/ATen.h>\n"
        self.assertEqual(reader_problems_of(files),
                         ["include/moefy/model/ffn.h: ATen/ATen.h: a fuzzed reader includes it"])


if __name__ == "__main__":
    unittest.main()
