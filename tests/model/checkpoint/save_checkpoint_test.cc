// Crash safety of SaveCheckpoint: whatever happens, the directory is the old checkpoint or the new.
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/checkpoint/diffusers_directory.h"
#include "model/files/durable_write.h"
#include "tests/model/checkpoint/scratch_directory.h"
#include "tests/model/checkpoint/small_checkpoint.h"
#include "tests/testing/faulty_disk.h"

namespace diffusiond {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class SaveCheckpointTest : public ::testing::Test {
 protected:
  absl::Status Save(const OwnedTensors& tensors) {
    return SaveCheckpoint(root_, SmallConfig(), tensors.views());
  }
  std::string Digest() const {
    const absl::StatusOr<Checkpoint> checkpoint = Checkpoint::Open(root_);
    return checkpoint.ok() ? checkpoint->digest() : checkpoint.status().ToString();
  }
  // What lies beside the checkpoint.
  size_t LeftOver() const {
    size_t count = 0;
    for (const auto& entry : fs::directory_iterator(scratch_.path())) {
      if (entry.path() != root_) ++count;
    }
    return count;
  }

  ScratchDirectory scratch_;
  const fs::path root_ = scratch_ / "model";
  const OwnedTensors one_ = SmallTensors(1), two_ = SmallTensors(2);
};

TEST_F(SaveCheckpointTest, ReplacesACheckpointAndLeavesNothingBeside) {
  ASSERT_TRUE(Save(one_).ok());
  const std::string first = Digest();
  EXPECT_EQ(first.size(), 64u);
  ASSERT_TRUE(Save(two_).ok());
  EXPECT_NE(Digest(), first);
  EXPECT_EQ(LeftOver(), 0u);
}

TEST_F(SaveCheckpointTest, TakesAPathWithATrailingSlashAndAnEmptyDirectory) {
  fs::create_directory(root_);
  ASSERT_TRUE(SaveCheckpoint(root_.string() + "/", SmallConfig(), one_.views()).ok());
  EXPECT_EQ(Digest().size(), 64u);
  EXPECT_EQ(LeftOver(), 0u);
}

TEST_F(SaveCheckpointTest, AnOpenCheckpointSurvivesItsReplacement) {
  ASSERT_TRUE(Save(one_).ok());
  const absl::StatusOr<Checkpoint> old = Checkpoint::Open(root_);
  ASSERT_TRUE(Save(two_).ok());
  float value;
  std::memcpy(&value, old->tensors().at("conv_in.bias").data.data(), sizeof(value));
  EXPECT_EQ(value, 1);
}

TEST_F(SaveCheckpointTest, ForeignFilesOfTheRootAreCarriedOver) {
  ASSERT_TRUE(Save(one_).ok());
  WriteWholeFile(root_ / "README.md", "model card");
  WriteWholeFile(root_ / "generation_config.json", "{}");
  ASSERT_TRUE(Save(two_).ok());
  EXPECT_EQ(ReadWholeFile(root_ / "README.md"), "model card");
  EXPECT_FALSE(fs::exists(root_ / "generation_config.json")) << "part of the old checkpoint";
}

TEST_F(SaveCheckpointTest, DeletesNobodysDirectory) {
  WriteWholeFile(root_ / "thesis.tex", "years of work");
  absl::Status status = Save(one_);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("is not a checkpoint"));
  EXPECT_EQ(ReadWholeFile(root_ / "thesis.tex"), "years of work");
  fs::remove(root_ / "thesis.tex");

  ASSERT_TRUE(Save(one_).ok());
  const std::string digest = Digest();
  WriteWholeFile(root_ / "photos/summer.png", "");
  status = Save(two_);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("'photos'"));
  EXPECT_EQ(Digest(), digest);
  EXPECT_TRUE(fs::exists(root_ / "photos/summer.png"));
  EXPECT_EQ(LeftOver(), 0u);
}

TEST_F(SaveCheckpointTest, RefusesAFileInItsPlaceAndAParentThatIsNotThere) {
  WriteWholeFile(root_, "a file");
  EXPECT_EQ(Save(one_).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ReadWholeFile(root_), "a file");
  EXPECT_EQ(LeftOver(), 0u);
  const absl::Status status =
      SaveCheckpoint(scratch_ / "absent/model", SmallConfig(), one_.views());
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("absent"));
}

