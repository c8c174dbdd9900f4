// Spans in the JSON encoding of OTLP (OpenTelemetry Protocol 1.x, ExportTraceServiceRequest).
#ifndef DIFFUSIOND_SERVER_TRACING_OTLP_JSON_H_
#define DIFFUSIOND_SERVER_TRACING_OTLP_JSON_H_

#include <string>
#include <vector>

#include "server/tracing/span.h"

namespace diffusiond {

// Who sends.
struct TraceResource {
  std::string service_name = "diffusiond";
  std::string service_version;
  std::string instance_id;  // Tells replicas apart.
};

std::string OtlpJson(const TraceResource& resource, const std::vector<Span>& spans);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_TRACING_OTLP_JSON_H_
