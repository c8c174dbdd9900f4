#include "server/rpc/compressed_requests.h"

#include "grpc/compression.h"

namespace diffusiond {

void RefuseCompressedRequests(grpc::ServerBuilder* builder) {
  for (const grpc_compression_algorithm algorithm : {GRPC_COMPRESS_GZIP, GRPC_COMPRESS_DEFLATE}) {
    builder->SetCompressionAlgorithmSupportStatus(algorithm, false);
  }
}

}  // namespace diffusiond
