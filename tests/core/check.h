// The smallest test framework that names what failed: TEST(name) { CHECK(...); } and one main per executable.
#pragma once

#include <cmath>
#include <cstdio>
#include <vector>

namespace check {

struct Test {
  const char* name;
  void (*run)();
};

inline std::vector<Test>& tests() {
  static std::vector<Test> all;
  return all;
}

inline int& failures() {
  static int count = 0;
  return count;
}

struct Registration {
  Registration(const char* name, void (*run)()) { tests().push_back({name, run}); }
};

inline void fail(const char* file, int line, const char* what) {
  ++failures();
  if (failures() <= 20) std::printf("%s:%d: %s\n", file, line, what);
}

}  // namespace check

#define TEST(name)                                                 \
  static void name();                                              \
  static const check::Registration name##_registered(#name, name); \
  static void name()

#define CHECK(condition) \
  if (!(condition)) check::fail(__FILE__, __LINE__, "failed: " #condition)

#define CHECK_NEAR(actual, expected, tolerance)                                \
  do {                                                                         \
    const double actual_ = (actual), expected_ = (expected);                   \
    if (!(std::fabs(actual_ - expected_) <= (tolerance))) {                    \
      check::fail(__FILE__, __LINE__, "not near: " #actual " and " #expected); \
      std::printf("    %.9g against %.9g\n", actual_, expected_);              \
    }                                                                          \
  } while (false)

int main() {
  for (const check::Test& test : check::tests()) {
    const int before = check::failures();
    test.run();
    std::printf("%s %s\n", check::failures() == before ? "ok  " : "FAIL", test.name);
  }
  std::printf("%zu passed, %d failed checks\n", check::tests().size(), check::failures());
  return check::failures() == 0 ? 0 : 1;
}
