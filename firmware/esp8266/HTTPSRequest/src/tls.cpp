#include "tls.h"

#include <string.h>

// The core gives the engine a stack of its own: a sketch's has 4 KB, and elliptic curves want more. The caller of Tls holds a reference to it.
#ifdef ARDUINO_ARCH_ESP8266
#include <WiFiClientSecure.h>
using namespace BearSSL;
#define ON_ITS_OWN_STACK(function) thunk_##function
#else
#define ON_ITS_OWN_STACK(function) function
#endif

namespace {

// Suites whose server signs the handshake, with authenticated encryption.
const uint16_t SUITES[] = {
    BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, BR_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,       BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    BR_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,       BR_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
};

// A request fits in one record; what is longer goes out in several.
constexpr size_t OUTPUT_BYTES = 512 + 85;
// No leaf is longer; a chip has 40 KB for everything.
constexpr size_t LONGEST_LEAF = 8192;

// TLS's alerts (RFC 8446, section 6) under their registered names.
const char *alertName(unsigned code) {
  switch (code) {
    case 0: return "close-notify";
    case 10: return "unexpected-message";
    case 20: return "bad-record-mac";
    case 22: return "record-overflow";
    case 40: return "handshake-failure";
    case 42: return "bad-certificate";
    case 43: return "unsupported-certificate";
    case 44: return "certificate-revoked";
    case 45: return "certificate-expired";
    case 46: return "certificate-unknown";
    case 47: return "illegal-parameter";
    case 48: return "unknown-ca";
    case 49: return "access-denied";
    case 50: return "decode-error";
    case 51: return "decrypt-error";
    case 70: return "protocol-version";
    case 71: return "insufficient-security";
    case 80: return "internal-error";
    case 86: return "inappropriate-fallback";
    case 90: return "user-canceled";
    case 109: return "missing-extension";
    case 110: return "unsupported-extension";
    case 112: return "unrecognized-name";
    case 116: return "certificate-required";
    case 120: return "no-application-protocol";
    default: return nullptr;
  }
}

const char *engineError(int error) {
  switch (error) {
    case BR_ERR_UNSUPPORTED_VERSION:
    case BR_ERR_BAD_VERSION: return "protocol-version";
    case BR_ERR_TOO_LARGE: return "record-too-long";
    case BR_ERR_BAD_MAC: return "bad-record-mac";
    case BR_ERR_BAD_LENGTH:
    case BR_ERR_UNKNOWN_TYPE: return "malformed-record";
    case BR_ERR_UNEXPECTED: return "unexpected-message";
    case BR_ERR_BAD_CIPHER_SUITE:
    case BR_ERR_BAD_COMPRESSION: return "illegal-server-hello";
    case BR_ERR_EXTRA_EXTENSION: return "unsupported-extension";
    case BR_ERR_BAD_FINISHED: return "bad-finished";
    default: return nullptr;
  }
}

}  // namespace

Deadline Deadline::within(const Deadline &total, const char *phase, uint32_t limit) {
  return total.left() < limit ? total : Deadline(total.platform, phase, limit);
}

bool Evidence::isMismatch() const {
  return pinMatches == false || nameMatches == false || (validity && *validity != Validity::Valid);
}

void Tls::Pinning::refuse(const char *reason, bool asAnother) {
  // The first refusal is the cause; what follows is its consequence.
  if (evidence.refusal == nullptr) {
    evidence.refusal = reason;
    evidence.refusedAsAnother = asAnother;
  }
}

void Tls::Pinning::judge() {
  const bool stops = !expectation.goesOnAtMismatch;
  const bool pinMatches = expectation.pin.matches(leaf.data(), leaf.size());
  evidence.fingerprint = Fingerprint::sha1(leaf.data(), leaf.size());
  evidence.pinMatches = pinMatches;
  if (!pinMatches && stops) return refuse("pin-mismatch", true);

  Certificate certificate;
  if (!certificate.read(leaf.data(), leaf.size())) return refuse("malformed-certificate", false);
  if (expectation.name) {
    evidence.nameMatches = certificate.isFor(*expectation.name);
    if (!*evidence.nameMatches && stops) return refuse("name-mismatch", true);
  }
  if (expectation.date) {
    evidence.validity = certificate.validity(*expectation.date);
    if (*evidence.validity == Validity::Expired && stops) return refuse("expired", true);
    if (*evidence.validity == Validity::NotYetValid && stops) return refuse("not-yet-valid", true);
  }
  br_x509_decoder_push(&key, leaf.data(), leaf.size());
  if (br_x509_decoder_get_pkey(&key) == nullptr) refuse("unsupported-key", false);
}

