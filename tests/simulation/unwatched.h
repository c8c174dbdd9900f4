// What the simulation keeps for itself, and the thread sanitizer shall not look at.
//
// Under it fibers are threads as it knows them, and what orders them is what orders threads: that
// one starts or is joined, and locks. Accounts of the simulation, which every thread writes as it
// goes, have no lock: one would order all that the threads do, and no race would be seen.
#ifndef DIFFUSIOND_TESTS_SIMULATION_UNWATCHED_H_
#define DIFFUSIOND_TESTS_SIMULATION_UNWATCHED_H_

#include "absl/base/config.h"

#if defined(ABSL_HAVE_THREAD_SANITIZER) || defined(DIFFUSIOND_FIBERS_ARE_THREADS)
extern "C" {
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
}
#endif

namespace diffusiond {

// For its life, what the thread that made it reads and writes is not looked at; what it takes and
// releases is.
class Unwatched {
 public:
  Unwatched() { Begin(); }
  ~Unwatched() { End(); }
  Unwatched(const Unwatched&) = delete;

 private:
  friend class Watched;
  static void Begin() {
#if defined(ABSL_HAVE_THREAD_SANITIZER) || defined(DIFFUSIOND_FIBERS_ARE_THREADS)
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
#endif
  }
  static void End() {
#if defined(ABSL_HAVE_THREAD_SANITIZER) || defined(DIFFUSIOND_FIBERS_ARE_THREADS)
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
#endif
  }
};

// Within an Unwatched: looked at again.
class Watched {
 public:
  Watched() { Unwatched::End(); }
  ~Watched() { Unwatched::Begin(); }
  Watched(const Watched&) = delete;
};

// Points to a thing of the simulation: each call of it is Unwatched, and so are its arguments.
template <typename Thing>
class UnwatchedPtr {
 public:
  UnwatchedPtr(Thing* thing) : thing_(thing) {}  // NOLINT(google-explicit-constructor)

  struct Look {
    Thing* thing;
    Unwatched unwatched = {};
    Thing* operator->() const { return thing; }
  };
  Look operator->() const { return {thing_}; }

 private:
  Thing* thing_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_SIMULATION_UNWATCHED_H_
