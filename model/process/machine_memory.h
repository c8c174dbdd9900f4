// How much memory the machine gives a process.
#ifndef DIFFUSIOND_MODEL_PROCESS_MACHINE_MEMORY_H_
#define DIFFUSIOND_MODEL_PROCESS_MACHINE_MEMORY_H_

#include <cstdint>
#include <filesystem>

namespace diffusiond {

// Bytes: the machine's physical memory, or the limit of this process' control group (version 1 or
// 2) or of one above it, whichever is least. `root`: where /proc and /sys are, for tests. Where
// neither can be read: the largest number.
int64_t MachineMemory(const std::filesystem::path& root = "/");

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_PROCESS_MACHINE_MEMORY_H_