const br_x509_class Tls::PINNING = {
    sizeof(Tls::Pinning),
    // A chain begins.
    [](const br_x509_class **context, const char *) {
      Pinning &pinning = *reinterpret_cast<Pinning *>(context);
      pinning.certificates = 0;
      br_x509_decoder_init(&pinning.key, nullptr, nullptr);
    },
    // A certificate begins.
    [](const br_x509_class **context, uint32_t length) {
      Pinning &pinning = *reinterpret_cast<Pinning *>(context);
      if (pinning.certificates == 0 && length <= LONGEST_LEAF) pinning.leaf.reserve(length);
      if (pinning.certificates == 0 && length > LONGEST_LEAF) pinning.refuse("certificate-too-long", false);
    },
    // More of it.
    [](const br_x509_class **context, const unsigned char *bytes, size_t length) {
      Pinning &pinning = *reinterpret_cast<Pinning *>(context);
      if (pinning.certificates == 0 && pinning.evidence.refusal == nullptr) {
        pinning.leaf.insert(pinning.leaf.end(), bytes, bytes + length);
      }
    },
    // It has ended.
    [](const br_x509_class **context) {
      Pinning &pinning = *reinterpret_cast<Pinning *>(context);
      if (pinning.certificates++ == 0 && pinning.evidence.refusal == nullptr) pinning.judge();
      if (pinning.evidence.refusal != nullptr) pinning.leaf = {};
    },
    // The chain has ended: anything but 0 ends the handshake.
    [](const br_x509_class **context) -> unsigned {
      Pinning &pinning = *reinterpret_cast<Pinning *>(context);
      if (pinning.certificates == 0) pinning.refuse("no-certificate", false);
      pinning.leaf = {};
      return pinning.evidence.refusal == nullptr ? 0 : BR_ERR_X509_NOT_TRUSTED;
    },
    // The key that the server must prove to hold.
    [](const br_x509_class *const *context, unsigned *usages) -> const br_x509_pkey * {
      auto *pinning = reinterpret_cast<Pinning *>(const_cast<const br_x509_class **>(context));
      if (usages != nullptr) *usages = BR_KEYTYPE_SIGN;
      return br_x509_decoder_get_pkey(&pinning->key);
    },
};

Tls::Tls(Platform &platform, const Expectation &expectation)
    : platform(platform), input(BR_SSL_BUFSIZE_INPUT), output(OUTPUT_BYTES) {
  pinning.vtable = &PINNING;
  pinning.expectation = expectation;
  pinning.certificates = 0;

  br_ssl_client_zero(&client);
  br_ssl_engine_context *engine = &client.eng;
  br_ssl_engine_set_versions(engine, BR_TLS12, BR_TLS12);
  br_ssl_engine_set_suites(engine, SUITES, sizeof SUITES / sizeof *SUITES);
  br_ssl_engine_set_hash(engine, br_sha256_ID, &br_sha256_vtable);
  br_ssl_engine_set_hash(engine, br_sha384_ID, &br_sha384_vtable);
  br_ssl_engine_set_prf_sha256(engine, &br_tls12_sha256_prf);
  br_ssl_engine_set_prf_sha384(engine, &br_tls12_sha384_prf);
  br_ssl_engine_set_default_ec(engine);
  br_ssl_engine_set_default_ecdsa(engine);
  br_ssl_engine_set_default_rsavrfy(engine);
  br_ssl_engine_set_default_aes_gcm(engine);
  br_ssl_engine_set_default_chapol(engine);
  br_ssl_engine_set_x509(engine, &pinning.vtable);
  br_ssl_engine_set_buffers_bidi(engine, input.data(), input.size(), output.data(), output.size());

  uint8_t seed[32];
  platform.random(seed, sizeof seed);
  br_ssl_engine_inject_entropy(engine, seed, sizeof seed);
}

bool Tls::handshake(const std::string &host, const Deadline &deadline) {
  // SNI is for names (RFC 6066, section 3).
  const char *name = parseAddress(host) ? nullptr : host.c_str();
  if (br_ssl_client_reset(&client, name, 0) != 1) {
    why = describeError();
    return false;
  }
  if (!pump(BR_SSL_SENDAPP, deadline)) {
    if (br_ssl_engine_last_error(&client.eng) == BR_ERR_BAD_SIGNATURE) pinning.refuse("bad-signature", false);
    if (evidence().refusal != nullptr) why = evidence().refusal;
    return false;
  }
  established = true;
  return true;
}

