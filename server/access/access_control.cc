#include "server/access/access_control.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "model/files/file_status.h"
#include "model/status/status_macros.h"

namespace diffusiond {

absl::StatusOr<std::unique_ptr<AccessControl>> AccessControl::Load(Options options) {
  std::unique_ptr<AccessControl> control(new AccessControl(std::move(options)));
  if (!control->options_.tls_cert.empty()) RETURN_IF_ERROR(control->LoadTls());
  if (!control->options_.access_file.empty()) RETURN_IF_ERROR(control->LoadList());
  const bool has_files = control->tls_ != nullptr || control->list_ != nullptr;
  if (has_files && control->options_.poll_interval != absl::InfiniteDuration()) {
    control->thread_ = std::thread([control = control.get()] { control->PollUntilStopped(); });
  }
  return control;
}

std::unique_ptr<AccessControl> AccessControl::OpenToAll(std::function<absl::Time()> now) {
  Options options;
  options.now = std::move(now);
  return std::unique_ptr<AccessControl>(new AccessControl(std::move(options)));
}

AccessControl::AccessControl(Options options)
    : options_([&] {
        if (options.metrics == nullptr) options.metrics = &no_metrics_;
        return std::move(options);
      }()),
      quotas_(options_.now) {}

AccessControl::~AccessControl() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  if (thread_.joinable()) thread_.join();
}

absl::Status AccessControl::LoadTls() {
  const bool asks = options_.client_certificates != ClientCertificates::kNone;
  ReloadedFiles<TlsFiles>::Options tls;
  tls.name = "tls";
  tls.paths = {options_.tls_cert, options_.tls_key};
  if (asks) tls.paths.push_back(options_.tls_client_ca);
  tls.parse = [this, asks](const std::vector<std::string>& texts) -> absl::StatusOr<TlsFiles> {
    TlsFiles files = {.certificate_chain = texts[0], .key = texts[1], .client_ca = std::nullopt};
    if (asks) files.client_ca = texts[2];
    ASSIGN_OR_RETURN(files.expiry, CheckTlsFiles(files, options_.now()));
    return files;
  };
  tls.on_taken = [this](const TlsFiles& files) {
    options_.metrics->OnCertificateExpiry(files.expiry);
  };
  tls.log = options_.log;
  tls.metrics = options_.metrics;
  ASSIGN_OR_RETURN(tls_, ReloadedFiles<TlsFiles>::Load(std::move(tls)));
  return absl::OkStatus();
}

absl::Status AccessControl::LoadList() {
  ReloadedFiles<AccessList>::Options list;
  list.name = "access";
  list.paths = {options_.access_file};
  list.parse = [this](const std::vector<std::string>& texts) -> absl::StatusOr<AccessList> {
    absl::StatusOr<AccessList> parsed = AccessList::Parse(texts[0]);
    if (!parsed.ok()) return InFile(options_.access_file, parsed.status());
    return parsed;
  };
  list.log = options_.log;
  list.metrics = options_.metrics;
  absl::StatusOr<std::unique_ptr<ReloadedFiles<AccessList>>> loaded =
      ReloadedFiles<AccessList>::Load(std::move(list));
  if (!loaded.ok()) {
    return absl::Status(loaded.status().code(),
                        absl::StrCat("--access_file: ", loaded.status().message()));
  }
  list_ = *std::move(loaded);
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const AccessIdentity>> AccessControl::Identify(
    const Credential& credential) const {
  using Identity = std::shared_ptr<const AccessIdentity>;
  const auto unknown = [](absl::string_view why) { return absl::UnauthenticatedError(why); };
  const std::string& name = credential.certificate_name;
  if (list_ != nullptr) {
    if (credential.malformed) return unknown("an authorization that is not one bearer token");
    if (credential.token.has_value()) {
      Identity found = list_->Get()->FindByToken(*credential.token);
      if (found == nullptr) return unknown("a token that is not on the list");
      return found;
    }
  }
  if (name.empty()) {
    if (list_ != nullptr) return unknown("no credential");
    if (options_.client_certificates == ClientCertificates::kRequire) {
      return unknown("a certificate without one name of the kind that --tls_identity says");
    }
    return Identity(nullptr);
  }
  if (list_ == nullptr) {
    return std::make_shared<const AccessIdentity>(AccessIdentity{.name = name, .tenant = name});
  }
  Identity found = list_->Get()->FindByCertificate(name);
  if (found == nullptr) {
    return unknown(absl::StrCat("a certificate, of ", Quoted(name), ", that is not on the list"));
  }
  return found;
}

absl::StatusOr<std::shared_ptr<const AccessIdentity>> AccessControl::Permit(
    const Credential& credential, std::optional<Right> right) const {
  ASSIGN_OR_RETURN(auto identity, Identify(credential));
  const bool by_token = list_ != nullptr && credential.token.has_value();
  if (!by_token && identity != nullptr) {
    // Connections outlive handshakes, and resumed sessions skip what the first one checked.
    if (certificates_.Get(credential.certificate)->expiry < options_.now()) {
      return absl::UnauthenticatedError(
          absl::StrCat("the certificate of ", Quoted(credential.certificate_name), " has expired"));
    }
  }
  if (list_ == nullptr) return identity;
  if (right.has_value() && identity->rights.contains(*right)) return identity;
  return absl::PermissionDeniedError(
      absl::StrCat("identity ", Quoted(identity->name), " has not the right to"));
}

std::optional<double> AccessControl::WeightOf(const std::string& tenant) const {
  if (list_ == nullptr) return std::nullopt;
  return list_->Get()->WeightOf(tenant);
}

void AccessControl::Poll() {
  if (tls_ != nullptr) tls_->Poll();
  if (list_ != nullptr) list_->Poll();
}

void AccessControl::PollUntilStopped() {
  while (true) {
    {
      absl::MutexLock lock(&mu_);
      if (mu_.AwaitWithTimeout(absl::Condition(&stopping_), options_.poll_interval)) return;
    }
    Poll();
  }
}

}  // namespace diffusiond
