// A run as text: tables for people, comma-separated records for programs.
#ifndef DIFFUSIOND_CLIENT_LOAD_LOAD_TABLES_H_
#define DIFFUSIOND_CLIENT_LOAD_LOAD_TABLES_H_

#include <cstddef>
#include <string>

#include "client/load/load_report.h"

namespace diffusiond {

inline constexpr size_t kMaxLabelBytes = 200;

// Counts, times in milliseconds and rates, by entry and in all, and the warnings. Ends with a
// newline.
std::string LoadTables(const LoadReport& report);

// One line for each planned request, in the plan's order, behind this header:
inline constexpr char kLoadCsvHeader[] =
    "label,request,entry,seed,intended_s,sent_s,accepted_s,first_preview_s,first_image_s,finished_"
    "s,"
    "outcome,code,images,previews,bytes,deadline_met,pushback_ms";
// label: what the run was called, at most kMaxLabelBytes (the rest is left out). request: its index
// in the plan. ..._s: seconds from the start of the run; empty: it never happened. outcome: ok,
// refused, deadline_exceeded, cancelled, failed, not_sent (too many in flight) or stopped. code:
// gRPC's, by name; empty: not sent. images, previews: how many came, and bytes: their sum.
// deadline_met: 1 for ok and within the deadline, if there was one. pushback_ms: when the server
// wanted a refused request again; empty: it did not say.
std::string LoadCsv(const LoadPlan& plan, const LoadResult& result, const std::string& label);

}  // namespace diffusiond

#endif  // DIFFUSIOND_CLIENT_LOAD_LOAD_TABLES_H_
