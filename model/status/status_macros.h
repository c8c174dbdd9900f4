// What a function does with another's failure in most cases: it fails with the same status.
#ifndef DIFFUSIOND_MODEL_STATUS_STATUS_MACROS_H_
#define DIFFUSIOND_MODEL_STATUS_STATUS_MACROS_H_

#include <utility>

#include "absl/status/status.h"

// RETURN_IF_ERROR(Write(file)); returns the absl::Status unless it is OK.
#define RETURN_IF_ERROR(...)                                                                \
  do {                                                                                      \
    if (absl::Status status_or_ok = (__VA_ARGS__); !status_or_ok.ok()) return status_or_ok; \
  } while (false)

// ASSIGN_OR_RETURN(const Checkpoint checkpoint, Checkpoint::Open(path)); takes the value out of the
// absl::StatusOr, or returns its status. Two statements: not for an `if` without braces. A type
// with a comma is written `auto`.
#define ASSIGN_OR_RETURN(declaration, ...) \
  STATUS_MACROS_ASSIGN(STATUS_MACROS_NAME(status_or_, __LINE__), declaration, __VA_ARGS__)

#define STATUS_MACROS_ASSIGN(status_or, declaration, ...)    \
  auto status_or = (__VA_ARGS__);                            \
  if (!status_or.ok()) return std::move(status_or).status(); \
  declaration = *std::move(status_or)
#define STATUS_MACROS_NAME(prefix, line) STATUS_MACROS_JOIN(prefix, line)
#define STATUS_MACROS_JOIN(prefix, line) prefix##line

#endif  // DIFFUSIOND_MODEL_STATUS_STATUS_MACROS_H_
