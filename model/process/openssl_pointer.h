// OpenSSL's objects with an owner.
#ifndef DIFFUSIOND_MODEL_PROCESS_OPENSSL_POINTER_H_
#define DIFFUSIOND_MODEL_PROCESS_OPENSSL_POINTER_H_

#include <memory>

namespace diffusiond {

template <auto Free>
struct OpenSslFree {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};

// OpenSslPointer<X509, X509_free>.
template <typename T, auto Free>
using OpenSslPointer = std::unique_ptr<T, OpenSslFree<Free>>;

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_PROCESS_OPENSSL_POINTER_H_
