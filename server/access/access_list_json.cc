// AccessList::Parse: from JSON to identities.
#include <algorithm>
#include <initializer_list>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "model/checkpoint/json_fields.h"
#include "model/files/file_status.h"
#include "model/status/status_macros.h"
#include "server/access/access_list.h"

namespace diffusiond {
namespace {

using Json = nlohmann::json;

absl::Status CheckKnown(const Json& object, std::initializer_list<absl::string_view> known) {
  for (const auto& [key, value] : object.items()) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      return absl::InvalidArgumentError(absl::StrCat("unknown field ", Quoted(key)));
    }
  }
  return absl::OkStatus();
}

// What it says of a file that is none carries none of the file's text, of which some may be a
// token. Of two equal names in an object the parser would take the last, without a word.
absl::StatusOr<Json> ParseStrictly(absl::string_view text) {
  std::vector<std::set<std::string>> open;  // Names so far, of each object around.
  std::string twice;
  const auto note = [&](int, Json::parse_event_t event, const Json& parsed) {
    if (event == Json::parse_event_t::object_start) open.emplace_back();
    if (event == Json::parse_event_t::object_end) open.pop_back();
    if (event == Json::parse_event_t::key &&
        !open.back().insert(parsed.get<std::string>()).second) {
      if (twice.empty()) twice = parsed.get<std::string>();
    }
    return true;
  };
  Json json;
  try {
    json = Json::parse(text.begin(), text.end(), note);
  } catch (const Json::parse_error& error) {
    return absl::InvalidArgumentError(absl::StrCat("is not JSON, by its byte ", error.byte));
  } catch (const Json::exception&) {
    return absl::InvalidArgumentError("is not JSON: a number is out of range");
  }
  if (!twice.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("an object has the field ", Quoted(twice), " twice"));
  }
  if (!json.is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat("expected a JSON object, found ", json.type_name()));
  }
  return json;
}

// Their faults do not show what was found: it may be a token.
absl::Status ReadHashes(const JsonFields& fields, std::vector<std::string>* hashes) {
  const Json* const found = fields.Find("token_sha256");
  if (found == nullptr) return absl::OkStatus();
  const bool strings = found->is_array() && std::all_of(found->begin(), found->end(),
                                                        [](auto& one) { return one.is_string(); });
  if (!strings) return absl::InvalidArgumentError("token_sha256: expected a list of strings");
  *hashes = found->get<std::vector<std::string>>();
  return absl::OkStatus();
}

absl::StatusOr<Right> RightOf(const std::string& name) {
  if (name == "generate") return Right::kGenerate;
  if (name == "read") return Right::kRead;
  if (name == "admin") return Right::kAdmin;
  return absl::InvalidArgumentError(
      absl::StrCat("rights has ", Quoted(name), ", expected generate, read or admin"));
}

absl::Status ReadLimits(const Json& object, IdentityLimits* limits) {
  if (!object.is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat("expected an object, found ", object.type_name()));
  }
  RETURN_IF_ERROR(
      CheckKnown(object, {"requests_in_flight", "images_waiting", "images_per_minute"}));
  JsonFields fields(object);
  fields.Read("requests_in_flight", &limits->requests_in_flight);
  fields.Read("images_waiting", &limits->images_waiting);
  fields.Read("images_per_minute", &limits->images_per_minute);
  return fields.status();
}

absl::StatusOr<AccessIdentity> ReadIdentity(const Json& object) {
  if (!object.is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat("expected an object, found ", object.type_name()));
  }
  RETURN_IF_ERROR(CheckKnown(object, {"name", "tenant", "rights", "impersonate", "weight", "limits",
                                      "token_sha256", "certificates"}));
  AccessIdentity identity;
  std::vector<std::string> rights;
  JsonFields fields(object);
  fields.Read("name", &identity.name);
  fields.Read("tenant", &identity.tenant);
  fields.Read("rights", &rights);
  fields.Read("impersonate", &identity.impersonate);
  fields.Read("weight", &identity.weight);
  fields.Read("certificates", &identity.certificates);
  RETURN_IF_ERROR(fields.status());
  RETURN_IF_ERROR(ReadHashes(fields, &identity.token_sha256));
  if (!object.contains("tenant")) identity.tenant = identity.name;
  for (const std::string& name : rights) {
    ASSIGN_OR_RETURN(const Right right, RightOf(name));
    identity.rights.insert(right);
  }
  if (const Json* limits = fields.Find("limits"); limits != nullptr) {
    const absl::Status read = ReadLimits(*limits, &identity.limits);
    if (!read.ok()) return absl::InvalidArgumentError(absl::StrCat("limits.", read.message()));
  }
  return identity;
}

}  // namespace

absl::StatusOr<AccessList> AccessList::Parse(absl::string_view json) {
  ASSIGN_OR_RETURN(const Json object, ParseStrictly(json));
  RETURN_IF_ERROR(CheckKnown(object, {"identities"}));
  const auto listed = object.find("identities");
  if (listed == object.end() || !listed->is_array()) {
    return absl::InvalidArgumentError("identities: expected a list");
  }
  std::vector<AccessIdentity> identities;
  for (size_t i = 0; i < listed->size(); ++i) {
    absl::StatusOr<AccessIdentity> identity = ReadIdentity((*listed)[i]);
    if (!identity.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("identities[", i, "].", identity.status().message()));
    }
    identities.push_back(*std::move(identity));
  }
  return Make(std::move(identities));
}

}  // namespace diffusiond
