#include "settings.h"

#include <bearssl/bearssl_hash.h>
#include <string.h>

const char *const PHASE_NAMES[PHASES] = {"network", "connect", "handshake", "response", "total"};

namespace {

constexpr uint32_t LONGEST_TIMEOUT = 3600000;

int hexDigit(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

bool isDigit(char character) { return character >= '0' && character <= '9'; }

bool isLetter(char character) {
  return (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z');
}

// A whole text of decimal digits, from `least` to `most`.
std::optional<uint32_t> number(const std::string &text, uint32_t least, uint32_t most) {
  uint64_t value = 0;
  if (text.empty()) return {};
  for (char character : text) {
    if (!isDigit(character)) return {};
    value = value * 10 + static_cast<uint64_t>(character - '0');
    if (value > most) return {};
  }
  if (value < least) return {};
  return static_cast<uint32_t>(value);
}

bool hasControl(const std::string &text) {
  for (size_t at = 0; at < text.size(); at++) {
    const uint8_t byte = static_cast<uint8_t>(text[at]);
    // C2 80 to C2 9F are the control characters beyond ASCII.
    const bool beyond = byte == 0xc2 && at + 1 < text.size() && static_cast<uint8_t>(text[at + 1]) < 0xa0;
    if (byte < ' ' || byte == 0x7f || beyond) return true;
  }
  return false;
}

// Whether a label is a number in any of the forms that some resolvers take for a part of an address.
bool isNumber(const std::string &label) {
  const bool hexadecimal = label.size() >= 2 && label[0] == '0' && (label[1] == 'x' || label[1] == 'X');
  for (char character : hexadecimal ? label.substr(2) : label) {
    if (hexadecimal ? hexDigit(character) < 0 : !isDigit(character)) return false;
  }
  return true;
}

bool hasLabelsOf63Bytes(const std::string &text) {
  size_t label = 0;
  for (char character : text + ".") {
    if (character != '.') {
      label++;
    } else if (label < 1 || label > 63) {
      return false;
    } else {
      label = 0;
    }
  }
  return true;
}

// Why a text is neither a host name nor an IPv4 address; null where it is one.
const char *wrongWithHost(const std::string &text) {
  for (char character : text) {
    if (static_cast<uint8_t>(character) >= 0x80) {
      return "host: ASCII only; write other letters in punycode, as in xn--mnchen-3ya.example";
    }
  }
  if (text.find_first_of(":[]") != std::string::npos) {
    return "host: an IPv4 address or a name; no IPv6 address, and the port is set by `set port`";
  }
  for (char character : text) {
    if (!isDigit(character) && !isLetter(character) && character != '-' && character != '_' && character != '.') {
      return "host: labels of letters, digits, - and _, with dots between them";
    }
  }
  if (text.empty() || text.size() > 253) return "host: 1-253 bytes";
  if (!hasLabelsOf63Bytes(text)) return "host: labels of 1-63 bytes, with one dot between two and none at an end";
  if (isNumber(text.substr(text.rfind('.') + 1)) && !parseAddress(text)) {
    return "host: not an IPv4 address, and the last label of a name is not a number";
  }
  return nullptr;
}

bool isPath(const std::string &text) {
  if (text.empty() || text[0] != '/') return false;
  for (char character : text) {
    if (character <= ' ' || character > '~') return false;
  }
  return true;
}

std::optional<bool> either(const std::string &value, const char *no, const char *yes) {
  if (value == yes) return true;
  if (value == no) return false;
  return {};
}

CommandError bad(const std::string &detail) { return {"set", "bad-value", detail}; }

bool isLeap(int64_t year) { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

int64_t daysOf(int64_t year, int64_t month) {
  static const uint8_t DAYS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return month == 2 && isLeap(year) ? 29 : DAYS[month - 1];
}

}  // namespace

std::optional<Fingerprint> Fingerprint::parse(const std::string &text, std::string &error) {
  Fingerprint found = {};
  size_t at = 0;
  size_t wrong = std::string::npos;
  while (at < text.size() && wrong == std::string::npos) {
    const int high = hexDigit(text[at]);
    const int low = at + 1 < text.size() ? hexDigit(text[at + 1]) : -1;
    if (high < 0 || low < 0) {
      wrong = at;
      break;
    }
    if (found.length == sizeof found.bytes) {
      error = "more than 32 bytes; a SHA-1 has 20 and a SHA-256 has 32";
      return {};
    }
    found.bytes[found.length++] = static_cast<uint8_t>(high << 4 | low);
    at += 2;
    const size_t pair = at;
    while (at < text.size() && (text[at] == ' ' || text[at] == ':')) at++;
    // A separator stands between two pairs.
    if (at == text.size() && at > pair) wrong = at - 1;
  }
  if (wrong != std::string::npos) {
    error = "expected two hexadecimal digits at position " + std::to_string(wrong + 1);
    return {};
  }
  if (found.length != 20 && found.length != 32) {
    error = std::to_string(found.length) + " bytes; a SHA-1 has 20 and a SHA-256 has 32";
    return {};
  }
  return found;
}

Fingerprint Fingerprint::sha1(const uint8_t *der, size_t length) {
  Fingerprint digest = {};
  digest.length = 20;
  br_sha1_context hash;
  br_sha1_init(&hash);
  br_sha1_update(&hash, der, length);
  br_sha1_out(&hash, digest.bytes);
  return digest;
}

bool Fingerprint::matches(const uint8_t *der, size_t derLength) const {
  Fingerprint seen;
  if (length == 20) {
    seen = sha1(der, derLength);
  } else {
    br_sha256_context hash;
    br_sha256_init(&hash);
    br_sha256_update(&hash, der, derLength);
    br_sha256_out(&hash, seen.bytes);
  }
  uint8_t difference = 0;
  for (size_t at = 0; at < length; at++) difference |= bytes[at] ^ seen.bytes[at];
  return difference == 0;
}

std::string Fingerprint::hex() const {
  static const char DIGITS[] = "0123456789abcdef";
  std::string text;
  for (size_t at = 0; at < length; at++) {
    text += DIGITS[bytes[at] >> 4];
    text += DIGITS[bytes[at] & 15];
  }
  return text;
}

std::optional<UnixTime> timeFromDigits(const char *digits) {
  for (size_t at = 0; at < 14; at++) {
    if (!isDigit(digits[at])) return {};
  }
  const auto part = [digits](size_t from, size_t to) {
    int64_t value = 0;
    for (size_t at = from; at < to; at++) value = value * 10 + (digits[at] - '0');
    return value;
  };
  const int64_t year = part(0, 4), month = part(4, 6), day = part(6, 8);
  const int64_t hour = part(8, 10), minute = part(10, 12), second = part(12, 14);
  if (month < 1 || month > 12 || day < 1 || day > daysOf(year, month) || hour > 23 || minute > 59 || second > 59) {
    return {};
  }
  const auto leapDays = [](int64_t before) { return before / 4 - before / 100 + before / 400; };
  int64_t days = (year - 1970) * 365 + leapDays(year - 1) - leapDays(1969) + day - 1;
  for (int64_t earlier = 1; earlier < month; earlier++) days += daysOf(year, earlier);
  return days * 86400 + hour * 3600 + minute * 60 + second;
}

std::optional<UnixTime> parseTime(const std::string &text) {
  static const char FORM[] = "0000-00-00T00:00:00Z";
  if (text.size() != sizeof FORM - 1) return {};
  std::string digits;
  for (size_t at = 0; at < text.size(); at++) {
    if (FORM[at] == '0') {
      digits += text[at];
    } else if (text[at] != FORM[at]) {
      return {};
    }
  }
  return timeFromDigits(digits.c_str());
}

std::optional<Address> parseAddress(const std::string &text) {
  Address address = {};
  size_t start = 0;
  for (size_t octet = 0; octet < 4; octet++) {
    const size_t end = octet == 3 ? text.size() : text.find('.', start);
    if (end == std::string::npos) return {};
    const std::string part = text.substr(start, end - start);
    const auto value = number(part, 0, 255);
    if (!value || part.size() > 3 || (part.size() > 1 && part[0] == '0')) return {};
    address.octets[octet] = static_cast<uint8_t>(*value);
    start = end + 1;
  }
  return address;
}

std::string describe(const Address &address) {
  std::string text;
  for (uint8_t octet : address.octets) text += (text.empty() ? "" : ".") + std::to_string(octet);
  return text;
}

std::optional<CommandError> Settings::set(const std::string &line, uint64_t now) {
  const size_t space = line.find(' ');
  const std::string name = line.substr(0, space);
  const std::string value = space == std::string::npos ? "" : line.substr(space + 1);

  if (name == "network") {
    if (value.empty() || value.size() > 32 || hasControl(value)) return bad("network: 1-32 bytes without control characters");
    network = value;
  } else if (name == "password") {
    if (value.size() < 8 || value.size() > 63 || hasControl(value)) return bad("password: 8-63 bytes without control characters");
    password = value;
  } else if (name == "host") {
    if (const char *wrong = wrongWithHost(value)) return bad(wrong);
    host = value;
  } else if (name == "connect-to") {
    const size_t colon = value.find(':');
    if (value == "none") {
      connectTo.reset();
      return {};
    }
    const auto address = parseAddress(value.substr(0, colon));
    const auto to = colon == std::string::npos ? std::nullopt : number(value.substr(colon + 1), 1, 65535);
    if (!address || !to) return bad("connect-to: <ipv4>:<port> or none");
    connectTo = Endpoint{*address, static_cast<uint16_t>(*to)};
  } else if (name == "port") {
    const auto to = number(value, 1, 65535);
    if (!to) return bad("port: 1-65535");
    port = static_cast<uint16_t>(*to);
  } else if (name == "path") {
    if (!isPath(value)) return bad("path: starts with /, printable ASCII without spaces");
    path = value;
  } else if (name == "pin") {
    std::string error;
    const auto parsed = Fingerprint::parse(value, error);
    if (!parsed) return CommandError{"set", "bad-pin", "pin: " + error};
    pin = parsed;
  } else if (name == "on-mismatch") {
    const auto goesOn = either(value, "abort", "continue");
    if (!goesOn) return bad("on-mismatch: abort or continue");
    goesOnAtMismatch = *goesOn;
  } else if (name == "rule") {
    const auto isRobust = either(value, "original", "robust");
    if (!isRobust) return bad("rule: original or robust");
    robust = *isRobust;
  } else if (name == "check-name") {
    const auto on = either(value, "off", "on");
    if (!on) return bad("check-name: on or off");
    checksName = *on;
  } else if (name == "check-dates") {
    const auto on = either(value, "off", "on");
    if (!on) return bad("check-dates: on or off");
    checksDates = *on;
  } else if (name == "clock") {
    if (value == "none") {
      clockText.clear();
      return {};
    }
    const auto time = parseTime(value);
    if (!time) return bad("clock: YYYY-MM-DDTHH:MM:SSZ or none");
    clockText = value;
    clock = *time;
    clockSetAt = now;
  } else if (name == "timeout") {
    const size_t gap = value.find(' ');
    for (size_t phase = 0; phase < PHASES; phase++) {
      if (value.substr(0, gap) != PHASE_NAMES[phase]) continue;
      const auto limit = gap == std::string::npos ? std::nullopt : number(value.substr(gap + 1), 1, LONGEST_TIMEOUT);
      if (!limit) return bad("timeout: 1-3600000 milliseconds");
      timeouts[phase] = *limit;
      return {};
    }
    return bad("timeout: network, connect, handshake, response or total, then milliseconds");
  } else {
    return CommandError{"set", "unknown-setting",
                        "use network, password, host, connect-to, port, path, pin, on-mismatch, rule, check-name, "
                        "check-dates, clock or timeout"};
  }
  return {};
}

void Settings::describeTo(Answer &answer) const {
  answer.field("network", network.value_or("none"))
      .field("password", password ? "set" : "unset")
      .field("host", host)
      .field("port", port)
      .field("connect-to", connectTo ? describe(connectTo->address) + ":" + std::to_string(connectTo->port) : "none")
      .field("path", path)
      .field("pin", pin ? pin->hex() : "none")
      .field("on-mismatch", goesOnAtMismatch ? "continue" : "abort")
      .field("rule", robust ? "robust" : "original")
      .field("check-name", checksName ? "on" : "off")
      .field("check-dates", checksDates ? "on" : "off")
      .field("clock", clockText.empty() ? "none" : clockText);
  for (size_t phase = 0; phase < PHASES; phase++) {
    answer.field((std::string("timeout-") + PHASE_NAMES[phase]).c_str(), timeouts[phase]);
  }
}
