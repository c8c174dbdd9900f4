// The flags of diffusiond, each in one place: type, name, default, help.
#ifndef DIFFUSIOND_SERVER_SERVER_FLAGS_H_
#define DIFFUSIOND_SERVER_SERVER_FLAGS_H_

#include <cstdint>
#include <string>

#include "absl/time/time.h"

// clang-format off
#define DIFFUSIOND_SERVER_FLAGS(FLAG) \
  FLAG(std::string, model_repository, "", \
       "Directory that holds one directory a model, in the layout of Hugging Face " \
       "diffusers, or with numbered versions in it (NAME/1, NAME/2, ...), of which the " \
       "newest is served; the directory's name is the model's. What in it is no good model " \
       "is refused singly; it may be empty or not be there yet, then health is " \
       "NOT_SERVING until a model is. Required.") \
  FLAG(std::string, default_model, "", \
       "Model that requests get which name none; UNAVAILABLE while it is not loaded. " \
       "Without this flag they get the only model, and where there are several, an error.") \
  FLAG(std::string, listen, "127.0.0.1:50051", \
       "host:port of the gRPC API, with TLS if --tls_cert is given; port 0 takes a free one.") \
  FLAG(std::string, http_listen, "127.0.0.1:8080", \
       "host:port of the API over HTTP: /v1/generate, and OpenAI's /v1/images/generations and " \
       "/v1/models; with TLS and access as --listen. Empty: none.") \
  FLAG(int, max_http_connections, 1024, \
       "Open connections of it; one more closes the one that has been idle the longest, or is " \
       "refused. 1 .. 1000000.") \
  FLAG(int, max_http_connections_per_address, 64, \
       "Those of one address, 1 .. 1000000.") \
  FLAG(int, max_http_header_bytes, 8 << 10, \
       "Line and headers of a request there; more is refused with 431. 1024 .. 1048576.") \
  FLAG(absl::Duration, http_request_timeout, absl::Seconds(30), \
       "A request there has this long from its first byte to the end of its body, else 408. 1s " \
       ".. inf.") \
  FLAG(absl::Duration, http_idle_timeout, absl::Minutes(1), \
       "A connection there without a request is closed after it, 1s .. inf.") \
  FLAG(std::string, metrics_listen, "127.0.0.1:9464", \
       "host:port of HTTP /metrics for Prometheus; empty: none.") \
  FLAG(bool, metrics_tls, false, \
       "Serve /metrics with TLS as --listen, clients' certificates included; no token is asked " \
       "for.") \
  FLAG(std::string, admin_listen, "", \
       "host:port where operators swap and roll back models (diffusionctl versions, swap, " \
       "rollback), with TLS as --listen; a loopback address unless --access_file says who may; " \
       "empty: none.") \
  FLAG(std::string, tls_cert, "", \
       "PEM file of the server's certificate and those between it and its authority. It and " \
       "the other files of TLS are read again when they change, for new connections; bad ones " \
       "are refused, and the old ones stay. Empty: plaintext.") \
  FLAG(std::string, tls_key, "", \
       "PEM file of that certificate's private key, without a password.") \
  FLAG(std::string, tls_client_ca, "", \
       "PEM file of the authorities that vouch for clients' certificates.") \
  FLAG(std::string, tls_client_auth, "none", \
       "Whether clients show a certificate: none, request (who has one shows it) or require.") \
  FLAG(std::string, tls_identity, "spiffe", \
       "Which name in a client's certificate is its identity: spiffe (its SPIFFE id), uri or " \
       "common_name. One with several URIs has none of the first two; of several common names " \
       "the first counts.") \
  FLAG(std::string, access_file, "", \
       "JSON file of who may call what: server/README.md says how it looks. Read again when it " \
       "changes; a bad one is refused, and the old one stays. Needs --tls_cert. Empty: " \
       "everybody may do everything.") \
  FLAG(bool, reflection, true, \
       "Tell whoever asks how the API looks (gRPC reflection, which grpcurl uses).") \
  FLAG(std::string, devices, "cpu", \
       "What draws: cpu (one worker), cpu:<workers> that split the cores, or cuda:<index>, " \
       "several with commas between; one worker each.") \
  FLAG(int, cpu_cores, 0, \
       "Cores that CPU workers use together, 1 .. 1024; 0: all.") \
  FLAG(int, micro_batch, 0, \
       "CUDA: network passes of one call, 1 .. 1024; 0: chosen by a short profile when a model " \
       "is loaded. Images depend on it in their last bits, so name it where several " \
       "servers answer for one another; receipts do. On CPUs there is none: they take any " \
       "number, to the same bytes.") \
  FLAG(absl::Duration, model_poll_interval, absl::Seconds(10), \
       "How often to look for new versions of models, and for new models, in the " \
       "repository. 10ms .. inf; 0: only at the start, and when `diffusionctl swap NAME` " \
       "asks for it.") \
  FLAG(bool, exit_on_model_error, false, \
       "End with exit status 1 if at the start a directory of the repository cannot be " \
       "served, or there is none; without it what is good is served, and the rest refused " \
       "and looked at again.") \
  FLAG(int, keep_versions, 1, \
       "Versions of a model that stay loaded, the one that is served included: more than 1 " \
       "make a rollback instant and let receipts of old versions be replayed, and take " \
       "their memory. 1 .. 100.") \
  FLAG(int64_t, max_model_memory, 0, \
       "Bytes that a model's weights and one step of it may take, as far as its " \
       "configuration tells; one that would take more is refused before it is loaded. " \
       "1048576 .. 1125899906842624; 0: half of the machine's memory, or of the control " \
       "group's limit.") \
  FLAG(int, max_queued_images, 1024, \
       "Images asked for and not finished; a request that would pass it is refused with " \
       "RESOURCE_EXHAUSTED. 1 .. 1000000.") \
  FLAG(int, max_resident_images, 256, \
       "Images of a model in progress at once, each holding device memory; the others " \
       "wait. 1 .. 1000000.") \
  FLAG(int, max_images_per_request, 64, \
       "Largest count of a request, 1 .. 10000, at most --max_queued_images.") \
  FLAG(int, max_request_bytes, 4 << 20, \
       "Largest request, over HTTP its body, which may carry init_image, mask and init_noise. " \
       "1024 .. 1073741824.") \
  FLAG(bool, accept_compressed_requests, false, \
       "Take requests that are compressed (gzip, deflate). They are expanded whole before " \
       "--max_request_bytes is looked at: 2 MB can take 2 GB, so only where every client " \
       "is trusted.") \
  FLAG(int, decoder_threads, 1, \
       "Threads that read init_image and mask, compile long plans and write large answers over " \
       "HTTP, 1 .. 256.") \
  FLAG(int, max_picture_side, 4096, \
       "Longest side, in pixels, of an init_image or mask that is to be fitted to a model; " \
       "its pixels are held while it is read. 1 .. 8192.") \
  FLAG(int, max_queued_pictures, 64, \
       "Requests with pictures or long plans that wait to be read, a quarter of them from " \
       "one address; more are refused. 1 .. 100000.") \
  FLAG(int64_t, max_waiting_bytes, int64_t{256} << 20, \
       "Memory that requests hold together while they wait and run: start pictures, masks, " \
       "noise, plans, and answers until they are taken. One address may hold three quarters; more " \
       "is refused. 16 MiB .. 1 TiB.") \
  FLAG(int, encoder_threads, 2, \
       "Threads that write PNG, WebP and JPEG, 1 .. 256.") \
  FLAG(int, max_queued_previews, 64, \
       "Previews waiting for an encoder; more are dropped. 0 .. 100000.") \
  FLAG(absl::Duration, progress_interval, absl::Milliseconds(50), \
       "A stream hears of an image's progress at most once in so long, and of its last step: an " \
       "event can take longer than a step of a small model. 0 .. 1h; 0: of every step.") \
  FLAG(absl::Duration, worker_watchdog, absl::Minutes(1), \
       "A worker whose step takes longer hangs: it is taken out and built again, and its " \
       "images go on elsewhere. 1s .. inf.") \
  FLAG(absl::Duration, priority_ageing, absl::Seconds(30), \
       "A request moves up a priority class each time that it has waited so long. 1ms .. " \
       "inf.") \
  FLAG(double, queue_share, 0.75, \
       "Part of --max_queued_images that one address may hold when nobody else holds any: " \
       "with 0.75, three times what it leaves free; and so a tenant of what its address " \
       "may hold. 0.01 .. 1; 1: all.") \
  FLAG(double, high_priority_share, 0.5, \
       "Part of the steps that priority HIGH gets while other requests wait (all of them " \
       "while none does), and of --max_queued_images as with --queue_share. 0.01 .. 1; 1: " \
       "all.") \
  FLAG(std::string, tenant_weights, "", \
       "Shares of tenants of one address inside a priority class; an address weighs as " \
       "much as its heaviest tenant. name=weight with commas between; 1 for those not " \
       "named. 0.001 .. 1000.") \
  FLAG(absl::Duration, drain_timeout, absl::Seconds(30), \
       "How long requests that run at SIGTERM may take to finish, 0 .. 24h.") \
  FLAG(absl::Duration, lame_duck, absl::ZeroDuration(), \
       "How long of that time connections may stay before they are told to go, while the port " \
       "is closed and health is NOT_SERVING: for balancers that look, as long as they take to " \
       "notice. 0 .. 24h, at most --drain_timeout.") \
  FLAG(absl::Duration, max_connection_age, absl::Minutes(30), \
       "A connection this old is told to go, so that clients find new replicas; what runs " \
       "on it goes on. 1s .. 24h, or inf.") \
  FLAG(absl::Duration, max_connection_idle, absl::Minutes(10), \
       "So is one that has had no call for this long. 1s .. 24h, or inf.") \
  FLAG(int, max_connections, 4096, \
       "Open connections of the gRPC port; one more closes the one that has had no call for the " \
       "longest, or is closed as it comes. Fewer if the machine allows fewer descriptors " \
       "(ulimit -n). 1 .. 1000000.") \
  FLAG(int, max_connections_per_address, 128, \
       "Those of one address, 1 .. 1000000.") \
  FLAG(int, max_connections_per_second, 1000, \
       "New connections a second, of --listen's port and as many of --http_listen's, twice as many " \
       "at once after a pause; more are closed as they come, before TLS's handshake. 1 .. " \
       "1000000.") \
  FLAG(int, max_connections_per_second_per_address, 200, \
       "Those of one address, 1 .. 1000000.") \
  FLAG(int, max_calls_per_connection, 100, \
       "Calls at once on one connection; more wait in the client. 1 .. 1000000.") \
  FLAG(int, max_calls, 8192, \
       "Open calls of all connections, streams of health and reflection included; more are " \
       "refused with RESOURCE_EXHAUSTED. 1 .. 1000000.") \
  FLAG(int, max_calls_per_address, 2048, \
       "Those of one address, 1 .. 1000000.") \
  FLAG(int64_t, max_transport_bytes, int64_t{256} << 20, \
       "Memory of all connections together: requests on their way in, answers on their way " \
       "out. Near it clients are slowed down, and at last calls are ended. As much of bodies " \
       "over HTTP, more of which are refused with 503. 16 MiB .. 1 TiB.") \
  FLAG(absl::Duration, stall_timeout, absl::Minutes(2), \
       "An answer of which its client takes nothing for this long is cancelled, and over HTTP " \
       "its connection closed. 1s .. inf.") \
  FLAG(std::string, log_format, "text", \
       "How the log on standard error looks: text (TIME LEVEL event key=value ...) or json (one " \
       "object a line).") \
  FLAG(std::string, log_level, "info", \
       "The least that is logged: info, warning or error.") \
  FLAG(std::string, access_log, "", \
       "File that gets one line of JSON for each call, - for standard output; the log then tells " \
       "of failures of the server alone. Opened anew when it was renamed. Empty: calls are in " \
       "the log.") \
  FLAG(int, max_queued_log_lines, 8192, \
       "Lines that wait to be written to --access_log; more are left out, and counted. 1 .. " \
       "1000000.") \
  FLAG(std::string, otlp_endpoint, "", \
       "URL that spans are posted to, as OTLP over HTTP in JSON: " \
       "http://localhost:4318/v1/traces. Empty: none are.") \
  FLAG(double, trace_ratio, 1, \
       "Part of the calls without a traceparent of their own that is traced; with one, its " \
       "caller has decided. 0 .. 1.") \
  FLAG(int, trace_every_steps, 10, \
       "A trace has a span for each n-th step of an image. 0 .. 1000000; 0: none.") \
  FLAG(int, max_queued_spans, 4096, \
       "Spans that wait for the collector; more are dropped, and counted. 1 .. 1000000.") \
  FLAG(int, refusals_logged_per_second, 10, \
       "Log lines a second that tell of refused calls, and as many of gRPC's; one line " \
       "tells how many were left out. Calls that were admitted always have theirs. 0 .. " \
       "10000; 0: only the counts.")
// clang-format on

namespace diffusiond {

// One field a flag.
struct ServerFlags {
#define DIFFUSIOND_FIELD(type, name, value, help) type name = value;
  DIFFUSIOND_SERVER_FLAGS(DIFFUSIOND_FIELD)
#undef DIFFUSIOND_FIELD
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_SERVER_FLAGS_H_
