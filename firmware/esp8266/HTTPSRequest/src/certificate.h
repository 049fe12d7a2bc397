// What the client reads in an X.509 certificate (RFC 5280) besides its key: its names and its dates. Issuers and chains are not looked at:
// the pin replaces them.
#pragma once

#include <string>

#include "settings.h"

enum class Validity { Valid, Expired, NotYetValid };

// Part of a DER encoding (X.690, section 10).
struct Der {
  const uint8_t *bytes = nullptr;
  size_t length = 0;

  bool empty() const { return length == 0; }
  // Takes the next element off; false at the end, and for what is not DER.
  bool next(uint8_t &tag, Der &content);
  bool expect(uint8_t tag, Der &content);
};

// It borrows from the DER that it was read from.
class Certificate {
 public:
  // False where the structure is not that of RFC 5280, section 4.1.
  bool read(const uint8_t *der, size_t length);

  // Both the first and the last second of its time belong to it.
  Validity validity(UnixTime time) const;

  // Whether one of its DNS names is the host's (RFC 9525): the subject does not count, case does not matter, and `*.` at the start
  // stands for exactly one label. An address must be among the certificate's addresses.
  bool isFor(const std::string &host) const;

 private:
  UnixTime notBefore = 0, notAfter = 0;
  Der altNames;
};
