#include "io/pickle_names.h"

#include <array>
#include <utility>

namespace moefy::io::pickle {
namespace {

struct GlobalRow {
  std::string_view module, name;
  Global global;
};

constexpr std::array<GlobalRow, 11> kGlobals = {{
    {"collections", "OrderedDict", {Global::kOrderedDict, {}}},
    {"torch._utils", "_rebuild_tensor", {Global::kRebuildTensor, {}}},
    {"torch._utils", "_rebuild_tensor_v2", {Global::kRebuildTensor, {}}},
    {"torch._utils", "_rebuild_tensor_v3", {Global::kRebuildTensorV3, {}}},
    {"torch._utils", "_rebuild_parameter", {Global::kRebuildParameter, {}}},
    {"torch._utils", "_rebuild_parameter_with_state", {Global::kRebuildParameter, {}}},
    {"torch", "Size", {Global::kSize, {}}},
    {"torch", "device", {Global::kDevice, {}}},
    {"torch", "UntypedStorage", {Global::kStorage, {}}},
    {"torch.storage", "UntypedStorage", {Global::kStorage, {}}},
    {"torch.storage", "_UntypedStorage", {Global::kStorage, {}}},  // torch 1.12
}};

struct DTypeRow {
  std::string_view name;  // torch.<name>
  DType dtype;
};

constexpr std::array<DTypeRow, 26> kDTypes = {{
    {"bool", DType::kBool},
    {"uint8", DType::kU8},
    {"int8", DType::kI8},
    {"int16", DType::kI16},
    {"short", DType::kI16},
    {"uint16", DType::kU16},
    {"int32", DType::kI32},
    {"int", DType::kI32},
    {"uint32", DType::kU32},
    {"int64", DType::kI64},
    {"long", DType::kI64},
    {"uint64", DType::kU64},
    {"float16", DType::kF16},
    {"half", DType::kF16},
    {"bfloat16", DType::kBF16},
    {"float32", DType::kF32},
    {"float", DType::kF32},
    {"float64", DType::kF64},
    {"double", DType::kF64},
    {"complex64", DType::kC64},
    {"cfloat", DType::kC64},
    {"float8_e4m3fn", DType::kF8E4M3},
    {"float8_e5m2", DType::kF8E5M2},
    {"float8_e4m3fnuz", DType::kF8E4M3Fnuz},
    {"float8_e5m2fnuz", DType::kF8E5M2Fnuz},
    {"float8_e8m0fnu", DType::kF8E8M0},
}};

constexpr std::array<DTypeRow, 11> kStorages = {{
    {"BoolStorage", DType::kBool},
    {"ByteStorage", DType::kU8},
    {"CharStorage", DType::kI8},
    {"ShortStorage", DType::kI16},
    {"IntStorage", DType::kI32},
    {"LongStorage", DType::kI64},
    {"HalfStorage", DType::kF16},
    {"BFloat16Storage", DType::kBF16},
    {"FloatStorage", DType::kF32},
    {"DoubleStorage", DType::kF64},
    {"ComplexFloatStorage", DType::kC64},
}};

// Python's names of all opcodes.
constexpr std::pair<uint8_t, std::string_view> kOpcodes[] = {
    {'(', "MARK"},
    {'.', "STOP"},
    {'0', "POP"},
    {'1', "POP_MARK"},
    {'2', "DUP"},
    {'F', "FLOAT"},
    {'I', "INT"},
    {'J', "BININT"},
    {'K', "BININT1"},
    {'L', "LONG"},
    {'M', "BININT2"},
    {'N', "NONE"},
    {'P', "PERSID"},
    {'Q', "BINPERSID"},
    {'R', "REDUCE"},
    {'S', "STRING"},
    {'T', "BINSTRING"},
    {'U', "SHORT_BINSTRING"},
    {'V', "UNICODE"},
    {'X', "BINUNICODE"},
    {'a', "APPEND"},
    {'b', "BUILD"},
    {'c', "GLOBAL"},
    {'d', "DICT"},
    {'}', "EMPTY_DICT"},
    {'e', "APPENDS"},
    {'g', "GET"},
    {'h', "BINGET"},
    {'i', "INST"},
    {'j', "LONG_BINGET"},
    {'l', "LIST"},
    {']', "EMPTY_LIST"},
    {'o', "OBJ"},
    {'p', "PUT"},
    {'q', "BINPUT"},
    {'r', "LONG_BINPUT"},
    {'s', "SETITEM"},
    {'t', "TUPLE"},
    {')', "EMPTY_TUPLE"},
    {'u', "SETITEMS"},
    {'G', "BINFLOAT"},
    {0x80, "PROTO"},
    {0x81, "NEWOBJ"},
    {0x82, "EXT1"},
    {0x83, "EXT2"},
    {0x84, "EXT4"},
    {0x85, "TUPLE1"},
    {0x86, "TUPLE2"},
    {0x87, "TUPLE3"},
    {0x88, "NEWTRUE"},
    {0x89, "NEWFALSE"},
    {0x8a, "LONG1"},
    {0x8b, "LONG4"},
    {'B', "BINBYTES"},
    {'C', "SHORT_BINBYTES"},
    {0x8c, "SHORT_BINUNICODE"},
    {0x8d, "BINUNICODE8"},
    {0x8e, "BINBYTES8"},
    {0x8f, "EMPTY_SET"},
    {0x90, "ADDITEMS"},
    {0x91, "FROZENSET"},
    {0x92, "NEWOBJ_EX"},
    {0x93, "STACK_GLOBAL"},
    {0x94, "MEMOIZE"},
    {0x95, "FRAME"},
    {0x96, "BYTEARRAY8"},
    {0x97, "NEXT_BUFFER"},
    {0x98, "READONLY_BUFFER"},
};

template <typename Rows>
std::optional<DType> FindDTypeRow(const Rows& rows, std::string_view name) {
  for (const DTypeRow& row : rows) {
    if (row.name == name) return row.dtype;
  }
  return std::nullopt;
}

}  // namespace

std::optional<Global> FindGlobal(std::string_view module, std::string_view name) {
  for (const GlobalRow& row : kGlobals) {
    if (row.module == module && row.name == name) return row.global;
  }
  if (module == "torch" || module == "torch.cuda") {
    if (const auto dtype = FindDTypeRow(kStorages, name)) return Global{Global::kStorage, dtype};
  }
  if (module == "torch") {
    if (const auto dtype = FindDTypeRow(kDTypes, name)) return Global{Global::kDType, dtype};
  }
  return std::nullopt;
}

std::string OpcodeName(uint8_t opcode) {
  for (const auto& [byte, name] : kOpcodes) {
    if (byte == opcode) return std::string(name);
  }
  constexpr std::string_view kDigits = "0123456789abcdef";
  return {'0', 'x', kDigits[opcode >> 4], kDigits[opcode & 15]};
}

}  // namespace moefy::io::pickle
