// A function run in a process of its own.
#ifndef DIFFUSIOND_TESTS_TESTING_IN_CHILD_H_
#define DIFFUSIOND_TESTS_TESTING_IN_CHILD_H_

#include <signal.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

namespace diffusiond {

// Forks: this process must have no other threads. The child ends with the body's exit code, without
// destructors of what is static.
inline pid_t StartChild(const std::function<int()>& body) {
  const pid_t child = fork();
  if (child == 0) _exit(body());
  return child;
}

// The child's exit code, or -signal.
inline int WaitForChild(pid_t child) {
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

inline int InChild(const std::function<int()>& body) { return WaitForChild(StartChild(body)); }

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_TESTING_IN_CHILD_H_
