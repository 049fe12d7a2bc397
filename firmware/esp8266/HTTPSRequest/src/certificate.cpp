#include "certificate.h"

#include <string.h>
#include <strings.h>

namespace {

constexpr uint8_t BOOLEAN = 0x01, INTEGER = 0x02, OCTET_STRING = 0x04, OBJECT_IDENTIFIER = 0x06;
constexpr uint8_t UTC_TIME = 0x17, GENERALIZED_TIME = 0x18, SEQUENCE = 0x30, VERSION = 0xa0, EXTENSIONS = 0xa3;
constexpr uint8_t DNS_NAME = 0x82, IP_ADDRESS = 0x87;
constexpr uint8_t SUBJECT_ALT_NAME[] = {0x55, 0x1d, 0x11};

// RFC 5280, section 4.1.2.5; the two digits of a UTCTime's year stand for 1950 to 2049.
bool readTime(Der &from, UnixTime &time) {
  uint8_t tag;
  Der content;
  if (!from.next(tag, content) || content.empty() || content.bytes[content.length - 1] != 'Z') return false;
  std::string digits(reinterpret_cast<const char *>(content.bytes), content.length - 1);
  if (tag == UTC_TIME && digits.size() == 12) {
    digits.insert(0, digits[0] < '5' ? "20" : "19");
  } else if (tag != GENERALIZED_TIME || digits.size() != 14) {
    return false;
  }
  const auto parsed = timeFromDigits(digits.c_str());
  if (parsed) time = *parsed;
  return parsed.has_value();
}

bool readAltNames(Der extensions, Der &names) {
  bool found = false;
  while (!extensions.empty()) {
    Der extension, id, value, list;
    if (!extensions.expect(SEQUENCE, extension) || !extension.expect(OBJECT_IDENTIFIER, id)) return false;
    Der critical;
    extension.expect(BOOLEAN, critical);
    if (!extension.expect(OCTET_STRING, value)) return false;
    if (id.length == sizeof SUBJECT_ALT_NAME && memcmp(id.bytes, SUBJECT_ALT_NAME, id.length) == 0) {
      if (!value.expect(SEQUENCE, list)) return false;
      // RFC 5280, section 4.2, forbids a second list. Which of the two counts is a matter of opinion: neither does.
      names = found ? Der() : list;
      found = true;
    }
  }
  return true;
}

bool equalNames(const char *left, size_t leftLength, const char *right, size_t rightLength) {
  // A NUL in a certificate's name must not end the comparison: lengths first.
  if (leftLength != rightLength) return false;
  return memchr(left, 0, leftLength) == nullptr && strncasecmp(left, right, leftLength) == 0;
}

bool nameMatches(const Der &pattern, const std::string &host) {
  const char *name = reinterpret_cast<const char *>(pattern.bytes);
  if (pattern.length > 2 && name[0] == '*' && name[1] == '.') {
    const size_t dot = host.find('.');
    return dot != std::string::npos && dot > 0 &&
           equalNames(name + 2, pattern.length - 2, host.data() + dot + 1, host.size() - dot - 1);
  }
  return equalNames(name, pattern.length, host.data(), host.size());
}

}  // namespace

bool Der::next(uint8_t &tag, Der &content) {
  if (length < 2) return false;
  size_t size = bytes[1];
  size_t head = 2;
  if (size >= 0x80) {
    const size_t octets = size & 0x7f;
    // Three bytes hold more than any TLS message can.
    if (octets < 1 || octets > 3 || length < head + octets) return false;
    size = 0;
    for (size_t octet = 0; octet < octets; octet++) size = size << 8 | bytes[head++];
  }
  if (length - head < size) return false;
  tag = bytes[0];
  content.bytes = bytes + head;
  content.length = size;
  bytes += head + size;
  length -= head + size;
  return true;
}

bool Der::expect(uint8_t tag, Der &content) {
  uint8_t found;
  return !empty() && bytes[0] == tag && next(found, content);
}

bool Certificate::read(const uint8_t *der, size_t length) {
  Der outer{der, length}, whole, body, skipped, dates;
  if (!outer.expect(SEQUENCE, whole) || !outer.empty() || !whole.expect(SEQUENCE, body)) return false;
  body.expect(VERSION, skipped);
  // Serial number, signature algorithm, issuer, validity, subject, key.
  if (!body.expect(INTEGER, skipped) || !body.expect(SEQUENCE, skipped) || !body.expect(SEQUENCE, skipped) ||
      !body.expect(SEQUENCE, dates) || !readTime(dates, notBefore) || !readTime(dates, notAfter) ||
      !body.expect(SEQUENCE, skipped) || !body.expect(SEQUENCE, skipped)) {
    return false;
  }
  while (!body.empty()) {
    uint8_t tag;
    Der content, extensions;
    if (!body.next(tag, content)) return false;
    if (tag == EXTENSIONS && (!content.expect(SEQUENCE, extensions) || !readAltNames(extensions, altNames))) return false;
  }
  return true;
}

Validity Certificate::validity(UnixTime time) const {
  if (time < notBefore) return Validity::NotYetValid;
  return time > notAfter ? Validity::Expired : Validity::Valid;
}

bool Certificate::isFor(const std::string &host) const {
  const auto address = parseAddress(host);
  Der names = altNames, name;
  uint8_t tag;
  while (names.next(tag, name)) {
    if (address) {
      if (tag == IP_ADDRESS && name.length == 4 && memcmp(name.bytes, address->octets, 4) == 0) return true;
    } else if (tag == DNS_NAME && nameMatches(name, host)) {
      return true;
    }
  }
  return false;
}
