// What Generate and GenerateImages answer, over the real server.
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/files/sha256.h"
#include "model/imaging/png.h"
#include "model/sampling/sampler.h"
#include "tests/server/rpc/test_server.h"

namespace diffusiond {
namespace {

using ::testing::AnyOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Lt;
using ::testing::Pair;

v1::GenerateRequest Sneakers(uint32_t count, uint64_t seed) {
  v1::GenerateRequest request;
  request.set_count(count);
  request.set_seed(seed);
  request.set_class_name("sneaker");
  return request;
}

TEST(Generate, EventsComeInTheDocumentedOrder) {
  TestServer server;
  v1::GenerateRequest request = Sneakers(3, 11);
  request.mutable_preview()->set_every_steps(1);
  request.mutable_preview()->set_kind(v1::PREVIEW_KIND_BOTH);
  const std::vector<v1::GenerateEvent> events = server.Generate(request);

  ASSERT_GE(events.size(), 5u);
  EXPECT_TRUE(events.front().has_accepted());
  EXPECT_TRUE(events.back().has_completed());
  std::set<uint32_t> images;
  std::map<uint32_t, uint32_t> steps_done;
  std::map<std::pair<uint32_t, int>, uint32_t> preview_steps;
  for (size_t i = 1; i + 1 < events.size(); ++i) {
    const v1::GenerateEvent& event = events[i];
    if (event.has_progress()) {
      const v1::Progress& progress = event.progress();
      EXPECT_EQ(images.count(progress.image_index()), 0u);
      EXPECT_EQ(progress.steps_total(), 5u);
      EXPECT_GE(progress.steps_done(), steps_done[progress.image_index()]);
      steps_done[progress.image_index()] = progress.steps_done();
    } else if (event.has_preview()) {
      const v1::Preview& preview = event.preview();
      EXPECT_EQ(images.count(preview.image_index()), 0u);
      uint32_t& last = preview_steps[{preview.image_index(), preview.kind()}];
      EXPECT_GT(preview.steps_done(), last);
      last = preview.steps_done();
      EXPECT_EQ(DecodePng(preview.data())->width, 2);
      EXPECT_EQ(preview.width(), 2u);
    } else {
      ASSERT_TRUE(event.has_image()) << event.ShortDebugString();
      EXPECT_TRUE(images.insert(event.image().image_index()).second);
    }
  }
  EXPECT_THAT(images, ElementsAre(0, 1, 2));
  EXPECT_THAT(steps_done, ElementsAre(std::pair(0u, 5u), std::pair(1u, 5u), std::pair(2u, 5u)));
}

TEST(Generate, TellsOfProgressAtAnIntervalAndOfTheLastStep) {
  TestServer::Options options;
  options.server.progress_interval = absl::Hours(1);
  TestServer server(options);
  std::map<uint32_t, std::vector<uint32_t>> steps;
  for (const v1::GenerateEvent& event : server.Generate(Sneakers(3, 11))) {
    if (!event.has_progress()) continue;
    steps[event.progress().image_index()].push_back(event.progress().steps_done());
  }
  // A newer one takes the place of one that still waits, so the first told may be any.
  const auto first_and_last = AnyOf(ElementsAre(Lt(5u), 5), ElementsAre(5));
  EXPECT_THAT(steps, ElementsAre(Pair(0, first_and_last), Pair(1, first_and_last),
                                 Pair(2, first_and_last)));
}

TEST(Generate, WarnsOfWhatIsFarFromGoodImages) {
  TestServer server;
  v1::GenerateRequest request;
  EXPECT_THAT(server.Generate(request).front().accepted().warnings(), ElementsAre());
  request.mutable_sampling()->set_steps(1);
  EXPECT_THAT(server.Generate(request).front().accepted().warnings(),
              ElementsAre(HasSubstr("sampling.steps is 1; ddim")));
  v1::GenerateImagesResponse response;
  ASSERT_TRUE(server.GenerateImages(request, &response).ok());
  EXPECT_THAT(response.warnings(), ElementsAre(HasSubstr("sampling.steps is 1; ddim")));
}

TEST(Generate, AcceptedSaysWhatWasLeftOpenAndTheReceiptRepeatsIt) {
  TestServer server;
  v1::GenerateRequest request;
  request.set_class_id(1);
  const auto events = server.Generate(request);
  const v1::Accepted& accepted = events.front().accepted();
  EXPECT_EQ(accepted.request_id().size(), 16u);
  EXPECT_EQ(accepted.width(), 2u);
  EXPECT_EQ(accepted.height(), 2u);
  EXPECT_EQ(accepted.channels(), 1u);
  const v1::ResolvedParameters& parameters = accepted.parameters();
  EXPECT_EQ(parameters.model(), "clothes");
  EXPECT_EQ(parameters.count(), 1u);
  EXPECT_EQ(parameters.class_id(), 1u);
  EXPECT_EQ(parameters.class_name(), "Trouser");
  EXPECT_EQ(parameters.sampling().guidance_scale(), 2);
  EXPECT_FALSE(parameters.sampling().has_guidance_sigma_min() ||
               parameters.sampling().has_guidance_sigma_max() ||
               parameters.sampling().has_guidance_rescale());
  EXPECT_EQ(parameters.sampling().sampler(), "ddim");
  EXPECT_EQ(parameters.sampling().steps(), 5u);
  EXPECT_EQ(parameters.sampling().variance(), "") << "ddim has none";
  EXPECT_EQ(parameters.sampling().timestep_spacing(), "leading");
  EXPECT_EQ(parameters.format(), v1::IMAGE_FORMAT_PNG);

  const v1::Receipt& receipt = events.back().completed().receipt();
  EXPECT_EQ(receipt.request_id(), accepted.request_id());
  EXPECT_EQ(receipt.parameters().SerializeAsString(), parameters.SerializeAsString());
  EXPECT_EQ(receipt.model_digest(), "d1637e");
  EXPECT_EQ(receipt.numerics().device_kind(), "fake");
  EXPECT_EQ(receipt.numerics().micro_batch(), 4u);
  ASSERT_EQ(receipt.image_sha256_size(), 1);
  const v1::Image image = ImagesOf(events)[0];
  EXPECT_EQ(image.sha256(), Sha256Hex(image.data()));
  EXPECT_EQ(receipt.image_sha256(0), image.sha256());
  EXPECT_TRUE(events.back().completed().timings().has_total());
}

TEST(Generate, AReceiptReplaysToTheSameBytes) {
  TestServer server;
  v1::GenerateRequest request;
  request.set_count(2);
  request.set_class_id(0);
  request.mutable_sampling()->set_eta(0.7f);
  request.mutable_sampling()->set_guidance_sigma_max(3);
  const auto events = server.Generate(request);
  const v1::ResolvedParameters& parameters = events.back().completed().receipt().parameters();
  v1::GenerateRequest replay;
  replay.set_model(parameters.model());
  replay.set_count(parameters.count());
  replay.set_seed(parameters.seed());
  replay.set_class_id(parameters.class_id());
  replay.mutable_sampling()->set_guidance_scale(parameters.sampling().guidance_scale());
  EXPECT_EQ(parameters.sampling().guidance_sigma_max(), 3);
  replay.mutable_sampling()->set_guidance_sigma_max(parameters.sampling().guidance_sigma_max());
  replay.mutable_sampling()->set_sampler(parameters.sampling().sampler());
  replay.mutable_sampling()->set_steps(parameters.sampling().steps());
  replay.mutable_sampling()->set_eta(parameters.sampling().eta());
  replay.mutable_sampling()->set_timestep_spacing(parameters.sampling().timestep_spacing());
  replay.mutable_sampling()->set_clip_sample(parameters.sampling().clip_sample());
  replay.set_format(parameters.format());
  const auto first = ImagesOf(events);
  const auto second = ImagesOf(server.Generate(replay));
  ASSERT_EQ(first.size(), 2u);
  ASSERT_EQ(second.size(), 2u);
  for (size_t i = 0; i < 2; ++i) EXPECT_EQ(first[i].data(), second[i].data());
}

TEST(Generate, ImagesOfALongerRequestCanBeDrawnByThemselves) {
  TestServer server;
  const auto whole = ImagesOf(server.Generate(Sneakers(5, 11)));
  v1::GenerateRequest request = Sneakers(2, 11);
  request.set_first_image_index(3);
  request.mutable_preview()->set_every_steps(1);
  const auto events = server.Generate(request);
  const auto part = ImagesOf(events);
  ASSERT_EQ(part.size(), 2u);
  std::set<uint32_t> indices;
  for (const v1::GenerateEvent& event : events) {
    if (event.has_progress()) indices.insert(event.progress().image_index());
    if (event.has_preview()) indices.insert(event.preview().image_index());
  }
  EXPECT_THAT(indices, ElementsAre(3, 4));
  const v1::Receipt& receipt = events.back().completed().receipt();
  EXPECT_EQ(receipt.parameters().first_image_index(), 3u);
  for (const v1::Image& image : part) {
    ASSERT_LT(image.image_index(), whole.size());
    EXPECT_EQ(image.data(), whole[image.image_index()].data());
    EXPECT_EQ(receipt.image_sha256(static_cast<int>(image.image_index()) - 3), image.sha256());
  }
  request.clear_preview();
  v1::GenerateImagesResponse response;
  ASSERT_TRUE(server.GenerateImages(request, &response).ok());
  EXPECT_EQ(response.images(1).image_index(), 4u);
  EXPECT_EQ(response.images(1).data(), whole[4].data());
}

TEST(Generate, SeedsAreDrawnWhenAbsentAndDiffer) {
  TestServer server;
  const auto seed = [&] { return server.Generate({}).front().accepted().parameters().seed(); };
  EXPECT_NE(seed(), seed());
}

TEST(Generate, PreviewsDoNotChangeTheImages) {
  TestServer server;
  v1::GenerateRequest request = Sneakers(4, 5);
  request.set_format(v1::IMAGE_FORMAT_RAW_FLOAT32);
  const auto without = ImagesOf(server.Generate(request));
  request.mutable_preview()->set_every_steps(1);
  request.mutable_preview()->set_kind(v1::PREVIEW_KIND_BOTH);
  const auto with = ImagesOf(server.Generate(request));
  ASSERT_EQ(without.size(), 4u);
  ASSERT_EQ(with.size(), 4u);
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(without[i].data(), with[i].data()) << i;
}

TEST(Generate, RawFloatsAreTheExecutorsOwn) {
  TestServer server;
  v1::GenerateRequest request = Sneakers(1, 3);
  request.set_format(v1::IMAGE_FORMAT_RAW_FLOAT32);
  const auto images = ImagesOf(server.Generate(request));
  ASSERT_EQ(images.size(), 1u);
  TrajectorySpec spec;
  spec.plan = *TestModel().plans->Get(TestModel().defaults.sampling);
  spec.seed = 3;
  spec.class_id = 2;
  spec.guidance.scale = 2;
  const Frame expected = server.executor().fake().DrawAlone(spec);
  EXPECT_EQ(images[0].data(), std::string(reinterpret_cast<const char*>(expected.values.data()),
                                          expected.values.size() * sizeof(float)));
  EXPECT_EQ(images[0].format(), v1::IMAGE_FORMAT_RAW_FLOAT32);
}

TEST(GenerateImages, GivesTheStreamsBytes) {
  TestServer server;
  const v1::GenerateRequest request = Sneakers(5, 21);
  const auto streamed = server.Generate(request);
  v1::GenerateImagesResponse response;
  const grpc::Status status = server.GenerateImages(request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  const auto images = ImagesOf(streamed);
  ASSERT_EQ(images.size(), 5u);
  ASSERT_EQ(response.images_size(), 5);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(response.images(i).SerializeAsString(),
              images[static_cast<size_t>(i)].SerializeAsString());
    EXPECT_EQ(response.receipt().image_sha256(i), images[static_cast<size_t>(i)].sha256());
  }
  EXPECT_TRUE(response.timings().has_compute());
}

TEST(GenerateImages, RefusesPreviewsAndNamesAllFaults) {
  TestServer server;
  v1::GenerateRequest request;
  request.mutable_sampling()->set_steps(0);
  request.mutable_preview()->set_every_steps(1);
  v1::GenerateImagesResponse response;
  const grpc::Status status = server.GenerateImages(request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(BadRequestOf(status).field_violations_size(), 2);
}

TEST(Generate, FaultyRequestsGetTheStatusAndNoEvent) {
  TestServer server;
  v1::GenerateRequest request;
  request.set_count(0);
  request.mutable_sampling()->set_steps(21);
  grpc::Status status;
  EXPECT_TRUE(server.Generate(request, &status).empty());
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(BadRequestOf(status).field_violations_size(), 2);

  request.Clear();
  request.set_model("hats");
  EXPECT_TRUE(server.Generate(request, &status).empty());
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST(Generate, AFailingNetworkEndsTheStreamWithInternal) {
  TestServer::Options options;
  options.executor.task_fault = [](const StepTask& task) {
    if (task.spec->image_index != 1 || task.plan_row != 2) return absl::OkStatus();
    return absl::InternalError("NaN at timestep 8");
  };
  TestServer server(options);
  grpc::Status status;
  const auto events = server.Generate(Sneakers(2, 1), &status);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_THAT(status.error_message(), HasSubstr("NaN at timestep 8"));
  EXPECT_TRUE(events.front().has_accepted());
  EXPECT_FALSE(events.back().has_completed());
}

TEST(Models, AreListedByNameWithWhatTheyTake) {
  TestServer::Options options;
  options.models = {TestModel("zebras"), TestModel("clothes")};
  TestServer server(options);
  grpc::ClientContext context;
  v1::ListModelsResponse response;
  ASSERT_TRUE(server.stub().ListModels(&context, {}, &response).ok());
  ASSERT_EQ(response.models_size(), 2);
  EXPECT_EQ(response.models(0).name(), "clothes");
  EXPECT_EQ(response.models(1).name(), "zebras");

  grpc::ClientContext get_context;
  v1::GetModelRequest request;
  request.set_model("clothes");
  v1::Model model;
  ASSERT_TRUE(server.stub().GetModel(&get_context, request, &model).ok());
  EXPECT_EQ(model.SerializeAsString(), response.models(0).SerializeAsString());
  EXPECT_EQ(model.digest(), "d1637e");
  EXPECT_EQ(model.width(), 2u);
  EXPECT_EQ(model.channels(), 1u);
  ASSERT_EQ(model.classes_size(), 3);
  EXPECT_EQ(model.classes(2).id(), 2u);
  EXPECT_EQ(model.classes(2).name(), "Sneaker");
  EXPECT_TRUE(model.has_null_class());
  EXPECT_EQ(model.num_train_timesteps(), 20u);
  ASSERT_EQ(static_cast<size_t>(model.samplers_size()), Samplers().size());
  EXPECT_EQ(model.samplers(1).name(), "ddim");
  EXPECT_THAT(model.samplers(1).options(), Contains("eta"));
  EXPECT_EQ(model.defaults().steps(), 5u);
  EXPECT_EQ(model.defaults().guidance_scale(), 2);
  EXPECT_EQ(model.limits().max_count(), 64u);
  EXPECT_EQ(model.limits().max_steps(), 20u);
}

TEST(Models, AnUnknownOneIsNotFound) {
  TestServer server;
  grpc::ClientContext context;
  v1::GetModelRequest request;
  request.set_model("hats");
  v1::Model model;
  const grpc::Status status = server.stub().GetModel(&context, request, &model);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(status.error_message(), HasSubstr("\"clothes\""));
}

TEST(Reports, EveryCallIsCountedAndLoggedInOneLine) {
  TestServer server;
  v1::GenerateRequest request = Sneakers(2, 1);
  request.mutable_preview()->set_every_steps(5);
  server.Generate(request);
  request.Clear();
  request.set_class_name("no\nsuch class");
  grpc::Status status;
  server.Generate(request, &status);
  // The client may hear the end before the server has counted it.
  ASSERT_TRUE(server.server().Drain(absl::Now() + absl::Minutes(1)));

  EXPECT_EQ(server.metrics().started(), 2);
  EXPECT_THAT(server.metrics().finished(),
              ::testing::UnorderedElementsAre("Generate OK", "Generate INVALID_ARGUMENT"));
  EXPECT_EQ(server.metrics().images_sent(), 2);
  std::string good;
  std::string bad;
  for (const std::string& line : server.log()) {
    EXPECT_FALSE(absl::StrContains(line, "\n"));
    (absl::StrContains(line, "code=OK") ? good : bad) = line;
  }
  EXPECT_THAT(good, HasSubstr("method=Generate"));
  EXPECT_THAT(
      good, ::testing::MatchesRegex(".* model=clothes digest=[^ ]+ count=2 seed=1 class_id=2 .*"));
  EXPECT_THAT(bad, HasSubstr("code=INVALID_ARGUMENT"));
  EXPECT_THAT(bad, HasSubstr("error=\"class_name:"));
}

}  // namespace
}  // namespace diffusiond
