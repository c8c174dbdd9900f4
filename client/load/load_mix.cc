#include "client/load/load_mix.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/diffusion_client.h"
#include "client/sampling_options.h"
#include "model/status/status_macros.h"
#include "proto/option_fields.h"

namespace diffusiond {
namespace {

// A key of an entry that is no sampling option. `set` returns false for a value that is not
// allowed.
struct Key {
  const char* name;
  std::string allowed;
  bool (*set)(absl::string_view value, LoadEntry& entry);
};

bool ParseWhole(absl::string_view text, uint32_t least, uint32_t most, uint32_t* number) {
  return absl::SimpleAtoi(text, number) && *number >= least && *number <= most;
}

// "30" is 30 seconds; "1.5s", "2m" as absl::Duration.
bool ParseTime(absl::string_view text, absl::Duration* time) {
  double seconds = 0;
  if (absl::SimpleAtod(text, &seconds)) {
    if (std::isnan(seconds)) return false;
    *time = absl::Seconds(seconds);
  } else if (!absl::ParseDuration(text, time)) {
    return false;
  }
  return *time > absl::ZeroDuration() && *time <= kMaxEntryTime;
}

template <typename Enum>
bool ParseName(absl::string_view text,
               std::initializer_list<std::pair<absl::string_view, Enum>> names, Enum* value) {
  for (const auto& [name, meant] : names) {
    if (name != text) continue;
    *value = meant;
    return true;
  }
  return false;
}

bool SetClass(absl::string_view value, LoadEntry& entry) {
  uint32_t id = 0;
  if (absl::SimpleAtoi(value, &id)) {
    entry.request.set_class_id(id);
  } else {
    entry.request.set_class_name(std::string(value));
  }
  return !value.empty();
}

bool SetPriority(absl::string_view value, LoadEntry& entry) {
  v1::Priority priority;
  if (!ParseName<v1::Priority>(
          value,
          {{"high", v1::PRIORITY_HIGH}, {"normal", v1::PRIORITY_NORMAL}, {"low", v1::PRIORITY_LOW}},
          &priority)) {
    return false;
  }
  entry.request.set_priority(priority);
  return true;
}

bool SetFormat(absl::string_view value, LoadEntry& entry) {
  v1::ImageFormat format;
  if (!ParseName<v1::ImageFormat>(value,
                                  {{"png", v1::IMAGE_FORMAT_PNG},
                                   {"webp", v1::IMAGE_FORMAT_WEBP},
                                   {"jpeg", v1::IMAGE_FORMAT_JPEG},
                                   {"raw", v1::IMAGE_FORMAT_RAW_FLOAT32}},
                                  &format)) {
    return false;
  }
  entry.request.set_format(format);
  return true;
}

bool SetPreviewKind(absl::string_view value, LoadEntry& entry) {
  v1::PreviewKind kind;
  if (!ParseName<v1::PreviewKind>(value,
                                  {{"x_t", v1::PREVIEW_KIND_X_T},
                                   {"x0", v1::PREVIEW_KIND_X0_HAT},
                                   {"both", v1::PREVIEW_KIND_BOTH}},
                                  &kind)) {
    return false;
  }
  entry.request.mutable_preview()->set_kind(kind);
  return true;
}

bool SetTenant(absl::string_view value, LoadEntry& entry) {
  entry.tenant = std::string(value);
  return !value.empty() && CheckTenant(entry.tenant).ok();
}

bool SetModel(absl::string_view value, LoadEntry& entry) {
  entry.request.set_model(std::string(value));
  return !value.empty();
}
bool SetOption(const OptionSpec& option, absl::string_view text, LoadEntry& entry) {
  const std::optional<OptionValue> value = FromText(option, text);
  if (!value.has_value() || !FaultOf(option, *value).empty()) return false;
  WriteOption(option, *value, entry.request.mutable_sampling());
  return true;
}

bool SetCount(absl::string_view value, LoadEntry& entry) {
  uint32_t count = 0;
  if (!ParseWhole(value, 1, kMaxEntryCount, &count)) return false;
  entry.request.set_count(count);
  return true;
}

bool SetPreviewEvery(absl::string_view value, LoadEntry& entry) {
  uint32_t every = 0;
  if (!ParseWhole(value, 0, kMaxEntrySteps, &every)) return false;
  entry.request.mutable_preview()->set_every_steps(every);
  return true;
}

bool SetPreviewMaxSide(absl::string_view value, LoadEntry& entry) {
  uint32_t side = 0;
  if (!absl::SimpleAtoi(value, &side)) return false;
  entry.request.mutable_preview()->set_max_side(side);
  return true;
}

bool SetWeight(absl::string_view value, LoadEntry& entry) {
  return absl::SimpleAtod(value, &entry.weight) && entry.weight > 0 &&
         entry.weight <= kMaxEntryWeight;
}

const std::vector<Key>& Keys() {
  static const auto* const keys = new std::vector<Key>{
      {"weight", absl::StrCat("a number above 0, at most ", kMaxEntryWeight), SetWeight},
      {"model", "a name", SetModel},
      {"count", absl::StrCat("a whole number 1 .. ", kMaxEntryCount), SetCount},
      {"class", "a name without blanks, or an id", SetClass},
      {"preview_every", absl::StrCat("a whole number 0 .. ", kMaxEntrySteps), SetPreviewEvery},
      {"preview", "x_t, x0 or both", SetPreviewKind},
      {"preview_max_side", "a whole number", SetPreviewMaxSide},
      {"format", "png, webp, jpeg or raw", SetFormat},
      {"priority", "high, normal or low", SetPriority},
      {"tenant", absl::StrCat("1 .. ", kMaxTenantBytes, " printable ASCII characters"), SetTenant},
      {"deadline",
       absl::StrCat("a time such as 10s, at most ", absl::FormatDuration(kMaxEntryTime)),
       [](absl::string_view value, LoadEntry& entry) { return ParseTime(value, &entry.deadline); }},
      {"cancel_after",
       absl::StrCat("a time such as 2s, at most ", absl::FormatDuration(kMaxEntryTime)),
       [](absl::string_view value, LoadEntry& entry) {
         return ParseTime(value, &entry.cancel_after);
       }},
  };
  return *keys;
}

bool IsEntryName(absl::string_view name) {
  return !name.empty() && name.size() <= kMaxEntryNameBytes &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return absl::ascii_isalnum(c) || c == '_' || c == '-' || c == '.';
         });
}

