#include "reply.h"

#include <string.h>
#include <strings.h>

#include <algorithm>

namespace {

const char HEX_DIGITS[] = "0123456789abcdef";
const char ORIGINAL_START[] = "{\"state\":\"success\"";

// The most digits of a chunk's size, without the zeros in front, and the longest line around a chunk, without its end.
constexpr unsigned MAX_SIZE_DIGITS = 8;
constexpr unsigned MAX_LINE = 256;

// White space around a field's value, which may be folded.
bool isSpace(char byte) { return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r'; }

// A control character that a field's value may not have (RFC 9110, section 5.5).
bool isControl(char byte) { return (static_cast<uint8_t>(byte) < ' ' && byte != '\t') || byte == 0x7f; }

bool isDigit(char byte) { return byte >= '0' && byte <= '9'; }

int hexDigit(char byte) {
  if (isDigit(byte)) return byte - '0';
  const char small = static_cast<char>(byte | 0x20);
  return small >= 'a' && small <= 'f' ? small - 'a' + 10 : -1;
}

std::string trimmed(const std::string &text) {
  size_t start = 0, end = text.size();
  while (start < end && isSpace(text[start])) start++;
  while (end > start && isSpace(text[end - 1])) end--;
  return text.substr(start, end - start);
}

bool decimal(const std::string &text, uint64_t &value) {
  value = 0;
  for (char byte : text) {
    if (!isDigit(byte) || value > (UINT64_MAX - 9) / 10) return false;
    value = value * 10 + static_cast<uint64_t>(byte - '0');
  }
  return !text.empty();
}

// `HTTP/1.x NNN`, then a space and anything, but no line that is folded into it.
bool readStatus(const std::string &line, uint16_t &status) {
  uint64_t code;
  if (line.size() < 12 || line.compare(0, 7, "HTTP/1.") != 0 || !isDigit(line[7]) || line[8] != ' ' ||
      !decimal(line.substr(9, 3), code) || code < 100 || code > 599 || (line.size() > 12 && line[12] != ' ') ||
      line.find('\r') != std::string::npos) {
    return false;
  }
  status = static_cast<uint16_t>(code);
  return true;
}

// A field's name (RFC 9110, section 5.6.2): white space before the colon is not part of it.
bool isToken(const std::string &name) {
  for (char byte : name) {
    const char small = static_cast<char>(byte | 0x20);
    const bool letter = isDigit(byte) || (byte >= 'A' && small >= 'a' && small <= 'z');
    if (!letter && (byte == '\0' || strchr("!#$%&'*+-.^_`|~", byte) == nullptr)) return false;
  }
  return !name.empty();
}

// Where the line ends that starts here. A folded line, which begins with white space (RFC 9112, section 5.2), belongs to it.
size_t lineEnd(const std::string &bytes, size_t start) {
  for (;;) {
    const size_t end = bytes.find("\r\n", start);
    if (end == std::string::npos || end + 2 == bytes.size() || (bytes[end + 2] != ' ' && bytes[end + 2] != '\t')) return end;
    start = end + 2;
  }
}

// Reads a Content-Length, which proxies that join two fields make a list of (RFC 9112, section 6.3): all must agree.
const char *readLengths(const std::string &list, bool &hasLength, uint64_t &length) {
  bool empty = true;
  for (size_t start = 0; start <= list.size();) {
    const size_t end = std::min(list.find(',', start), list.size());
    const std::string value = trimmed(list.substr(start, end - start));
    start = end + 1;
    if (value.empty()) continue;
    empty = false;
    uint64_t other;
    if (!decimal(value, other)) return "malformed-head";
    if (hasLength && other != length) return "ambiguous-length";
    length = other;
    hasLength = true;
  }
  return empty ? "malformed-head" : nullptr;
}

}  // namespace

const char *Head::findEnd(const std::string &bytes, size_t &end) {
  const size_t found = bytes.find("\r\n\r\n");
  end = found == std::string::npos ? 0 : found + 4;
  const size_t head = end == 0 ? bytes.size() : end;
  // Where a head with bare line feeds ends is a matter of opinion, and so of attack.
  for (size_t at = 0; at < head; at++) {
    if (bytes[at] == '\n' && (at == 0 || bytes[at - 1] != '\r')) return "bare-line-feed";
  }
  return nullptr;
}

const char *Head::read(const std::string &bytes) {
  // A carriage return may only stand before a line feed (RFC 9112, section 2.2).
  for (size_t at = 0; at < bytes.size(); at++) {
    if (bytes[at] == '\0' || (bytes[at] == '\r' && bytes[at + 1] != '\n')) return "malformed-head";
  }
  bool hasLength = false, isChunked = false;
  size_t start = 0;
  for (bool first = true;; first = false) {
    const size_t end = lineEnd(bytes, start);
    const std::string line = bytes.substr(start, end - start);
    start = end + 2;
    if (first) {
      if (!readStatus(line, status)) return "malformed-head";
      continue;
    }
    if (line.empty()) break;
    const size_t colon = line.find(':');
    if (colon == std::string::npos) return "malformed-head";
    const std::string name = line.substr(0, colon), value = trimmed(line.substr(colon + 1));
    if (!isToken(name)) return "malformed-head";
    if (hasNoBody()) continue;
    if (strcasecmp(name.c_str(), "content-length") == 0) {
      if (const char *wrong = readLengths(value, hasLength, length)) return wrong;
    } else if (strcasecmp(name.c_str(), "transfer-encoding") == 0) {
      if (isChunked || strcasecmp(value.c_str(), "chunked") != 0) return "unsupported-encoding";
      isChunked = true;
    }
  }
  if (isChunked && hasLength) return "ambiguous-length";
  if (isChunked) {
    framing = Framing::Chunked;
  } else if (hasLength || hasNoBody()) {
    framing = Framing::Length;
  }
  return nullptr;
}

Body::Body(const Head &head) : state(State::UntilClose), chunked(head.framing == Framing::Chunked) {
  if (chunked) startSize();
  if (head.framing == Framing::Length) {
    left = head.length;
    state = left == 0 ? State::Done : State::Data;
  }
}

void Body::startSize() {
  state = State::Size;
  part = SizePart::Digits;
  left = 0;
  digits = lineBytes = 0;
  cr = false;
}

// A byte of `001f;name=value`.
bool Body::takeSizeByte(char byte) {
  if (cr) {
    cr = false;
    lineBytes = 0;
    state = left == 0 ? State::Trailer : State::Data;
    return byte == '\n';
  }
  // A digit comes first.
  if (byte == '\r' && lineBytes > 0) {
    cr = true;
    return true;
  }
  if (lineBytes == MAX_LINE) return false;
  const int digit = part == SizePart::Digits ? hexDigit(byte) : -1;
  if (digit >= 0) {
    if (digits == MAX_SIZE_DIGITS) return false;
    left = left << 4 | static_cast<uint64_t>(digit);
    if (left > 0) digits++;
  } else if (part == SizePart::Extension) {
    if (isControl(byte)) return false;
  } else if (lineBytes > 0 && (byte == ' ' || byte == '\t')) {
    part = SizePart::Padding;
  } else if (lineBytes > 0 && byte == ';') {
    part = SizePart::Extension;
  } else {
    return false;
  }
  lineBytes++;
  return true;
}

// The line end behind a chunk's data.
bool Body::takeDataEnd(char byte) {
  if (!cr) {
    cr = true;
    return byte == '\r';
  }
  startSize();
  return byte == '\n';
}

// An empty line ends the body.
bool Body::takeTrailerByte(char byte) {
  if (cr) {
    cr = false;
    if (lineBytes == 0) state = State::Done;
    lineBytes = 0;
    return byte == '\n';
  }
  if (byte == '\r') {
    cr = true;
    return true;
  }
  return !isControl(byte) && ++lineBytes <= MAX_LINE;
}

const char *Body::take(const char *bytes, size_t length, std::string &content, size_t &taken) {
  for (taken = 0; taken < length && !isDone(); taken++) {
    const char byte = bytes[taken];
    bool good = true;
    switch (state) {
      case State::Data:
        content += byte;
        if (--left == 0) state = chunked ? State::DataEnd : State::Done;
        break;
      case State::UntilClose: content += byte; break;
      case State::Size: good = takeSizeByte(byte); break;
      case State::DataEnd: good = takeDataEnd(byte); break;
      case State::Trailer: good = takeTrailerByte(byte); break;
      case State::Done: break;
    }
    if (!good) return "malformed-chunk";
  }
  return nullptr;
}

Judge::Judge(bool robust, uint16_t status) : robust(robust), status(status) {
  if (robust && status != 200) verdict = Verdict::Failure;
}

void Judge::decide(bool success) {
  if (!decided()) verdict = success ? Verdict::Success : Verdict::Failure;
}

void Judge::lookAt(const std::string &bytes) {
  for (char byte : bytes) {
    if (robust) {
      lookAtJson(byte);
    } else if (!decided()) {
      if (byte != ORIGINAL_START[matched]) {
        decide(false);
      } else if (++matched == sizeof ORIGINAL_START - 1) {
        decide(true);
      }
    }
  }
}

bool Judge::settle() {
  decide(false);
  return verdict == Verdict::Success;
}

bool Judge::isMalformed() const {
  if (!robust) return false;
  if (verdict == Verdict::Success) return !reader.isComplete() || states != 1;
  return status == 200 && isObject && !told;
}

void Judge::lookAtJson(char byte) {
  const JsonReader::Event event = reader.take(byte);
  const size_t depth = reader.depth();
  switch (event) {
    case JsonReader::Event::None: return;
    case JsonReader::Event::Malformed: return decide(false);
    case JsonReader::Event::Object:
      if (depth == 1) isObject = true;
      if (depth == 2 && atState) tell(false);
      return;
    case JsonReader::Event::Array:
      // A text that is not an object, or a state that is not a string.
      if (depth == 1 || (depth == 2 && atState)) tell(false);
      return;
    case JsonReader::Event::End:
      if (depth == 0) tell(false);
      return;
    case JsonReader::Event::Key:
      if (depth != 1) return;
      atState = reader.text() == "state";
      if (atState) states++;
      return;
    case JsonReader::Event::Text:
      if (depth == 0) tell(false);
      if (depth == 1 && atState) tell(reader.text() == "success");
      return;
    case JsonReader::Event::Scalar:
      if (depth == 0 || (depth == 1 && atState)) tell(false);
      return;
  }
}

void Judge::tell(bool success) {
  told = true;
  decide(success);
}

std::string Printer::print(const std::string &bytes) {
  std::string out;
  for (char character : bytes) {
    const uint8_t byte = static_cast<uint8_t>(character);
    if (character == '\n') {
      out += "\r\n";
    } else if (character == '\r') {
      continue;
    } else if ((character == '@' && atLineStart) || (byte < ' ' && character != '\t') || byte == 0x7f) {
      out += "\\x";
      out += HEX_DIGITS[byte >> 4];
      out += HEX_DIGITS[byte & 15];
    } else {
      out += character;
    }
    atLineStart = character == '\n';
  }
  return out;
}

std::string Printer::finish() {
  const bool already = atLineStart;
  atLineStart = true;
  return already ? "" : "\r\n";
}
