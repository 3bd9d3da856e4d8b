// Element types in the words of the protocols that arrays come by: struct formats, typestrs and DLPack codes.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>

#include "bindings/array.h"
#include "bindings/dlpack.h"
#include "ops/error.h"

namespace ppf::bindings {

// kind as in NumPy's typestr: 'b' bool, 'i' int, 'u' unsigned, 'f' float, and those that nothing here computes with:
// 'B' bfloat, 'c' complex, 'S' bytes, 'U' str, 'O' object, 'V' structured, 'M' and 'm' times, '?' anything else.
struct Element {
  char kind;
  int64_t bytes;
  bool swapped = false;  // the other byte order than this machine's
};

struct NamedElement {
  char kind;
  int64_t bytes;
  const char* name;
};

constexpr NamedElement kElements[] = {
    // by DType
    {'b', 1, "bool"},    {'u', 1, "uint8"},   {'i', 4, "int32"},   {'i', 8, "int64"},
    {'f', 2, "float16"}, {'f', 4, "float32"}, {'f', 8, "float64"},
};

inline std::string text_of(const Element& element) {
  const std::string bits = std::to_string(element.bytes * 8);
  const std::string order = element.swapped ? "byte-swapped " : "";
  switch (element.kind) {
    case 'b': return order + "bool";
    case 'i': return order + "int" + bits;
    case 'u': return order + "uint" + bits;
    case 'f': return order + "float" + bits;
    case 'c': return order + "complex" + bits;
    case 'B': return order + "bfloat" + bits;
    case 'S': return "bytes";
    case 'U': return "str";
    case 'O': return "object";
    case 'V': return "structured elements";
    case 'M':
    case 'm': return "dates or times";
    default: return "elements of unknown type";
  }
}

[[noreturn]] inline void refuse_element(const std::string& argument, const std::string& got) {
  throw InputTypeError(argument, "bool, uint8, int32, int64, float16, float32 or float64 in native byte order", got,
                       "convert it first: ops make no copies of their own");
}

inline DType dtype_of(const Element& element, const std::string& argument) {
  for (const NamedElement& known : kElements) {
    if (known.kind == element.kind && known.bytes == element.bytes && !element.swapped) {
      return static_cast<DType>(&known - kElements);
    }
  }
  refuse_element(argument, text_of(element));
}

// '<' and '>' (or '!') order bytes; '@', '=', '|' and '^' mean this machine's order.
inline bool is_swapped(char order, int64_t bytes) {
  const uint16_t one = 1;
  unsigned char first_byte;
  std::memcpy(&first_byte, &one, 1);
  const bool little_endian = first_byte == 1;
  return bytes > 1 && (little_endian ? order == '>' || order == '!' : order == '<');
}

// A format of the buffer protocol, in the words of the struct module. Null is its default, "B".
inline Element element_of_format(const char* format, int64_t bytes) {
  if (format == nullptr) return {'u', bytes};
  const auto is_one_of = [](char letter, const char* letters) {
    return letter != 0 && std::strchr(letters, letter) != nullptr;
  };
  const bool swapped = is_swapped(*format, bytes);
  if (is_one_of(*format, "@=<>!^")) ++format;
  while (*format >= '0' && *format <= '9') ++format;  // "4w": strings have a length
  const char letter = *format;
  if (letter == 'Z') return {'c', bytes, swapped};  // NumPy's "Zf"
  if (letter == 'T') return {'V', bytes, swapped};  // NumPy's "T{...}"
  if (letter == '?') return {'b', bytes, swapped};
  if (is_one_of(letter, "bhilqn")) return {'i', bytes, swapped};
  if (is_one_of(letter, "BHILQN")) return {'u', bytes, swapped};
  if (is_one_of(letter, "efdg")) return {'f', bytes, swapped};
  if (is_one_of(letter, "csp")) return {'S', bytes, swapped};
  if (is_one_of(letter, "uw")) return {'U', bytes, swapped};
  return {letter == 'O' ? 'O' : '?', bytes, swapped};
}

// A typestr of the array interfaces: byte order, kind, bytes, as in "<f4".
inline Element element_of_typestr(const std::string& typestr) {
  if (typestr.size() < 3 || typestr.size() > 8) return {'?', 0};
  int64_t bytes = 0;
  for (std::size_t i = 2; i < typestr.size() && typestr[i] != '['; ++i) {  // "<M8[s]"
    if (typestr[i] < '0' || typestr[i] > '9') return {'?', 0};
    bytes = bytes * 10 + (typestr[i] - '0');
  }
  return {typestr[1], bytes, is_swapped(typestr[0], bytes)};
}

inline Element element_of(const dlpack::DataType& type) {
  const int64_t bytes = type.bits / 8;
  switch (type.bits % 8 == 0 ? type.code : 255) {
    case dlpack::kInt: return {'i', bytes};
    case dlpack::kUint: return {'u', bytes};
    case dlpack::kFloat: return {'f', bytes};
    case dlpack::kBfloat: return {'B', bytes};
    case dlpack::kComplex: return {'c', bytes};
    case dlpack::kBool: return {'b', bytes};
    default: return {'?', bytes};
  }
}

}  // namespace ppf::bindings
