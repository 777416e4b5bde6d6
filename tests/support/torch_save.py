"""Writes what torch.save writes, without torch: Python's own pickler over stand-ins for torch's
classes, and the two file layouts around it (torch/serialization.py).

As a program, makes the files of tests/data/torch: torch_save.py DIRECTORY
"""

import collections
import io
import pathlib
import pickle
import struct
import sys
import types
import zlib

STORAGES = {"F32": ("FloatStorage", 4), "F64": ("DoubleStorage", 8), "F16": ("HalfStorage", 2),
            "BF16": ("BFloat16Storage", 2), "I64": ("LongStorage", 8), "I32": ("IntStorage", 4),
            "I16": ("ShortStorage", 2), "I8": ("CharStorage", 1), "U8": ("ByteStorage", 1),
            "BOOL": ("BoolStorage", 1)}


def stand_in(module, name, kind=type):
    """An object that pickles as the global module.name."""
    for depth in range(1, module.count(".") + 2):
        part = ".".join(module.split(".")[:depth])
        sys.modules.setdefault(part, types.ModuleType(part))
    if kind is type:
        made = type(name, (), {"__module__": module})
    else:
        made = types.FunctionType((lambda *args: None).__code__, {}, name)
        made.__module__, made.__qualname__ = module, name
    setattr(sys.modules[module], name, made)
    return made


CLASSES = {dtype: stand_in("torch", name) for dtype, (name, _) in STORAGES.items()}
UNTYPED = stand_in("torch.storage", "UntypedStorage")
REBUILD_V2 = stand_in("torch._utils", "_rebuild_tensor_v2", "function")
REBUILD_V3 = stand_in("torch._utils", "_rebuild_tensor_v3", "function")
REBUILD_PARAMETER = stand_in("torch._utils", "_rebuild_parameter", "function")


class Storage:
    def __init__(self, dtype, data):
        self.dtype, self.data = dtype, data

    def persistent_id(self, key, legacy):
        if self.dtype is None:
            return ("storage", UNTYPED, key, "cpu", len(self.data))
        size = len(self.data) // STORAGES[self.dtype][1]
        return ("storage", CLASSES[self.dtype], key, "cpu", size) + ((None,) if legacy else ())


class Tensor:
    def __init__(self, storage, shape, strides=None, offset=0):
        if strides is None:
            strides, size = [], 1
            for extent in reversed(shape):
                strides.insert(0, size)
                size *= max(extent, 1)
        self.args = (storage, offset, tuple(shape), tuple(strides), False,
                     collections.OrderedDict())

    def __reduce__(self):
        return REBUILD_V2, self.args


class Parameter:
    def __init__(self, tensor):
        self.tensor = tensor

    def __reduce__(self):
        return REBUILD_PARAMETER, (self.tensor, True, collections.OrderedDict())


def tensor(dtype, shape, data):
    return Tensor(Storage(dtype, data), shape)


class Pickler(pickle.Pickler):
    def __init__(self, file, protocol, legacy):
        super().__init__(file, protocol)
        self.legacy, self.storages = legacy, {}

    def persistent_id(self, obj):
        if not isinstance(obj, Storage):
            return None
        key = next((k for k, s in self.storages.items() if s is obj), str(len(self.storages)))
        self.storages[key] = obj
        return obj.persistent_id(key, self.legacy)


def zip_bytes(entries):
    """Stored entries, each aligned to 64 bytes by an extra field "FB", sizes behind the data."""
    out, directory = bytearray(), bytearray()
    for name, data in entries.items():
        name, offset = name.encode(), len(out)
        crc = zlib.crc32(data)
        padding = -(offset + 30 + len(name) + 4) % 64
        extra = b"FB" + struct.pack("<H", padding) + b"Z" * padding
        out += struct.pack("<4sHHHHHIIIHH", b"PK\3\4", 0, 0x808, 0, 0, 0, 0, 0, 0, len(name),
                           len(extra)) + name + extra + data
        out += struct.pack("<4sIII", b"PK\7\x08", crc, len(data), len(data))
        directory += struct.pack("<4sHHHHHHIIIHHHHHII", b"PK\1\2", 0, 0, 0x808, 0, 0, 0, crc,
                                 len(data), len(data), len(name), 0, 0, 0, 0, 0, offset) + name
    begin, count = len(out), len(entries)
    end64 = begin + len(directory)
    out += directory
    out += struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 0x031e, 45, 0, 0, count, count,
                       len(directory), begin)
    out += struct.pack("<4sIQI", b"PK\6\7", 0, end64, 1)
    out += struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, count, count, len(directory), begin, 0)
    return bytes(out)


def save_bytes(value, protocol=2, legacy=False, prefix="archive"):
    file = io.BytesIO()
    pickler = Pickler(file, protocol, legacy)
    pickler.dump(value)
    storages = {key: storage.data for key, storage in pickler.storages.items()}
    if not legacy:
        entries = {f"{prefix}/data.pkl": file.getvalue()}
        entries |= {f"{prefix}/data/{key}": data for key, data in storages.items()}
        return zip_bytes(entries | {f"{prefix}/version": b"3\n"})
    system = {"protocol_version": 1001, "little_endian": True,
              "type_sizes": {"short": 2, "int": 4, "long": 4}}
    out = b"".join(pickle.dumps(part, 2) for part in (0x1950a86a20f9469cfc6c, 1001, system))
    out += file.getvalue() + pickle.dumps(sorted(storages), 2)
    for key in sorted(storages):
        size = STORAGES[pickler.storages[key].dtype][1]
        out += struct.pack("<q", len(storages[key]) // size) + storages[key]
    return out


def state_dict(entries):
    """An OrderedDict with _metadata, as model.state_dict() gives it."""
    out = collections.OrderedDict(entries)
    out._metadata = collections.OrderedDict({"": {"version": 1}, "norm": {"version": 2}})
    return out


def samples():
    numbers = struct.pack("<6f", *range(6))
    storage = Storage("F32", numbers)
    plain = {"a": Tensor(storage, [2, 3]), "b": tensor("I64", [2], struct.pack("<2q", -1, 7)),
             "scalar": tensor("BF16", [], b"\x80\x3f"), "none": tensor("F16", [0, 3], b"")}
    views = {"all": Tensor(storage, [6]), "transposed": Tensor(storage, [3, 2], [1, 3]),
             "tail": Tensor(storage, [2, 1], [1, 9], 4), "column": Tensor(storage, [2], [3], 1),
             "repeated": Tensor(storage, [2, 3], [0, 1])}
    parameters = state_dict({k: Parameter(v) for k, v in plain.items()})
    return {
        "plain": save_bytes(plain),
        "plain.protocol4": save_bytes(plain, protocol=4),
        "state_dict": save_bytes(state_dict(plain), prefix="pytorch_model"),
        "parameters": save_bytes(parameters),
        "nested": save_bytes({"epoch": 3, "lr": 0.1, "optimizer": {"state": {0: storage}},
                              "model": {"module": state_dict(plain)}}),
        "views": save_bytes(views),
        "legacy": save_bytes(parameters, legacy=True),
        "legacy.views": save_bytes(views, legacy=True),
        "lone": save_bytes(Tensor(storage, [2, 3])),
    }


if __name__ == "__main__":
    for sample, data in samples().items():
        (pathlib.Path(sys.argv[1]) / f"{sample}.pt").write_bytes(data)
