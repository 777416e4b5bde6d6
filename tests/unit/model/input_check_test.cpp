#include "model/input_check.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"

namespace moefy::model {
namespace {

TEST(CheckTokens, NamesWhatAModelCannotRead) {
  ModelConfig config;
  config.input_vocab_size = 10;
  config.position = PositionKind::kLearned;
  config.max_positions = 6;
  config.position_offset = 2;
  EXPECT_EQ(NumPositions(config), 4);
  EXPECT_NO_THROW(CheckTokens({0, 9, 0, 0}, config));
  const auto refuse = [&](const std::vector<int64_t>& ids,
                          std::initializer_list<std::string_view> fragments) {
    tests::ExpectError(ErrorKind::kInput, fragments, [&] { CheckTokens(ids, config); });
  };
  refuse({}, {"no tokens"});
  refuse({1, 10}, {"token 2 of the text is 10", "tokens 0 to 9"});
  refuse({1, -1}, {"is -1"});
  refuse({1, 1, 1, 1, 1}, {"5 tokens", "4 positions"});
  config.position = PositionKind::kRotary;  // no table to run out of
  EXPECT_EQ(NumPositions(config), 0);
  EXPECT_NO_THROW(CheckTokens({1, 1, 1, 1, 1}, config));
  refuse(std::vector<int64_t>((1 << 20) + 1, 1), {"1048577 tokens; at most 1048576"});
}

}  // namespace
}  // namespace moefy::model
