#include "io/pickle.h"

#include "io/pickle_machine.h"
#include "io/pickle_names.h"

namespace moefy::io::pickle {
namespace {

constexpr int kMaxProtocol = 5;

// Runs one opcode; returns false after the last.
bool Step(Machine& m) {
  const auto opcode = m.Read<uint8_t>();
  switch (opcode) {
    case 0x80:  // PROTO
      if (const int protocol = m.Read<uint8_t>(); protocol < 2 || protocol > kMaxProtocol) {
        Fail("protocol is ", protocol, "; expected 2 to ", kMaxProtocol);
      }
      break;
    case 0x95:  // FRAME: a hint for readers of streams
      m.Read<uint64_t>();
      break;
    case '.':  // STOP
      m.SetRoot(m.Pop());
      return false;
    case '(':  // MARK
      m.Mark();
      break;

    case 'N':  // NONE
      m.Push(None{});
      break;
    case 0x88:  // NEWTRUE
    case 0x89:  // NEWFALSE
      m.Push(opcode == 0x88);
      break;
    case 'J':  // BININT
      m.Push(int64_t{m.Read<int32_t>()});
      break;
    case 'K':  // BININT1
      m.Push(int64_t{m.Read<uint8_t>()});
      break;
    case 'M':  // BININT2
      m.Push(int64_t{m.Read<uint16_t>()});
      break;
    case 0x8a:  // LONG1
      m.PushLong(m.Take(m.Read<uint8_t>()));
      break;
    case 0x8b:  // LONG4
      m.PushLong(m.Take(m.Read<uint32_t>()));
      break;
    case 'G':  // BINFLOAT
      m.PushFloat();
      break;
    case 'X':  // BINUNICODE
      m.PushText(m.Read<uint32_t>());
      break;
    case 0x8c:  // SHORT_BINUNICODE
      m.PushText(m.Read<uint8_t>());
      break;
    case 0x8d:  // BINUNICODE8
      m.PushText(m.Read<uint64_t>());
      break;
    case 'T':  // BINSTRING
      m.PushString(m.Read<uint32_t>());
      break;
    case 'U':  // SHORT_BINSTRING
      m.PushString(m.Read<uint8_t>());
      break;
    case 'B':  // BINBYTES
      m.Push(Binary{m.Take(m.Read<uint32_t>())});
      break;
    case 'C':  // SHORT_BINBYTES
      m.Push(Binary{m.Take(m.Read<uint8_t>())});
      break;
    case 0x8e:  // BINBYTES8
      m.Push(Binary{m.Take(m.Read<uint64_t>())});
      break;

    case ')':  // EMPTY_TUPLE
      m.Push(Tuple{});
      break;
    case 't':  // TUPLE
      m.Push(Tuple{m.PopToMark()});
      break;
    case 0x85:  // TUPLE1
    case 0x86:  // TUPLE2
    case 0x87:  // TUPLE3
      m.Push(Tuple{m.PopMany(static_cast<size_t>(opcode - 0x84))});
      break;
    case ']':  // EMPTY_LIST
      m.Push(List{});
      break;
    case 'l':  // LIST
      m.Push(List{m.PopToMark()});
      break;
    case 'a':  // APPEND
      m.Append<List>(m.PopMany(1), "a list");
      break;
    case 'e':  // APPENDS
      m.Append<List>(m.PopToMark(), "a list");
      break;
    case '}':  // EMPTY_DICT
      m.Push(Dict{});
      break;
    case 's':  // SETITEM
      m.AppendPairs(m.PopMany(2));
      break;
    case 'u':  // SETITEMS
      m.AppendPairs(m.PopToMark());
      break;

    case 'q':  // BINPUT
      m.Put(m.Read<uint8_t>());
      break;
    case 'r':  // LONG_BINPUT
      m.Put(m.Read<uint32_t>());
      break;
    case 0x94:  // MEMOIZE
      m.Memoize();
      break;
    case 'h':  // BINGET
      m.Get(m.Read<uint8_t>());
      break;
    case 'j':  // LONG_BINGET
      m.Get(m.Read<uint32_t>());
      break;

    case 'c': {  // GLOBAL
      const std::string_view module = m.TakeLine();
      m.PushGlobal(module, m.TakeLine());
      break;
    }
    case 0x93: {  // STACK_GLOBAL
      const std::string_view name = m.As<Text>(m.Pop(), "a global's name").utf8;
      m.PushGlobal(m.As<Text>(m.Pop(), "a global's module").utf8, name);
      break;
    }
    case 'R':  // REDUCE
      m.Reduce();
      break;
    case 'b':  // BUILD
      m.Build();
      break;
    case 'Q':  // BINPERSID
      m.PushStorage();
      break;
    default:
      Fail("opcode ", OpcodeName(opcode), " at byte ", m.position() - 1,
           " is not allowed: tensors do not need it");
  }
  return true;
}

}  // namespace

Pickle Parse(std::span<const std::byte>& bytes) {
  Machine machine(bytes);
  while (Step(machine)) {
  }
  bytes = bytes.subspan(machine.position());
  return machine.TakePickle();
}

}  // namespace moefy::io::pickle
