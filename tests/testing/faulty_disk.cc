#include "tests/testing/faulty_disk.h"

#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

namespace diffusiond {
namespace {

std::atomic<int64_t> g_operations = 0;
std::atomic<int64_t> g_kill_at = -1;
std::atomic<int> g_write_error = 0;
std::atomic<int> g_exchange_error = 0;

bool CountOperation() { return g_operations++ == g_kill_at; }

void Die() { syscall(SYS_kill, getpid(), SIGKILL); }

}  // namespace

int64_t DiskOperations() { return g_operations; }
void KillAtDiskOperation(int64_t after) { g_kill_at = g_operations + after; }
void FailWrites(int error) { g_write_error = error; }
void RefuseExchange(int error) { g_exchange_error = error; }

}  // namespace diffusiond

// Wrappers round the system calls, in place of the C library's.
extern "C" {

ssize_t write(int fd, const void* bytes, size_t count) {
  using namespace diffusiond;
  const int error = g_write_error;
  const bool die = CountOperation();
  if ((die || error != 0) && count > 1) {
    const ssize_t written = syscall(SYS_write, fd, bytes, count / 2);
    if (die) Die();
    return written;
  }
  if (die) Die();
  if (error != 0) {
    errno = error;
    return -1;
  }
  return syscall(SYS_write, fd, bytes, count);
}

int fsync(int fd) {
  if (diffusiond::CountOperation()) diffusiond::Die();
  return static_cast<int>(syscall(SYS_fsync, fd));
}

int rename(const char* from, const char* to) noexcept {
  if (diffusiond::CountOperation()) diffusiond::Die();
  return static_cast<int>(syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0));
}

int renameat2(int from_fd, const char* from, int to_fd, const char* to,
              unsigned int flags) noexcept {
  if (diffusiond::CountOperation()) diffusiond::Die();
  if (const int error = diffusiond::g_exchange_error; error != 0 && (flags & RENAME_EXCHANGE)) {
    errno = error;
    return -1;
  }
  return static_cast<int>(syscall(SYS_renameat2, from_fd, from, to_fd, to, flags));
}

int mkdir(const char* path, mode_t mode) noexcept {
  if (diffusiond::CountOperation()) diffusiond::Die();
  return static_cast<int>(syscall(SYS_mkdirat, AT_FDCWD, path, mode));
}

int unlink(const char* path) noexcept {
  if (diffusiond::CountOperation()) diffusiond::Die();
  return static_cast<int>(syscall(SYS_unlinkat, AT_FDCWD, path, 0));
}
}
