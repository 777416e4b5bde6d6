"""Imported first by tests that compare with Transformers: goes on in the Python that
MOEFY_TRANSFORMERS names where this one lacks torch, transformers or numpy; where none has them it
says so and exits 77, which ctest takes for skipped."""
import os
import sys

try:
    import numpy  # noqa: F401
    import torch  # noqa: F401
    import transformers  # noqa: F401
except ImportError as error:
    other = os.environ.pop("MOEFY_TRANSFORMERS", None)
    if other:
        os.execv(other, [other, *sys.argv])
    print(f"skipped: {error}; pip install torch transformers numpy, or let MOEFY_TRANSFORMERS name "
          "a Python that has them")
    sys.exit(77)
