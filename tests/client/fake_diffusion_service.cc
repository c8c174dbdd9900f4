#include "tests/client/fake_diffusion_service.h"

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server_builder.h"
#include "model/files/sha256.h"
#include "model/imaging/png.h"
#include "proto/metadata_keys.h"

namespace diffusiond {
namespace {

// Writes events one by one, then ends with the status, or waits for the client to cancel.
class PlayedStream : public grpc::ServerWriteReactor<v1::GenerateEvent> {
 public:
  PlayedStream(const FakeAnswers& answers, const v1::GenerateRequest& request,
               std::function<void()> on_cancel)
      : answers_(answers),
        events_(answers.events_for ? answers.events_for(request) : answers.events),
        status_(answers.status_for ? answers.status_for(request) : answers.status),
        on_cancel_(std::move(on_cancel)) {}

  void Play() { WriteNext(); }

  void OnWriteDone(bool ok) override {
    if (ok) {
      WriteNext();
    } else {
      Finish(grpc::Status::CANCELLED);
    }
  }

  void OnCancel() override {
    on_cancel_();
    bool finish = false;
    {
      absl::MutexLock lock(&mutex_);
      cancelled_ = true;
      finish = std::exchange(waiting_, false);
    }
    if (finish) Finish(grpc::Status::CANCELLED);
  }

  void OnDone() override { delete this; }

 private:
  void WriteNext() {
    if (next_ < events_.size()) {
      StartWrite(&events_[next_++]);
      return;
    }
    if (!answers_.wait_for_cancel) {
      Finish(status_);
      return;
    }
    {
      absl::MutexLock lock(&mutex_);
      waiting_ = !cancelled_;
      if (waiting_) return;
    }
    Finish(grpc::Status::CANCELLED);
  }

  const FakeAnswers& answers_;
  const std::vector<v1::GenerateEvent> events_;
  const grpc::Status status_;
  const std::function<void()> on_cancel_;
  size_t next_ = 0;
  absl::Mutex mutex_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  bool waiting_ ABSL_GUARDED_BY(mutex_) = false;  // For OnCancel to finish.
};

std::string GreyPng(int side, uint8_t level) {
  const Image image{side, side, 1, std::vector<uint8_t>(static_cast<size_t>(side) * side, level)};
  return EncodePng(image).value();
}

}  // namespace

class FakeDiffusionServer::Service : public v1::DiffusionService::CallbackService {
 public:
  explicit Service(FakeAnswers answers) : answers_(std::move(answers)) {}

  grpc::ServerWriteReactor<v1::GenerateEvent>* Generate(
      grpc::CallbackServerContext* context, const v1::GenerateRequest* request) override {
    Remember(*request);
    if (answers_.on_generate) answers_.on_generate();
    for (const auto& [key, value] : answers_.trailers) context->AddTrailingMetadata(key, value);
    auto* stream = new PlayedStream(answers_, *request, [this] {
      absl::MutexLock lock(&mutex_);
      saw_cancel_ = true;
    });
    for (PlayedStream* due : Hold(stream, CallOf(*context, *request))) due->Play();
    return stream;
  }

  grpc::ServerUnaryReactor* GenerateImages(grpc::CallbackServerContext* context,
                                           const v1::GenerateRequest* request,
                                           v1::GenerateImagesResponse* response) override {
    Remember(*request);
    *response = answers_.images;
    return Finished(context, answers_.status);
  }

  grpc::ServerUnaryReactor* ListModels(grpc::CallbackServerContext* context,
                                       const v1::ListModelsRequest*,
                                       v1::ListModelsResponse* response) override {
    for (const v1::Model& model : answers_.models) *response->add_models() = model;
    return Finished(context, grpc::Status::OK);
  }

  grpc::ServerUnaryReactor* GetModel(grpc::CallbackServerContext* context,
                                     const v1::GetModelRequest* request,
                                     v1::Model* response) override {
    for (const v1::Model& model : answers_.models) {
      if (!request->model().empty() && model.name() != request->model()) continue;
      *response = model;
      return Finished(context, grpc::Status::OK);
    }
    return Finished(
        context, {grpc::StatusCode::NOT_FOUND, absl::StrCat("no model '", request->model(), "'")});
  }

  std::optional<v1::GenerateRequest> last_request() const {
    absl::MutexLock lock(&mutex_);
    return last_request_;
  }

  std::vector<FakeCall> calls() const {
    absl::MutexLock lock(&mutex_);
    return calls_;
  }

  bool saw_cancel() const {
    absl::MutexLock lock(&mutex_);
    return saw_cancel_;
  }

