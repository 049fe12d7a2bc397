#include "reply.h"

#include <string.h>
#include <strings.h>

namespace {

const char HEX_DIGITS[] = "0123456789abcdef";
const char ORIGINAL_START[] = "{\"state\":\"success\"";

// A chunk's size has at most so many digits, and a line around it at most so many bytes.
constexpr unsigned MAX_SIZE_DIGITS = 8;
constexpr unsigned MAX_LINE = 256;
// Neither `state` nor `success` is longer; what is longer is cut here and cannot become equal to them.
constexpr size_t LONGEST_TEXT = 16;

bool isSpace(char byte) { return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\f' || byte == '\r'; }

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

// `HTTP/1.x NNN`, then a space and anything.
bool readStatus(const std::string &line, uint16_t &status) {
  uint64_t code;
  if (line.size() < 12 || line.compare(0, 7, "HTTP/1.") != 0 || !isDigit(line[7]) || line[8] != ' ' ||
      !decimal(line.substr(9, 3), code) || code < 100 || code > 599 || (line.size() > 12 && line[12] != ' ')) {
    return false;
  }
  status = static_cast<uint16_t>(code);
  return true;
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
  bool hasLength = false, isChunked = false;
  size_t start = 0;
  for (bool first = true;; first = false) {
    const size_t end = bytes.find("\r\n", start);
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
    if (strcasecmp(name.c_str(), "content-length") == 0) {
      uint64_t other;
      if (!decimal(value, other)) return "malformed-head";
      if (hasLength && other != length) return "ambiguous-length";
      length = other;
      hasLength = true;
    } else if (strcasecmp(name.c_str(), "transfer-encoding") == 0) {
      if (strcasecmp(value.c_str(), "chunked") != 0) return "unsupported-encoding";
      isChunked = true;
    }
  }
  if (isChunked && hasLength) return "ambiguous-length";
  if (isChunked) {
    framing = Framing::Chunked;
  } else if (hasLength || status == 204 || status == 304) {
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
  left = 0;
  digits = lineBytes = 0;
}

bool Body::takeSizeByte(char byte) {
  if (byte == '\n') {
    if (digits == 0) return false;
    lineBytes = 0;
    state = left == 0 ? State::Trailer : State::Data;
    return true;
  }
  if (byte == '\r') return true;
  if (lineBytes > 0 || (digits > 0 && (byte == ';' || byte == ' ' || byte == '\t'))) return ++lineBytes <= MAX_LINE;
  const int digit = hexDigit(byte);
  if (digit < 0 || digits == MAX_SIZE_DIGITS) return false;
  left = left << 4 | static_cast<uint64_t>(digit);
  digits++;
  return true;
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
      case State::DataEnd:
        good = byte == '\r' || byte == '\n';
        if (byte == '\n') startSize();
        break;
      case State::Trailer:
        if (byte == '\n' && lineBytes == 0) {
          state = State::Done;
        } else if (byte == '\n') {
          lineBytes = 0;
        } else if (byte != '\r') {
          good = ++lineBytes <= MAX_LINE;
        }
        break;
      case State::Done: break;
    }
    if (!good) return "malformed-chunk";
  }
  return nullptr;
}

Judge::Judge(bool robust, uint16_t status) : robust(robust) {
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

bool Judge::isWhole() const {
  return !robust || verdict != Verdict::Success || (closed && !trailing && states == 1);
}

void Judge::lookAtJson(char byte) {
  if (closed) {
    trailing = trailing || !isSpace(byte);
    return;
  }
  if (string) {
    if (inString(byte)) {
      string = false;
      stringEnded();
    }
    return;
  }
  switch (byte) {
    case '{':
    case '[':
      if (isState() || (depth == 0 && byte == '[')) return decide(false);
      depth++;
      return;
    case '}':
    case ']':
      if (depth > 0) depth--;
      if (depth == 0) {
        closed = true;
        decide(false);
      }
      return;
    case ',':
      if (depth == 1) hasKey = false;
      return;
    case ' ':
    case '\t':
    case '\r':
    case '\n':
    case ':': return;
    case '"':
      if (depth > 0) {
        string = true;
        text.clear();
        return;
      }
      break;
    default: break;
  }
  // A number or a word: no state, and nothing that a document may start with.
  if (depth == 0 || isState()) decide(false);
}

void Judge::stringEnded() {
  if (depth != 1) return;
  if (isState()) return decide(text == "success");
  if (!hasKey) {
    if (text == "state") states++;
    key = text;
    hasKey = true;
  }
}

// Takes the next byte of a string; true when it ended it.
bool Judge::inString(char byte) {
  if (unicodeDigits > 0) {
    const int digit = hexDigit(byte);
    unicode = unicode << 4 | static_cast<uint32_t>(digit < 0 ? 0 : digit);
    // Only ASCII matters: nothing else is part of a word that is sought.
    if (--unicodeDigits == 0) push(unicode < 0x80 ? static_cast<char>(unicode) : '?');
  } else if (backslash) {
    backslash = false;
    if (byte == 'u') {
      unicodeDigits = 4;
      unicode = 0;
    } else {
      // None of the short escapes stands for a letter.
      push(byte == 'n' || byte == 't' || byte == 'r' || byte == 'b' || byte == 'f' ? ' ' : byte);
    }
  } else if (byte == '"') {
    return true;
  } else if (byte == '\\') {
    backslash = true;
  } else {
    push(byte);
  }
  return false;
}

void Judge::push(char byte) {
  if (text.size() < LONGEST_TEXT) text += byte;
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