bool Tls::send(const std::string &bytes, const Deadline &deadline) {
  size_t sent = 0;
  while (sent < bytes.size()) {
    if (!pump(BR_SSL_SENDAPP, deadline)) return false;
    size_t room = 0;
    uint8_t *to = ON_ITS_OWN_STACK(br_ssl_engine_sendapp_buf)(&client.eng, &room);
    const size_t count = std::min(room, bytes.size() - sent);
    memcpy(to, bytes.data() + sent, count);
    ON_ITS_OWN_STACK(br_ssl_engine_sendapp_ack)(&client.eng, count);
    sent += count;
  }
  br_ssl_engine_flush(&client.eng, 0);
  sendPending();
  return true;
}

bool Tls::receive(std::string &bytes, const Deadline &deadline) {
  bytes.clear();
  if (!pump(BR_SSL_RECVAPP, deadline)) return why.empty();
  size_t count = 0;
  const uint8_t *from = ON_ITS_OWN_STACK(br_ssl_engine_recvapp_buf)(&client.eng, &count);
  // In pieces: a record is a third of the memory.
  count = std::min<size_t>(count, 1024);
  bytes.assign(reinterpret_cast<const char *>(from), count);
  ON_ITS_OWN_STACK(br_ssl_engine_recvapp_ack)(&client.eng, count);
  return true;
}

void Tls::close(const Deadline &deadline) {
  br_ssl_engine_close(&client.eng);
  while ((br_ssl_engine_current_state(&client.eng) & BR_SSL_SENDREC) && !deadline.passed()) {
    sendPending();
    platform.pause();
  }
}

// Moves records until the engine is in one of the states `wanted`. False where it never will be; then the reason stands in `why`, which is empty
// after an end that the server has announced.
bool Tls::pump(unsigned wanted, const Deadline &deadline) {
  why.clear();
  for (;;) {
    const unsigned state = br_ssl_engine_current_state(&client.eng);
    if (state & BR_SSL_CLOSED) {
      why = describeError();
      sendPending();
      return false;
    }
    // A server that always has more to say is given no more time than one that is silent.
    if (deadline.passed()) {
      why = deadline.reason();
      return false;
    }
    if (state & wanted) return true;
    int moved = 0;
    if (state & BR_SSL_SENDREC) {
      size_t length = 0;
      const uint8_t *record = ON_ITS_OWN_STACK(br_ssl_engine_sendrec_buf)(&client.eng, &length);
      moved = platform.send(record, length);
      if (moved > 0) ON_ITS_OWN_STACK(br_ssl_engine_sendrec_ack)(&client.eng, moved);
    }
    // What the server had to say before it went is read even where it takes no more.
    if (moved <= 0 && (state & BR_SSL_RECVREC)) {
      size_t room = 0;
      uint8_t *record = ON_ITS_OWN_STACK(br_ssl_engine_recvrec_buf)(&client.eng, &room);
      moved = platform.receive(record, room);
      if (moved > 0) ON_ITS_OWN_STACK(br_ssl_engine_recvrec_ack)(&client.eng, moved);
    }
    if (moved < 0) {
      why = moved == CONNECTION_RESET ? "connection-reset" : "connection-closed";
      return false;
    }
    if (moved == 0) platform.pause();
  }
}

void Tls::sendPending() {
  while (br_ssl_engine_current_state(&client.eng) & BR_SSL_SENDREC) {
    size_t length = 0;
    const uint8_t *record = ON_ITS_OWN_STACK(br_ssl_engine_sendrec_buf)(&client.eng, &length);
    const int moved = platform.send(record, length);
    if (moved <= 0) return;
    ON_ITS_OWN_STACK(br_ssl_engine_sendrec_ack)(&client.eng, moved);
  }
}

std::string Tls::describeError() const {
  const int error = br_ssl_engine_last_error(&client.eng);
  if (error == BR_ERR_OK) return established ? "" : "alert-close-notify";
  if (error >= BR_ERR_RECV_FATAL_ALERT && error < BR_ERR_RECV_FATAL_ALERT + 256) {
    const unsigned code = static_cast<unsigned>(error - BR_ERR_RECV_FATAL_ALERT);
    const char *name = alertName(code);
    return std::string("alert-") + (name != nullptr ? name : std::to_string(code));
  }
  const char *name = engineError(error);
  return name != nullptr ? name : "tls-error-" + std::to_string(error);
}
