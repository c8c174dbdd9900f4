#include "client/load/load_tables.h"

#include <cmath>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "client/text_table.h"

namespace diffusiond {
namespace {

std::string Milliseconds(double seconds) {
  if (std::isnan(seconds)) return "-";
  const double milliseconds = seconds * 1e3;
  return absl::StrFormat("%.*f", milliseconds < 99.95 ? 1 : 0, milliseconds);
}

std::string PerSecond(double rate) {
  return std::isnan(rate) ? "-" : absl::StrFormat("%.2f", rate);
}

// One line an entry, and one for all if that says more.
template <typename Cells>
std::string TableOf(const LoadReport& report, std::vector<std::string> titles, Cells cells) {
  TextTable table(std::move(titles));
  for (const LoadNumbers& entry : report.entries) table.AddRow(cells(entry));
  if (report.entries.size() != 1) table.AddRow(cells(report.all));
  return table.ToString();
}

std::string Counts(const LoadReport& report) {
  return TableOf(report,
                 {"REQUESTS", "PLANNED", "SENT", "OK", "REFUSED", "DEADLINE", "CANCELLED", "FAILED",
                  "NOT SENT"},
                 [](const LoadNumbers& n) -> std::vector<std::string> {
                   return {n.name,
                           absl::StrCat(n.planned),
                           absl::StrCat(n.sent),
                           absl::StrCat(n.ok),
                           absl::StrCat(n.refused),
                           absl::StrCat(n.deadline_exceeded),
                           absl::StrCat(n.cancelled),
                           absl::StrCat(n.failed),
                           absl::StrCat(n.not_sent)};
                 });
}

std::string Latencies(const LoadReport& report) {
  return TableOf(report,
                 {"LATENCY (ms)", "MEAN", "P50", "P90", "P99", "MAX", "PREVIEW P50", "PREVIEW P99"},
                 [](const LoadNumbers& n) -> std::vector<std::string> {
                   return {n.name,
                           Milliseconds(n.latency_mean),
                           Milliseconds(n.latency_p50),
                           Milliseconds(n.latency_p90),
                           Milliseconds(n.latency_p99),
                           Milliseconds(n.latency_max),
                           Milliseconds(n.first_preview_p50),
                           Milliseconds(n.first_preview_p99)};
                 });
}

std::string Refusals(const LoadReport& report) {
  return TableOf(report, {"REFUSED AFTER (ms)", "P50", "P99", "MAX"},
                 [](const LoadNumbers& n) -> std::vector<std::string> {
                   return {n.name, Milliseconds(n.refusal_p50), Milliseconds(n.refusal_p99),
                           Milliseconds(n.refusal_max)};
                 });
}

std::string Rates(const LoadReport& report) {
  return TableOf(report, {"IMAGES", "CAME", "PER SECOND", "WHILE SENDING", "GOOD PER SECOND"},
                 [](const LoadNumbers& n) -> std::vector<std::string> {
                   return {n.name, absl::StrCat(n.images), PerSecond(n.throughput),
                           PerSecond(n.window_throughput), PerSecond(n.goodput)};
                 });
}

const char* OutcomeName(LoadOutcome outcome) {
  switch (outcome) {
    case LoadOutcome::kOk:
      return "ok";
    case LoadOutcome::kRefused:
      return "refused";
    case LoadOutcome::kDeadlineExceeded:
      return "deadline_exceeded";
    case LoadOutcome::kCancelled:
      return "cancelled";
    case LoadOutcome::kFailed:
      return "failed";
    case LoadOutcome::kNotSent:
      return "not_sent";
    case LoadOutcome::kStopped:
      return "stopped";
  }
  return "";
}

std::string Quoted(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == text.npos) return text;
  return absl::StrCat("\"", absl::StrReplaceAll(text, {{"\"", "\"\""}}), "\"");
}

std::string Seconds(double seconds) {
  return std::isnan(seconds) ? "" : absl::StrFormat("%.6f", seconds);
}

}  // namespace

std::string LoadTables(const LoadReport& report) {
  std::string text = absl::StrCat(Counts(report), "\n", Latencies(report));
  if (report.all.refused > 0) absl::StrAppend(&text, "\n", Refusals(report));
  absl::StrAppend(&text, "\n", Rates(report), "\n");
  absl::StrAppendFormat(
      &text, "sent for %.1f s, last answer after %.1f s; 99 %% sent at most %s ms late\n",
      report.window, report.busy, Milliseconds(report.lateness_p99));
  for (const std::string& warning : report.warnings) {
    absl::StrAppend(&text, "warning: ", warning, "\n");
  }
  return text;
}

std::string LoadCsv(const LoadPlan& plan, const LoadResult& result, const std::string& label) {
  const std::string quoted = Quoted(label.substr(0, kMaxLabelBytes));
  std::string text = absl::StrCat(kLoadCsvHeader, "\n");
  for (size_t i = 0; i < result.records.size(); ++i) {
    const LoadRecord& record = result.records[i];
    const bool sent = !std::isnan(record.sent);
    absl::StrAppend(
        &text, quoted, ",", i, ",", plan.mix.entries[record.entry].name, ",", plan.requests[i].seed,
        ",", Seconds(record.intended), ",", Seconds(record.sent), ",", Seconds(record.accepted),
        ",", Seconds(record.first_preview), ",", Seconds(record.first_image), ",",
        Seconds(record.finished), ",", OutcomeName(record.outcome), ",",
        sent ? absl::StatusCodeToString(static_cast<absl::StatusCode>(record.code)) : "", ",");
    absl::StrAppend(&text, record.images, ",", record.previews, ",", record.bytes, ",",
                    record.deadline_met ? 1 : 0, ",",
                    record.pushback_ms.has_value() ? absl::StrCat(*record.pushback_ms) : "", "\n");
  }
  return text;
}

}  // namespace diffusiond
