// Sentences with an opinion in which the words alone do not tell it: negation turns it round, once
// or twice, and of several clauses only one decides. Pure function of the random numbers.
#pragma once

#include <string>

#include "base/random.h"
#include "hint.h"

namespace moefy::example {

// What a sentence says, in order of strength:
//   1. what stands under "although" (to the next comma or the end) does not count;
//   2. of two clauses with "but" between them the second decides;
//   3. clauses joined by "and" agree.
// A clause has one word of praise or blame, turned round by each of: not, never, hardly, nothing,
// nobody, far (from).
// Its hints: what each clause says of its aspect.
Told MakeSentence(Random& random, bool positive);

}  // namespace moefy::example
