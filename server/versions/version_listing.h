// What operators are shown of a model's versions.
#ifndef DIFFUSIOND_SERVER_VERSIONS_VERSION_LISTING_H_
#define DIFFUSIOND_SERVER_VERSIONS_VERSION_LISTING_H_

#include "server/models/model_admin.h"
#include "server/versions/model_repository.h"
#include "server/versions/model_state.h"

namespace diffusiond {

// Of its directory alone. Reads the records of its versions, so it is not for under a lock.
ModelVersionsInfo DescribeDirectory(const ModelDirectory& directory);
ModelVersionsInfo DescribeDirectory(const RefusedDirectory& directory);

// Adds what is loaded, held, refused and wrong.
void DescribeState(const ModelState& state, ModelVersionsInfo* model);
// Adds what is loaded alone: of a directory that is no model's any more.
void DescribeLoaded(const ModelState& state, ModelVersionsInfo* model);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_VERSIONS_VERSION_LISTING_H_
