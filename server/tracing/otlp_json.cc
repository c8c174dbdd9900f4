#include "server/tracing/otlp_json.h"

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"

namespace diffusiond {
namespace {

using Json = nlohmann::ordered_json;

// 64-bit integers are strings in this encoding, as in proto3's.
Json AnyValue(const std::string& value) { return {{"stringValue", value}}; }
Json AnyValue(int64_t value) { return {{"intValue", absl::StrCat(value)}}; }
Json AnyValue(double value) { return {{"doubleValue", value}}; }

Json AttributesOf(const std::vector<Span::Attribute>& attributes) {
  Json list = Json::array();
  for (const Span::Attribute& attribute : attributes) {
    list.push_back({{"key", attribute.key},
                    {"value", std::visit([](const auto& value) { return AnyValue(value); },
                                         attribute.value)}});
  }
  return list;
}

std::string UnixNanos(absl::Time time) { return absl::StrCat(absl::ToUnixNanos(time)); }

Json ToJson(const Span& span) {
  constexpr int kStatusError = 2;
  Json json = {{"traceId", span.trace_id}, {"spanId", span.span_id}};
  if (!span.trace_state.empty()) json["traceState"] = span.trace_state;
  if (!span.parent_id.empty()) json["parentSpanId"] = span.parent_id;
  json["name"] = span.name;
  json["kind"] = static_cast<int>(span.kind);
  json["startTimeUnixNano"] = UnixNanos(span.start);
  json["endTimeUnixNano"] = UnixNanos(span.end);
  json["attributes"] = AttributesOf(span.attributes);
  if (!span.error.empty()) json["status"] = {{"code", kStatusError}, {"message", span.error}};
  return json;
}

}  // namespace

std::string OtlpJson(const TraceResource& resource, const std::vector<Span>& spans) {
  Json list = Json::array();
  for (const Span& span : spans) list.push_back(ToJson(span));
  const Json scope = {{"name", "diffusiond"}, {"version", resource.service_version}};
  const Json attributes = AttributesOf({{"service.name", resource.service_name},
                                        {"service.version", resource.service_version},
                                        {"service.instance.id", resource.instance_id}});
  Json scope_spans = Json::object();
  scope_spans["scope"] = scope;
  scope_spans["spans"] = std::move(list);
  Json resource_spans = Json::object();
  resource_spans["resource"] = Json::object({{"attributes", attributes}});
  resource_spans["scopeSpans"] = Json::array({std::move(scope_spans)});
  Json request = Json::object();
  request["resourceSpans"] = Json::array({std::move(resource_spans)});
  return request.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace diffusiond