TEST_F(SaveCheckpointTest, RefusesWhatCouldNotBeReadBackAndKeepsTheOldOne) {
  ASSERT_TRUE(Save(one_).ok());
  const std::string digest = Digest();
  CheckpointConfig wrong = SmallConfig();
  wrong.unet.act_fn = "mish";
  EXPECT_FALSE(SaveCheckpoint(root_, wrong, two_.views()).ok());
  wrong = SmallConfig();
  wrong.class_names[0] = "\xff";
  EXPECT_FALSE(SaveCheckpoint(root_, wrong, two_.views()).ok());
  wrong = SmallConfig();
  wrong.null_class_id.reset();
  EXPECT_FALSE(SaveCheckpoint(root_, wrong, two_.views()).ok()) << "would be read back as 2";
  TensorMap tensors = two_.views();
  tensors.begin()->second.shape = {7};
  EXPECT_FALSE(SaveCheckpoint(root_, SmallConfig(), tensors).ok());
  EXPECT_EQ(Digest(), digest);
  EXPECT_EQ(LeftOver(), 0u);
}

// Runs `body` in a child process and returns how it ended (waitpid's status).
template <typename Body>
int RunInChild(Body body) {
  const pid_t child = fork();
  if (child == 0) {
    body();
    _exit(0);
  }
  int status = -1;
  waitpid(child, &status, 0);
  return status;
}

TEST_F(SaveCheckpointTest, AFullDiskLeavesTheOldOne) {
  ASSERT_TRUE(Save(one_).ok());
  const std::string digest = Digest();
  for (const rlim_t limit : {0, 8, 300}) {
    const int ended = RunInChild([&] {
      signal(SIGXFSZ, SIG_IGN);  // So that write() fails as it does on a full disk.
      const rlimit rule = {limit, limit};
      if (setrlimit(RLIMIT_FSIZE, &rule) != 0 || Save(two_).ok()) _exit(1);
    });
    EXPECT_TRUE(WIFEXITED(ended) && WEXITSTATUS(ended) == 0) << limit;
    EXPECT_EQ(Digest(), digest);
    EXPECT_EQ(LeftOver(), 0u) << "an error, unlike a crash, cleans up";
  }
}

TEST_F(SaveCheckpointTest, ACrashInTheMiddleOfAFileLeavesTheOldOne) {
  ASSERT_TRUE(Save(one_).ok());
  const std::string digest = Digest();
  for (const rlim_t limit : {0, 8, 300}) {
    const int ended = RunInChild([&] {
      const rlimit no_core = {0, 0}, rule = {limit, limit};
      setrlimit(RLIMIT_CORE, &no_core);
      signal(SIGXFSZ, SIG_DFL);
      setrlimit(RLIMIT_FSIZE, &rule);
      Save(two_).IgnoreError();
    });
    ASSERT_TRUE(WIFSIGNALED(ended) && WTERMSIG(ended) == SIGXFSZ) << limit;
    EXPECT_EQ(Digest(), digest);
  }
  EXPECT_EQ(LeftOver(), 3u);
  ASSERT_TRUE(Save(two_).ok()) << "what crashes left behind is in nobody's way";
  EXPECT_NE(Digest(), digest);
}

TEST_F(SaveCheckpointTest, ReadersAndKillsSeeTheOldOrTheNewNeverHalf) {
  ASSERT_TRUE(Save(one_).ok());
  const std::string first = Digest();
  ASSERT_TRUE(Save(two_).ok());
  const std::set<std::string> whole = {first, Digest()};
  ASSERT_EQ(whole.size(), 2u);
  for (int kill_number = 0; kill_number < 8; ++kill_number) {
    int ready[2];
    ASSERT_EQ(pipe(ready), 0);
    const pid_t child = fork();
    if (child == 0) {
      for (int i = 0;; ++i) {
        if (!Save(i % 2 == 0 ? one_ : two_).ok() || write(ready[1], "", 1) != 1) _exit(1);
      }
    }
    close(ready[1]);
    char byte;
    // Each save that the child reports lets the reader look once more, in the middle of the next.
    for (int look = 0; look < 3; ++look) {
      ASSERT_EQ(read(ready[0], &byte, 1), 1) << "the writer failed";
      EXPECT_TRUE(whole.contains(Digest())) << Digest();
    }
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    close(ready[0]);
    EXPECT_TRUE(whole.contains(Digest())) << Digest();
  }
}

