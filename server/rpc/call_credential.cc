#include "server/rpc/call_credential.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "grpc/grpc_security_constants.h"
#include "grpc/slice.h"
#include "server/access/shown_credential.h"

namespace diffusiond {
namespace {

constexpr char kAuthorization[] = "authorization";

// gRPC's name of the property. It has a SPIFFE id only for a certificate that has no other URI.
const char* PropertyOf(CertificateName kind) {
  switch (kind) {
    case CertificateName::kSpiffe:
      return GRPC_PEER_SPIFFE_ID_PROPERTY_NAME;
    case CertificateName::kUri:
      return GRPC_PEER_URI_PROPERTY_NAME;
    case CertificateName::kCommonName:
      return GRPC_X509_CN_PROPERTY_NAME;
  }
  return "";
}

// A certificate with several names of the kind has none.
void AddCertificate(std::vector<std::string> names, std::vector<std::string> certificates,
                    Credential& credential) {
  if (names.size() != 1 || certificates.size() != 1) return;
  credential.certificate_name = std::move(names[0]);
  credential.certificate = std::move(certificates[0]);
}

std::vector<std::string> Properties(const grpc::AuthContext& connection, const char* name) {
  std::vector<std::string> values;
  for (const grpc::string_ref& value : connection.FindPropertyValues(name)) {
    values.emplace_back(value.data(), value.size());
  }
  return values;
}

std::vector<std::string> Properties(const grpc_auth_context* connection, const char* name) {
  std::vector<std::string> values;
  grpc_auth_property_iterator found = grpc_auth_context_find_properties_by_name(connection, name);
  while (const grpc_auth_property* property = grpc_auth_property_iterator_next(&found)) {
    values.emplace_back(property->value, property->value_length);
  }
  return values;
}

absl::string_view Text(const grpc_slice& slice) {
  return {reinterpret_cast<const char*>(GRPC_SLICE_START_PTR(slice)), GRPC_SLICE_LENGTH(slice)};
}

}  // namespace

Credential CredentialOf(const grpc::ServerContextBase& rpc, CertificateName kind) {
  Credential credential;
  const auto [first, last] = rpc.client_metadata().equal_range(kAuthorization);
  for (auto value = first; value != last; ++value) {
    AddAuthorization({value->second.data(), value->second.size()}, credential);
  }
  const std::shared_ptr<const grpc::AuthContext> connection = rpc.auth_context();
  if (connection == nullptr || !connection->IsPeerAuthenticated()) return credential;
  AddCertificate(Properties(*connection, PropertyOf(kind)),
                 Properties(*connection, GRPC_X509_PEM_CERT_PROPERTY_NAME), credential);
  return credential;
}

Credential CredentialOf(absl::Span<const grpc_metadata> metadata,
                        const grpc_auth_context* connection, CertificateName kind) {
  Credential credential;
  for (const grpc_metadata& entry : metadata) {
    if (Text(entry.key) == kAuthorization) AddAuthorization(Text(entry.value), credential);
  }
  if (connection == nullptr || grpc_auth_context_peer_is_authenticated(connection) == 0) {
    return credential;
  }
  AddCertificate(Properties(connection, PropertyOf(kind)),
                 Properties(connection, GRPC_X509_PEM_CERT_PROPERTY_NAME), credential);
  return credential;
}

}  // namespace diffusiond
