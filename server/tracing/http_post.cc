#include "server/tracing/http_post.h"

#include <curl/curl.h>

#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace diffusiond {
namespace {

// curl's own initialisation is not thread-safe.
void InitializeOnce() {
  static const CURLcode initialized = curl_global_init(CURL_GLOBAL_DEFAULT);
  static_cast<void>(initialized);
}

size_t Ignore(char*, size_t size, size_t count, void*) { return size * count; }

int EndIfGivenUp(void* give_up, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return (*static_cast<const std::function<bool()>*>(give_up))() ? 1 : 0;
}

absl::Status StatusOf(CURL* curl, CURLcode code) {
  if (code == CURLE_ABORTED_BY_CALLBACK) return absl::CancelledError("given up");
  if (code != CURLE_OK) return absl::UnavailableError(curl_easy_strerror(code));
  long answer = 0;  // NOLINT(google-runtime-int): curl's type.
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer);
  if (answer >= 200 && answer < 300) return absl::OkStatus();
  const std::string text = absl::StrCat("HTTP status ", answer);
  const bool again = answer == 429 || answer == 502 || answer == 503 || answer == 504;
  return again ? absl::UnavailableError(text) : absl::FailedPreconditionError(text);
}

}  // namespace

absl::Status CheckHttpUrl(const std::string& url) {
  const std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> parsed(curl_url(), curl_url_cleanup);
  const bool http =
      absl::StartsWithIgnoreCase(url, "http://") || absl::StartsWithIgnoreCase(url, "https://");
  if (http && curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) == CURLUE_OK) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError("no http:// or https:// URL");
}

absl::Status PostJson(const std::string& url, const std::string& body, absl::Duration timeout,
                      const std::function<bool()>& give_up) {
  InitializeOnce();
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(),
                                                                 curl_easy_cleanup);
  const std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> headers(
      curl_slist_append(nullptr, "Content-Type: application/json"), curl_slist_free_all);
  if (curl == nullptr || headers == nullptr) return absl::UnavailableError("libcurl cannot start");
  CURL* const handle = curl.get();
  curl_easy_setopt(handle, CURLOPT_URL, url.c_str());
  curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, absl::ToInt64Milliseconds(timeout));
  curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(handle, CURLOPT_POSTFIELDS, body.data());
  curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, Ignore);
  curl_easy_setopt(handle, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(handle, CURLOPT_XFERINFOFUNCTION, EndIfGivenUp);
  curl_easy_setopt(handle, CURLOPT_XFERINFODATA, &give_up);
  return StatusOf(handle, curl_easy_perform(handle));
}

}  // namespace diffusiond
