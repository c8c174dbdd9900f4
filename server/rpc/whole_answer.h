// A generation that is told in one message.
#ifndef DIFFUSIOND_SERVER_RPC_WHOLE_ANSWER_H_
#define DIFFUSIOND_SERVER_RPC_WHOLE_ANSWER_H_

#include "diffusiond/v1/diffusion.pb.h"
#include "server/rpc/generation_run.h"
#include "server/rpc/stream_messages.h"

namespace diffusiond {

// Takes all events of a run whose outcome is OK.
v1::GenerateImagesResponse WholeAnswer(GenerationRun& run, const StreamMessages& messages);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_RPC_WHOLE_ANSWER_H_
