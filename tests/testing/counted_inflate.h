// How much zlib inflates for the code under test. A program that links this puts its own inflate
// before zlib's, for the shared libraries that it uses too.
#ifndef DIFFUSIOND_TESTS_TESTING_COUNTED_INFLATE_H_
#define DIFFUSIOND_TESTS_TESTING_COUNTED_INFLATE_H_

#include <cstdint>

namespace diffusiond {

// Bytes that came out of inflate since the program began, on all threads.
int64_t InflatedBytes();

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_TESTING_COUNTED_INFLATE_H_