 private:
  static FakeCall CallOf(const grpc::CallbackServerContext& context,
                         const v1::GenerateRequest& request) {
    const auto tenant = context.client_metadata().find(kTenantMetadata);
    const bool never = context.deadline() == std::chrono::system_clock::time_point::max();
    return {.request = request,
            .peer = context.peer(),
            .tenant = tenant == context.client_metadata().end()
                          ? ""
                          : std::string(tenant->second.data(), tenant->second.size()),
            .deadline = never ? absl::InfiniteFuture() : absl::FromChrono(context.deadline())};
  }

  // The streams that may be played now.
  std::vector<PlayedStream*> Hold(PlayedStream* stream, FakeCall call) {
    absl::MutexLock lock(&mutex_);
    calls_.push_back(std::move(call));
    held_.push_back(stream);
    if (calls_.size() < answers_.hold_until_calls) return {};
    return std::exchange(held_, {});
  }

  static grpc::ServerUnaryReactor* Finished(grpc::CallbackServerContext* context,
                                            const grpc::Status& status) {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(status);
    return reactor;
  }

  void Remember(const v1::GenerateRequest& request) {
    absl::MutexLock lock(&mutex_);
    last_request_ = request;
  }

  const FakeAnswers answers_;
  mutable absl::Mutex mutex_;
  std::optional<v1::GenerateRequest> last_request_ ABSL_GUARDED_BY(mutex_);
  std::vector<FakeCall> calls_ ABSL_GUARDED_BY(mutex_);
  std::vector<PlayedStream*> held_ ABSL_GUARDED_BY(mutex_);
  bool saw_cancel_ ABSL_GUARDED_BY(mutex_) = false;
};

class FakeDiffusionServer::HealthService : public grpc::health::v1::Health::CallbackService {
 public:
  HealthService(grpc::health::v1::HealthCheckResponse::ServingStatus health, int not_serving_first)
      : health_(health), not_serving_left_(not_serving_first) {}

