// TLS 1.2 by BearSSL over the platform's connection, with a certificate that is judged by its fingerprint.
//
// BearSSL itself proves that the server holds the certificate's key: a handshake with an (EC)DHE suite ends only after a signature by that key
// over both sides' random numbers (RFC 5246, section 7.4.3). So a match is told only of a handshake that has ended.
#pragma once

#include <bearssl/bearssl.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "certificate.h"
#include "platform.h"
#include "settings.h"

// A point in time that a phase must not go beyond; it names itself.
class Deadline {
 public:
  Deadline(Platform &platform, const char *phase, uint32_t limit)
      : platform(platform), phase(phase), start(platform.now()), limit(limit) {}

  // The earlier of the two.
  static Deadline within(const Deadline &total, const char *phase, uint32_t limit);

  bool passed() const { return left() == 0; }
  uint32_t left() const {
    const uint64_t passed = platform.now() - start;
    return passed >= limit ? 0 : static_cast<uint32_t>(limit - passed);
  }
  std::string reason() const { return std::string("timeout-") + phase; }

 private:
  Platform &platform;
  const char *phase;
  uint64_t start;
  uint32_t limit;
};

// What the certificate must be.
struct Expectation {
  Fingerprint pin;
  std::optional<std::string> name;
  std::optional<UnixTime> date;
  bool goesOnAtMismatch;
};

// What was seen of the server's certificate, and why it was refused.
struct Evidence {
  std::optional<Fingerprint> fingerprint;
  std::optional<bool> pinMatches, nameMatches;
  std::optional<Validity> validity;
  const char *refusal = nullptr;
  // The certificate was simply another one than was wanted.
  bool refusedAsAnother = false;

  bool isMismatch() const;
};

class Tls {
 public:
  Tls(Platform &platform, const Expectation &expectation);
  Tls(const Tls &) = delete;
  Tls &operator=(const Tls &) = delete;

  // Each is false where it failed, and says why in reason().
  bool handshake(const std::string &host, const Deadline &deadline);
  bool send(const std::string &bytes, const Deadline &deadline);
  // Puts what comes next into `bytes`, which stay empty at the end that the server has announced.
  bool receive(std::string &bytes, const Deadline &deadline);
  // Tells the server that this is the end, and does not wait for its word.
  void close(const Deadline &deadline);

  const Evidence &evidence() const { return pinning.evidence; }
  const std::string &reason() const { return why; }

 private:
  // Judges the certificates as they come; BearSSL's way to plug in another X.509 engine.
  struct Pinning {
    const br_x509_class *vtable;
    Expectation expectation;
    Evidence evidence;
    br_x509_decoder_context key;
    std::vector<uint8_t> leaf;
    size_t certificates;

    void judge();
    void refuse(const char *reason, bool asAnother);
  };
  static const br_x509_class PINNING;

  bool pump(unsigned wanted, const Deadline &deadline);
  void sendPending();
  std::string describeError() const;

  Platform &platform;
  br_ssl_client_context client;
  Pinning pinning;
  std::vector<uint8_t> input, output;
  bool established = false;
  std::string why;
};
