// The commands for operators: versions, swap, rollback.
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/commands/commands.h"
#include "client/commands/connection.h"
#include "client/commands/json_results.h"
#include "client/commands/security_flags.h"
#include "client/message_json.h"
#include "client/rpc_error.h"
#include "client/text_table.h"
#include "diffusiond/v1/admin.grpc.pb.h"
#include "grpcpp/client_context.h"
#include "model/process/printable_text.h"
#include "model/status/status_macros.h"

ABSL_FLAG(std::string, admin, "127.0.0.1:50052",
          "=HOST[:PORT]: where the server listens for operators (its --admin_listen)");

namespace diffusiond {
namespace {

int ReportAdminError(const absl::Status& status, CommandContext& context) {
  if (!IsUnreachable(status) && !absl::IsUnimplemented(status)) {
    return ReportError(status, context);
  }
  *context.err << "diffusionctl: " << absl::StatusCodeToString(status.code()) << ": "
               << PrintableLines(status.message())
               << "\n  The server listens for operators only if it was "
               << "started with --admin_listen=HOST:PORT;\n  name that with --admin=HOST:PORT.\n";
  return kExitFailed;
}

// One call on the address of --admin.
template <typename Request, typename Response>
absl::StatusOr<Response> Call(grpc::Status (v1::ModelAdmin::Stub::*method)(grpc::ClientContext*,
                                                                           const Request&,
                                                                           Response*),
                              const Request& request, CommandContext& context) {
  const std::string target = WithDefaultPort(absl::GetFlag(FLAGS_admin), kDefaultAdminPort);
  ASSIGN_OR_RETURN(const ClientOptions options, ClientOptionsByFlags());
  ASSIGN_OR_RETURN(const auto client, DiffusionClient::Connect(target, options));
  v1::ModelAdmin::Stub stub(client->channel());
  grpc::ClientContext call;
  const absl::Duration timeout = absl::GetFlag(FLAGS_deadline).value;
  if (timeout != absl::InfiniteDuration()) {
    call.set_deadline(absl::ToChronoTime(context.now() + timeout));
  }
  const CancellationWatcher watcher(context.cancellation, [&call] { call.TryCancel(); });
  Response response;
  const grpc::Status finished = (stub.*method)(&call, request, &response);
  if (!finished.ok()) return StatusFromRpc(finished, target, timeout);
  return response;
}

std::string StateName(const v1::ModelVersions& model, const v1::ModelVersion& version) {
  std::string text;
  switch (version.state()) {
    case v1::VERSION_STATE_SERVING:
      text = "serving";
      break;
    case v1::VERSION_STATE_KEPT:
      text = "kept";
      break;
    case v1::VERSION_STATE_DRAINING:
      text = "draining";
      break;
    case v1::VERSION_STATE_REFUSED:
      text = "refused";
      break;
    default:
      text = "on disk";
  }
  if (version.version() > 0 && version.version() == model.pinned()) text += ", pinned";
  if (version.version() > 0 && version.version() == model.held()) text += ", held";
  return text;
}

void Print(const std::vector<v1::ModelVersions>& models, CommandContext& context) {
  constexpr size_t kDigestShown = 12;
  TextTable table({"MODEL", "VERSION", "STATE", "DIGEST", "PUBLISHED"});
  std::string refusals;
  for (const v1::ModelVersions& model : models) {
    if (model.versions().empty()) table.AddRow({model.model(), "-", "refused", "-", "-"});
    for (const v1::ModelVersion& version : model.versions()) {
      const std::string number = version.version() > 0 ? absl::StrCat(version.version()) : "-";
      table.AddRow({model.model(), number, StateName(model, version),
                    version.digest().empty() ? "-" : version.digest().substr(0, kDigestShown),
                    version.published().empty() ? "-" : version.published()});
      if (!version.refusal().empty()) {
        absl::StrAppend(&refusals, Printable(model.model()), " ", number,
                        " was refused: ", Printable(version.refusal()), "\n");
      }
    }
    if (!model.problem().empty()) {
      absl::StrAppend(&refusals, Printable(model.model()), ": ", Printable(model.problem()), "\n");
    }
  }
  *context.out << table.ToString() << refusals;
}

int RunVersions(const std::vector<std::string>& arguments, CommandContext& context) {
  v1::ListVersionsRequest request;
  if (!arguments.empty()) request.set_model(arguments[0]);
  const auto response = Call(&v1::ModelAdmin::Stub::ListVersions, request, context);
  if (!response.ok()) return ReportAdminError(response.status(), context);
  if (absl::GetFlag(FLAGS_json)) {
    *context.out << MessageJson(*response);
  } else {
    Print({response->models().begin(), response->models().end()}, context);
  }
  return kExitOk;
}

template <typename Request>
int RunChange(grpc::Status (v1::ModelAdmin::Stub::*method)(grpc::ClientContext*, const Request&,
                                                           v1::ModelVersions*),
              const std::vector<std::string>& arguments, CommandContext& context,
              v1::ModelVersions* changed) {
  Request request;
  request.set_model(arguments[0]);
  uint32_t version = 0;
  if (arguments.size() > 1 && (!absl::SimpleAtoi(arguments[1], &version) || version == 0)) {
    *context.err << "diffusionctl: VERSION is '" << arguments[1]
                 << "', expected a number from 1 on\n";
    return kExitUsage;
  }
  request.set_version(version);
  const auto response = Call(method, request, context);
  if (!response.ok()) return ReportAdminError(response.status(), context);
  if (absl::GetFlag(FLAGS_json)) {
    *context.out << MessageJson(*response);
  } else {
    Print({*response}, context);
  }
  *changed = *response;
  return kExitOk;
}

// 0: none is served, or the versions have no numbers.
uint32_t ServingVersion(const v1::ModelVersions& model) {
  for (const v1::ModelVersion& version : model.versions()) {
    if (version.state() == v1::VERSION_STATE_SERVING) return version.version();
  }
  return 0;
}

int RunSwap(const std::vector<std::string>& arguments, CommandContext& context) {
  v1::ModelVersions model;
  const int code = RunChange(&v1::ModelAdmin::Stub::LoadVersion, arguments, context, &model);
  if (code != kExitOk || arguments.size() > 1 || model.pinned() > 0) return code;
  const uint32_t serving = ServingVersion(model);
  for (const v1::ModelVersion& version : model.versions()) {
    if (version.version() <= serving || version.state() != v1::VERSION_STATE_REFUSED) continue;
    *context.err << "diffusionctl: swapped to version " << serving
                 << ", for newer versions were refused\n";
    return kExitNotNewest;
  }
  return kExitOk;
}

int RunRollback(const std::vector<std::string>& arguments, CommandContext& context) {
  v1::ModelVersions model;
  return RunChange(&v1::ModelAdmin::Stub::Rollback, arguments, context, &model);
}

}  // namespace

Command VersionsCommand() {
  return {.name = "versions",
          .arguments = "[NAME]",
          .summary = "for operators: list the models' versions and what becomes of them",
          .details =
              "Also directories of the repository that are not served, and why not. A\n"
              "version is a directory named by a whole number, 1 .. 999999999, in digits\n"
              "alone (\"007\" is version 7); the highest number is the newest.\n",
          .flags = WithSecurityFlags({"admin", "deadline", "json"}),
          .max_arguments = 1,
          .run = RunVersions};
}

Command SwapCommand() {
  return {.name = "swap",
          .arguments = "NAME [VERSION]",
          .summary = "for operators: serve another version of a model",
          .details =
              "Without VERSION the newest (or the pinned) one, and from then on whatever is\n"
              "newer. With VERSION that one, whatever is published, until the next swap or\n"
              "the server's end. Ends when it is served, or with 1 and the reason why not;\n"
              "then the old one is served on. Without VERSION it ends with 3 if it swapped,\n"
              "but only to the newest good one: those above it were refused.\n",
          .flags = WithSecurityFlags({"admin", "deadline", "json"}),
          .min_arguments = 1,
          .max_arguments = 2,
          .run = RunSwap};
}

Command RollbackCommand() {
  return {.name = "rollback",
          .arguments = "NAME [VERSION]",
          .summary = "for operators: go back to the version served before",
          .details =
              "The server holds to it; `diffusionctl swap NAME` goes forward again. To hold\n"
              "all servers, also after a restart: diffusion-publish --pin=VERSION.\n",
          .flags = WithSecurityFlags({"admin", "deadline", "json"}),
          .min_arguments = 1,
          .max_arguments = 2,
          .run = RunRollback};
}

}  // namespace diffusiond
