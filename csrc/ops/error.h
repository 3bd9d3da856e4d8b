// The errors that ops raise. The bindings turn each into the Python class of the same name.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace ppf {

// The caller's fault: says which argument, what was expected of it and what came.
struct InputError : std::invalid_argument {
  InputError(std::string argument, std::string expected, std::string got, std::string hint = "")
      : std::invalid_argument(argument + ": expected " + expected + ", got " + got),
        argument(std::move(argument)),
        expected(std::move(expected)),
        got(std::move(got)),
        hint(std::move(hint)) {}
  std::string argument, expected, got, hint;
};

// As InputError, for a wrong kind of object, dtype or byte order: a TypeError in Python.
struct InputTypeError : InputError {
  using InputError::InputError;
};

// As InputError, for arrays of one call that live on different devices.
struct DeviceMismatchError : InputError {
  using InputError::InputError;
};

// The machine's fault: no device, a driver that is too old, a launch that failed.
struct DeviceError : std::runtime_error {
  explicit DeviceError(const std::string& what, std::string hint = "")
      : std::runtime_error(what), hint(std::move(hint)) {}
  std::string hint;
};

}  // namespace ppf