// As on NFS: no names are exchanged.
TEST_F(SaveCheckpointTest, ReplacesACheckpointWhereNamesCannotBeExchanged) {
  ASSERT_TRUE(Save(one_).ok());
  WriteWholeFile(root_ / "README.md", "model card");
  const std::string first = Digest();
  for (const int error : {EINVAL, ENOSYS}) {
    RefuseExchange(error);
    const absl::Status status = Save(error == EINVAL ? two_ : one_);
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_EQ(Digest() == first, error != EINVAL);
    EXPECT_EQ(ReadWholeFile(root_ / "README.md"), "model card");
    EXPECT_EQ(LeftOver(), 0u);
  }
  RefuseExchange(EIO);
  EXPECT_FALSE(Save(two_).ok());
  EXPECT_EQ(Digest(), first);
  RefuseExchange(0);
}

TEST_F(SaveCheckpointTest, ACrashWithoutExchangesLeavesTheOldTheNewOrNone) {
  ASSERT_TRUE(Save(two_).ok());
  const std::string second = Digest();
  ASSERT_TRUE(Save(one_).ok());
  const std::string first = Digest();
  RefuseExchange(EINVAL);
  int absent = 0;
  for (int operation = 0;; ++operation) {
    const int ended = RunInChild([&] {
      KillAtDiskOperation(operation);
      if (!Save(two_).ok()) _exit(1);
    });
    const std::string digest = Digest();
    if (WIFEXITED(ended)) {
      EXPECT_EQ(WEXITSTATUS(ended), 0);
      EXPECT_EQ(digest, second);
      break;
    }
    EXPECT_TRUE(digest == first || digest == second || !fs::exists(root_)) << digest;
    if (!fs::exists(root_)) ++absent;
    ASSERT_TRUE(Save(one_).ok()) << "what a crash left behind is in nobody's way";
    EXPECT_EQ(Digest(), first);
  }
  EXPECT_EQ(absent, 1) << "between the two renames";
  RefuseExchange(0);
}

TEST(DurableWriteTest, AFailedReplacementLeavesTheOldFileAlone) {
  ScratchDirectory scratch;
  ASSERT_TRUE(ReplaceFile(scratch / "f", "old").ok());
  const int ended = RunInChild([&] {
    signal(SIGXFSZ, SIG_IGN);
    const rlimit rule = {2, 2};
    if (setrlimit(RLIMIT_FSIZE, &rule) != 0 || ReplaceFile(scratch / "f", "new").ok()) _exit(1);
  });
  EXPECT_TRUE(WIFEXITED(ended) && WEXITSTATUS(ended) == 0);
  EXPECT_EQ(ReadWholeFile(scratch / "f"), "old");
  EXPECT_EQ(std::distance(fs::directory_iterator(scratch.path()), fs::directory_iterator()), 1);
  ASSERT_TRUE(ReplaceFile(scratch / "f", "new").ok());
  EXPECT_EQ(ReadWholeFile(scratch / "f"), "new");
}

TEST(DurableWriteTest, NewFilesNeverOverwrite) {
  ScratchDirectory scratch;
  ASSERT_TRUE(WriteNewFile(scratch / "f", "old").ok());
  EXPECT_EQ(WriteNewFile(scratch / "f", "new").code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(ReadWholeFile(scratch / "f"), "old");
}

TEST(DurableWriteTest, SiblingsAreHiddenDistinctAndInTheSameDirectory) {
  for (const char* path : {"a/b", "a/b/", "a/./b", "b", "/b"}) {
    const fs::path one = TemporarySibling(path), two = TemporarySibling(path);
    EXPECT_NE(one, two);
    EXPECT_EQ(one.filename().string().rfind(".b.tmp-", 0), 0u) << one;
    EXPECT_EQ(ParentDirectory(one), ParentDirectory(path)) << one;
  }
  EXPECT_EQ(ParentDirectory("b"), ".");
  EXPECT_EQ(ParentDirectory("/b"), "/");
  EXPECT_EQ(ParentDirectory("a/b/"), "a");
}

}  // namespace
}  // namespace diffusiond
