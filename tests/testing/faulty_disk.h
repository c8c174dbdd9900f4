// A disk that fails, or a machine that dies, at a chosen moment of writing. Linking faulty_disk.cc
// puts it between the program and the C library.
#ifndef DIFFUSIOND_TESTS_TESTING_FAULTY_DISK_H_
#define DIFFUSIOND_TESTS_TESTING_FAULTY_DISK_H_

#include <cstdint>

namespace diffusiond {

// How often write, fsync, rename, renameat2, mkdir and unlink were called by name. What stdio and
// iostreams write is not seen.
int64_t DiskOperations();

// The operation after so many more sends SIGKILL to this process, a write after half of its bytes.
// 0: the next one.
void KillAtDiskOperation(int64_t after);

// From now on, writes fail with `error` (ENOSPC, EROFS) after half of their bytes; 0: they work.
void FailWrites(int error);

// From now on, renameat2 refuses to exchange names with `error` (EINVAL as NFS, ENOSYS); 0: it
// does.
void RefuseExchange(int error);

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_TESTING_FAULTY_DISK_H_