std::string KeyNames() {
  std::vector<absl::string_view> names;
  for (const Key& key : Keys()) names.push_back(key.name);
  for (const OptionSpec& option : SamplingOptionSpecs()) names.push_back(option.name);
  return absl::StrJoin(names, ", ");
}

absl::Status SetKey(absl::string_view word, std::vector<absl::string_view>& seen,
                    LoadEntry& entry) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(word, absl::MaxSplits('=', 1));
  const auto [name, value] = parts;
  const std::string where = absl::StrCat("mix entry '", entry.name, "': ");
  const auto key = std::find_if(Keys().begin(), Keys().end(),
                                [name = name](const Key& key) { return name == key.name; });
  const OptionSpec* const option = FindSamplingOption(name);
  if (key == Keys().end() && option == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, "unknown key '", name, "' in '", word, "', expected ", KeyNames()));
  }
  if (std::find(seen.begin(), seen.end(), name) != seen.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, name, "='", value, "' is given a second time, expected each key once"));
  }
  seen.push_back(name);
  const bool is_set = option != nullptr ? SetOption(*option, value, entry) : key->set(value, entry);
  if (!is_set) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, name, "='", value, "', expected ",
                     option != nullptr ? ValuesOf(*option) : key->allowed));
  }
  return absl::OkStatus();
}

absl::StatusOr<LoadEntry> ParseEntry(absl::string_view text) {
  const std::vector<absl::string_view> words =
      absl::StrSplit(text, absl::ByAnyChar(" \t\n"), absl::SkipEmpty());
  LoadEntry entry;
  if (words.empty() || !IsEntryName(words[0])) {
    return absl::InvalidArgumentError(absl::StrCat(
        "mix entry '", words.empty() ? "" : words[0], "': a name is expected first, of 1 .. ",
        kMaxEntryNameBytes, " letters, digits, '_', '-' or '.'"));
  }
  entry.name = std::string(words[0]);
  std::vector<absl::string_view> seen;
  for (size_t i = 1; i < words.size(); ++i) {
    RETURN_IF_ERROR(SetKey(words[i], seen, entry));
  }
  return entry;
}

}  // namespace

absl::StatusOr<LoadMix> ParseLoadMix(absl::string_view text) {
  if (text.size() > kMaxMixBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("the mix has ", text.size(), " bytes, at most ", kMaxMixBytes));
  }
  // A ';' behind the last entry is no fault.
  text = absl::StripAsciiWhitespace(text);
  if (!text.empty() && text.back() == ';') text.remove_suffix(1);
  LoadMix mix;
  for (const absl::string_view part : absl::StrSplit(text, ';')) {
    ASSIGN_OR_RETURN(LoadEntry entry, ParseEntry(part));
    mix.entries.push_back(std::move(entry));
  }
  RETURN_IF_ERROR(CheckLoadMix(mix));
  return mix;
}

absl::Status CheckLoadMix(const LoadMix& mix) {
  if (mix.entries.empty() || mix.entries.size() > kMaxMixEntries) {
    return absl::InvalidArgumentError(absl::StrCat("the mix has ", mix.entries.size(),
                                                   " entries, expected 1 .. ", kMaxMixEntries));
  }
  for (size_t i = 0; i < mix.entries.size(); ++i) {
    const LoadEntry& entry = mix.entries[i];
    if (!(entry.weight > 0) || entry.weight > kMaxEntryWeight) {
      return absl::InvalidArgumentError(
          absl::StrCat("mix entry '", entry.name, "': weight='", entry.weight,
                       "', expected a number above 0, at most ", kMaxEntryWeight));
    }
    for (size_t j = 0; j < i; ++j) {
      if (mix.entries[j].name != entry.name) continue;
      return absl::InvalidArgumentError(
          absl::StrCat("mix entry '", entry.name, "': the name is given twice"));
    }
  }
  return absl::OkStatus();
}

}  // namespace diffusiond
