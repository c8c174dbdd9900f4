// What each field of a scheduler_config.json does here: the table behind the promise that no field
// that changes the picture is dropped in silence. The classes are those of diffusers 0.35 that have
// DDPM's noise schedule, and EDMEulerScheduler.
#ifndef DIFFUSIOND_MODEL_CHECKPOINT_SCHEDULER_FIELDS_H_
#define DIFFUSIOND_MODEL_CHECKPOINT_SCHEDULER_FIELDS_H_

#include <span>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace diffusiond {

enum class FieldUse {
  kRead,     // Acts as in diffusers.
  kNothing,  // Changes no image that is drawn here, in diffusers neither, or see `note`.
  kDefault,  // Taken at diffusers' default alone; another value is refused.
};

struct SchedulerField {
  const char* name;
  // Short names of the classes that have it, with spaces; "*": all. In a file of another class it
  // changes nothing, as in diffusers.
  const char* classes;
  FieldUse use;
  const char* note;  // Why, or what else. May be "".
};

std::span<const SchedulerField> SchedulerFields();

// Null: no class of diffusers 0.35 that is read here has such a field.
const SchedulerField* FindSchedulerField(absl::string_view name);

// "ddim" of "DDIMScheduler"; "" of a class that is not read here.
std::string ShortClassName(absl::string_view class_name);

bool ClassHasField(absl::string_view class_name, const SchedulerField& field);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_CHECKPOINT_SCHEDULER_FIELDS_H_