  grpc::ServerUnaryReactor* Check(grpc::CallbackServerContext* context,
                                  const grpc::health::v1::HealthCheckRequest* request,
                                  grpc::health::v1::HealthCheckResponse* response) override {
    absl::MutexLock lock(&mutex_);
    const bool wait = not_serving_left_-- > 0;
    response->set_status(wait ? grpc::health::v1::HealthCheckResponse::NOT_SERVING
                         : request->service() == "liveness"
                             ? grpc::health::v1::HealthCheckResponse::SERVING
                             : health_);
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

 private:
  const grpc::health::v1::HealthCheckResponse::ServingStatus health_;
  absl::Mutex mutex_;
  int not_serving_left_ ABSL_GUARDED_BY(mutex_);
};

FakeDiffusionServer::FakeDiffusionServer(FakeAnswers answers)
    : health_(std::make_unique<HealthService>(answers.health, answers.checks_before_health)) {
  service_ = std::make_unique<Service>(std::move(answers));
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
  builder.RegisterService(service_.get());
  builder.RegisterService(health_.get());
  server_ = builder.BuildAndStart();
}

FakeDiffusionServer::~FakeDiffusionServer() { server_->Shutdown(); }

std::string FakeDiffusionServer::target() const { return absl::StrCat("127.0.0.1:", port_); }

std::optional<v1::GenerateRequest> FakeDiffusionServer::last_request() const {
  return service_->last_request();
}

std::vector<FakeCall> FakeDiffusionServer::calls() const { return service_->calls(); }

bool FakeDiffusionServer::saw_cancel() const { return service_->saw_cancel(); }

v1::Model TinyModel() {
  v1::Model model;
  model.set_name("tiny");
  model.set_digest("d1935700000000000000000000000000000000000000000000000000000000aa");
  model.set_width(4);
  model.set_height(4);
  model.set_channels(1);
  for (const char* name : {"dot", "T-shirt/top"}) {
    v1::ModelClass* added = model.add_classes();
    added->set_id(static_cast<uint32_t>(model.classes_size()) - 1);
    added->set_name(name);
  }
  model.set_has_null_class(true);
  model.set_num_parameters(1832961);
  model.set_prediction_type("epsilon");
  model.set_beta_schedule("linear");
  model.set_num_train_timesteps(1000);
  v1::SamplerInfo* ddpm = model.add_samplers();
  ddpm->set_name("ddpm");
  ddpm->set_description("ancestral sampling");
  for (const char* option : {"variance", "timestep_spacing", "clip_sample"}) {
    ddpm->add_options(option);
  }
  v1::SamplerInfo* ddim = model.add_samplers();
  ddim->set_name("ddim");
  ddim->set_description("implicit sampling");
  for (const char* option : {"eta", "timestep_spacing", "clip_sample"}) ddim->add_options(option);
  const auto add_option = [&model](const char* name, v1::OptionKind kind, const char* help) {
    v1::OptionInfo* option = model.add_options();
    option->set_name(name);
    option->set_kind(kind);
    option->set_help(help);
    return option;
  };
  add_option("eta", v1::OPTION_KIND_NUMBER, "how random")->set_high(1);
  v1::OptionInfo* spacing = add_option("timestep_spacing", v1::OPTION_KIND_WORD, "which timesteps");
  for (const char* word : {"leading", "trailing", "linspace"}) spacing->add_words(word);
  add_option("clip_sample", v1::OPTION_KIND_SWITCH, "clamp x0-hat");
  model.add_warnings("its scheduler is of another class");
  v1::UnavailableSampler* langevin = model.add_unavailable_samplers();
  langevin->set_name("annealed_langevin");
  langevin->set_reason("takes more steps");
  model.mutable_defaults()->set_sampler("ddim");
  model.mutable_defaults()->set_steps(40);
  model.mutable_defaults()->set_eta(1);
  model.mutable_defaults()->set_guidance_scale(1);
  model.mutable_defaults()->set_timestep_spacing("leading");
  model.mutable_limits()->set_max_count(64);
  model.mutable_limits()->set_max_steps(1000);
  model.mutable_limits()->set_max_guidance_scale(50);
  model.mutable_numerics()->set_server_version("0.1.0");
  model.mutable_numerics()->set_libtorch_version("1.13.1");
  model.mutable_numerics()->set_device_kind("cpu (AVX2)");
  model.mutable_numerics()->set_micro_batch(4);
  return model;
}

std::vector<v1::GenerateEvent> TinyStream(uint32_t count, uint32_t steps, uint32_t first) {
  std::vector<v1::GenerateEvent> events;
  v1::Receipt receipt;
  receipt.set_request_id("request-1");
  v1::ResolvedParameters& parameters = *receipt.mutable_parameters();
  parameters.set_model("tiny");
  parameters.set_count(count);
  parameters.set_first_image_index(first);
  parameters.set_seed(7);
  parameters.set_class_id(1);
  parameters.set_class_name("T-shirt/top");
  parameters.mutable_sampling()->set_guidance_scale(2);
  parameters.mutable_sampling()->set_sampler("ddim");
  parameters.mutable_sampling()->set_steps(steps);
  parameters.mutable_sampling()->set_eta(0.5);
  parameters.mutable_sampling()->set_timestep_spacing("leading");
  parameters.mutable_sampling()->set_clip_sample(true);
  parameters.set_format(v1::IMAGE_FORMAT_PNG);
  receipt.set_model_digest(TinyModel().digest());
  *receipt.mutable_numerics() = TinyModel().numerics();

  v1::Accepted& accepted = *events.emplace_back().mutable_accepted();
  accepted.set_request_id("request-1");
  *accepted.mutable_parameters() = parameters;
  accepted.set_width(4);
  accepted.set_height(4);
  accepted.set_channels(1);
  for (uint32_t step = 1; step <= steps; ++step) {
    for (uint32_t i = first; i < first + count; ++i) {
      v1::Progress& progress = *events.emplace_back().mutable_progress();
      progress.set_image_index(i);
      progress.set_steps_done(step);
      progress.set_steps_total(steps);
      for (const v1::PreviewKind kind : {v1::PREVIEW_KIND_X_T, v1::PREVIEW_KIND_X0_HAT}) {
        v1::Preview& preview = *events.emplace_back().mutable_preview();
        preview.set_image_index(i);
        preview.set_steps_done(step);
        preview.set_timestep(static_cast<float>(steps - step));
        preview.set_kind(kind);
        preview.set_format(v1::IMAGE_FORMAT_PNG);
        preview.set_width(4);
        preview.set_height(4);
        preview.set_data(GreyPng(4, static_cast<uint8_t>(10 * step)));
      }
    }
  }
  for (uint32_t i = first; i < first + count; ++i) {
    v1::Image& image = *events.emplace_back().mutable_image();
    image.set_image_index(i);
    image.set_format(v1::IMAGE_FORMAT_PNG);
    image.set_width(4);
    image.set_height(4);
    image.set_data(GreyPng(4, static_cast<uint8_t>(200 + i)));
    image.set_sha256(Sha256Hex(image.data()));
    receipt.add_image_sha256(image.sha256());
  }
  v1::Completed& completed = *events.emplace_back().mutable_completed();
  *completed.mutable_receipt() = receipt;
  completed.mutable_timings()->mutable_queue()->set_nanos(100000000);
  completed.mutable_timings()->mutable_compute()->set_seconds(3);
  completed.mutable_timings()->mutable_total()->set_seconds(3);
  return events;
}

}  // namespace diffusiond
