#include "model/training/distributed/worker_environment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

namespace diffusiond {
namespace {

using Variables = std::map<std::string, std::string>;

absl::StatusOr<WorkerEnvironment> Read(const Variables& variables) {
  return ReadWorkerEnvironment([&variables](const char* name) -> const char* {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

TEST(WorkerEnvironmentTest, AloneWithoutAWorldSize) {
  for (const Variables& variables :
       {Variables{}, Variables{{"RANK", "3"}}, Variables{{"WORLD_SIZE", "1"}, {"RANK", "0"}},
        // A Kubernetes Indexed Job that is none of ours.
        Variables{{"JOB_COMPLETION_INDEX", "7"}}}) {
    const auto environment = Read(variables);
    ASSERT_TRUE(environment.ok()) << environment.status();
    EXPECT_FALSE(environment->distributed());
    EXPECT_EQ(environment->rank, 0);
  }
}

TEST(WorkerEnvironmentTest, Torchruns) {
  const auto environment = Read({{"WORLD_SIZE", "8"},
                                 {"RANK", "5"},
                                 {"LOCAL_RANK", "1"},
                                 {"LOCAL_WORLD_SIZE", "4"},
                                 {"MASTER_ADDR", "node-0"},
                                 {"MASTER_PORT", "29500"},
                                 {"TORCHELASTIC_USE_AGENT_STORE", "True"},
                                 {"TORCHELASTIC_RESTART_COUNT", "2"}});
  ASSERT_TRUE(environment.ok()) << environment.status();
  EXPECT_EQ(environment->size, 8);
  EXPECT_EQ(environment->rank, 5);
  EXPECT_EQ(environment->local_rank, 1);
  EXPECT_EQ(environment->local_size, 4);
  EXPECT_EQ(environment->master_address, "node-0");
  EXPECT_EQ(environment->master_port, 29500);
  EXPECT_TRUE(environment->launcher_listens);
  EXPECT_EQ(environment->attempt, "2");
}

TEST(WorkerEnvironmentTest, PyTorchJobsAndIndexedJobs) {
  for (const char* rank : {"RANK", "JOB_COMPLETION_INDEX"}) {
    const auto environment = Read(
        {{"WORLD_SIZE", "4"}, {rank, "3"}, {"MASTER_ADDR", "pod-0"}, {"MASTER_PORT", "23456"}});
    ASSERT_TRUE(environment.ok()) << environment.status();
    EXPECT_EQ(environment->rank, 3);
    EXPECT_EQ(environment->local_rank, 0);
    EXPECT_FALSE(environment->launcher_listens);
  }
}

TEST(WorkerEnvironmentTest, WrongVariablesAreNamed) {
  const Variables good = {
      {"WORLD_SIZE", "4"}, {"RANK", "3"}, {"MASTER_ADDR", "pod-0"}, {"MASTER_PORT", "23456"}};
  struct Wrong {
    std::string name, value;
  };
  for (const Wrong& wrong : {Wrong{"WORLD_SIZE", "four"},
                             {"WORLD_SIZE", "0"},
                             {"RANK", "4"},
                             {"RANK", "-1"},
                             {"RANK", ""},
                             {"LOCAL_RANK", "4"},
                             {"LOCAL_WORLD_SIZE", "5"},
                             {"MASTER_PORT", "0"},
                             {"MASTER_PORT", "70000"},
                             {"MASTER_ADDR", ""}}) {
    Variables variables = good;
    variables[wrong.name] = wrong.value;
    const auto environment = Read(variables);
    EXPECT_EQ(environment.status().code(), absl::StatusCode::kInvalidArgument) << wrong.name;
    EXPECT_THAT(std::string(environment.status().message()), testing::HasSubstr(wrong.name));
  }
}

}  // namespace
}  // namespace diffusiond
