#include "model/cpu_network/float_array.h"

#include <sys/mman.h>

#include <cstdlib>
#include <new>

namespace diffusiond {
namespace {

constexpr size_t kLine = 64;
constexpr size_t kHugePage = size_t{2} << 20;

}  // namespace

void FreeFloats::operator()(float* floats) const { std::free(floats); }

FloatArray MakeFloatArray(size_t count) {
  const size_t alignment = count * sizeof(float) >= kHugePage ? kHugePage : kLine;
  const size_t bytes = (count * sizeof(float) + alignment) / alignment * alignment;
  auto* floats = static_cast<float*>(std::aligned_alloc(alignment, bytes));
  if (floats == nullptr) throw std::bad_alloc();
  // Advice: it may be refused, and then the pages are small ones.
  if (alignment == kHugePage) (void)madvise(floats, bytes, MADV_HUGEPAGE);
  return FloatArray(floats);
}

}  // namespace diffusiond
