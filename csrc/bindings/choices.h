// Words of the Python API -> enumerators of the C++ one.
#pragma once

#include <initializer_list>
#include <string>
#include <utility>

#include "ops/error.h"

namespace ppf::bindings {

template <class Enum>
Enum choose(const char* argument, const std::string& word,
            std::initializer_list<std::pair<const char*, Enum>> choices) {
  for (const auto& choice : choices) {
    if (word == choice.first) return choice.second;
  }
  std::string names;
  for (const auto& choice : choices) names += (names.empty() ? "" : ", ") + std::string(choice.first);
  throw InputError(argument, "one of " + names, "\"" + word + "\"");
}

}  // namespace ppf::bindings
