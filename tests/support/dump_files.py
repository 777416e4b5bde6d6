"""Dumps of FFN inputs, as Python hooks would write them: random numbers in files of every format."""
import json
import random
import struct

import torch_save


def floats(count, seed):
    generator = random.Random(seed)
    return struct.pack(f"<{count}f", *(generator.gauss(0, 1) for _ in range(count)))


def npy(shape, data):
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {tuple(shape)}, }}\n".encode()
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + data


def safetensors(shape, data):
    header = json.dumps({"x": {"dtype": "F32", "shape": shape, "data_offsets": [0, len(data)]}})
    return struct.pack("<Q", len(header)) + header.encode() + data


def write_dump(directory, w_in_names, hidden):
    """What Python hooks would write: a file per FFN, in the three formats by turns."""
    directory.mkdir()
    for i, name in enumerate(w_in_names):
        shape, data = [3, 64, hidden], floats(3 * 64 * hidden, i)
        ending, contents = [(".npy", npy(shape, data)), (".safetensors", safetensors(shape, data)),
                            (".pt", torch_save.save_bytes(torch_save.tensor("F32", shape, data)))][i % 3]
        (directory / (name + ending)).write_bytes(contents)
