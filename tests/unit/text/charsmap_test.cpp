#include "text/sentencepiece/charsmap.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"
#include "tiny_models.h"

namespace moefy::text {
namespace {

TEST(Charsmap, FindsTheLongestPrefix) {
  const Charsmap map(TinyCharsmap());
  EXPECT_EQ(map.FindPrefix("AC").replacement, "a");
  EXPECT_EQ(map.FindPrefix("AC").num_bytes, 1u);
  EXPECT_EQ(map.FindPrefix("ABC").replacement, "x y");
  EXPECT_EQ(map.FindPrefix("ABC").num_bytes, 2u);
  EXPECT_EQ(map.FindPrefix("BA").num_bytes, 0u);
  EXPECT_EQ(map.FindPrefix("").num_bytes, 0u);
  EXPECT_EQ(map.FindPrefix(std::string_view("\0A", 2)).num_bytes, 0u);
}

TEST(Charsmap, EmptyMapFindsNothing) { EXPECT_EQ(Charsmap("").FindPrefix("A").num_bytes, 0u); }

TEST(Charsmap, RefusesDamagedBlobs) {
  const std::string good = TinyCharsmap();
  tests::ExpectError(ErrorKind::kInput, {"cut short"}, [&] { Charsmap(good.substr(0, 3)); });
  tests::ExpectError(ErrorKind::kInput, {"2048"}, [&] { Charsmap(good.substr(0, 1000)); });
  tests::ExpectError(ErrorKind::kInput, {"NUL"},
                     [&] { Charsmap(good.substr(0, good.size() - 1)); });
  tests::ExpectError(ErrorKind::kInput, {"multiple of 4"},
                     [&] { Charsmap(std::string("\x03\0\0\0abcdefgh", 12)); });
}

// Whatever the units say, no step leads outside (AddressSanitizer watches).
TEST(Charsmap, SurvivesAnyUnits) {
  std::string blob = TinyCharsmap();
  uint32_t state = 1;
  size_t num_found = 0;
  for (int round = 0; round < 200; ++round) {
    for (size_t i = 4; i < 4 + 512 * 4; ++i) {
      state = state * 1664525u + 1013904223u;
      blob[i] = static_cast<char>(state >> 24);
    }
    const Charsmap map(blob);
    for (int byte = 1; byte < 256; ++byte) {
      num_found += map.FindPrefix(std::string(4, static_cast<char>(byte))).num_bytes > 0;
    }
  }
  EXPECT_LT(num_found, 200u * 255u);
}

}  // namespace
}  // namespace moefy::text
