// What has been set over the console: one run's parameters, held in RAM only. Values are checked here, once, when they are set.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <optional>
#include <string>

#include "answer.h"
#include "platform.h"

// The digest of a certificate's DER that a server must show: 20 bytes are a SHA-1, 32 bytes a SHA-256.
struct Fingerprint {
  uint8_t bytes[32];
  size_t length;

  // Pairs of hexadecimal digits, with any run of spaces or `:` between two pairs. Where it is wrong, `error` says how.
  static std::optional<Fingerprint> parse(const std::string &text, std::string &error);
  static Fingerprint sha1(const uint8_t *der, size_t length);

  // Takes as long for a near miss as for a far one.
  bool matches(const uint8_t *der, size_t length) const;
  std::string hex() const;
};

// Seconds since 1970-01-01T00:00:00Z, leap seconds left out.
using UnixTime = int64_t;

// `YYYY-MM-DDTHH:MM:SSZ`; nothing else will do.
std::optional<UnixTime> parseTime(const std::string &text);
// From `YYYYMMDDHHMMSS`, which is 14 bytes long.
std::optional<UnixTime> timeFromDigits(const char *digits);

std::optional<Address> parseAddress(const std::string &text);
std::string describe(const Address &address);

enum class Phase { Network, Connect, Handshake, Response, Total };
constexpr size_t PHASES = 5;
extern const char *const PHASE_NAMES[PHASES];

// Why a line changes nothing: for the `error` answer.
struct CommandError {
  const char *command;
  const char *code;
  std::string detail;
};

// The defaults are those of the original sketch.
struct Settings {
  std::optional<std::string> network;
  std::optional<std::string> password;  // never printed
  std::string host = "api.github.com";
  uint16_t port = 443;
  std::optional<Endpoint> connectTo;
  std::string path = "/repos/esp8266/Arduino/commits/master/status";
  std::optional<Fingerprint> pin;
  bool goesOnAtMismatch = false;
  bool robust = false;
  bool checksName = false;
  bool checksDates = false;
  std::string clockText;  // what the clock was set to; empty where it was not
  UnixTime clock = 0;
  uint64_t clockSetAt = 0;
  // Milliseconds, by Phase; 15 seconds for a handshake are the core's own limit.
  uint32_t timeouts[PHASES] = {30000, 10000, 15000, 15000, 60000};

  // `set <name> <value>`: the value is the rest of the line, verbatim.
  std::optional<CommandError> set(const std::string &line, uint64_t now);
  void describeTo(Answer &answer) const;
};
