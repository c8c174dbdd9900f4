// Metadata of calls that server and clients must spell alike.
#ifndef DIFFUSIOND_PROTO_METADATA_KEYS_H_
#define DIFFUSIOND_PROTO_METADATA_KEYS_H_

namespace diffusiond {

// On whose behalf a call is made (diffusion.proto), 1 .. 128 bytes.
inline constexpr char kTenantMetadata[] = "diffusiond-tenant";

}  // namespace diffusiond

#endif  // DIFFUSIOND_PROTO_METADATA_KEYS_H_
