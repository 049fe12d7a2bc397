#include "json.h"

namespace {

// How many bytes of a string are kept. Longer strings are cut.
constexpr size_t KEPT_TEXT = 16;
// Stands for any character beyond ASCII that came as an escape. No UTF-8 text has this byte.
constexpr char BEYOND_ASCII = '\xff';

bool isDigit(char byte) { return byte >= '0' && byte <= '9'; }

int hexDigit(char byte) {
  if (isDigit(byte)) return byte - '0';
  const char small = static_cast<char>(byte | 0x20);
  return small >= 'a' && small <= 'f' ? small - 'a' + 10 : -1;
}

}  // namespace

JsonReader::Event JsonReader::take(char byte) {
  if (state == State::Number) {
    if (takeInNumber(byte)) return Event::None;
    if (!mayEndNumber()) return refuse();
    // The byte that ends a number is not part of it.
    valueEnded();
  }
  switch (state) {
    case State::Malformed: return Event::Malformed;
    case State::String: return takeInString(byte);
    case State::Literal:
      if (byte != *literal) return refuse();
      if (*++literal == '\0') valueEnded();
      return Event::None;
    default: break;
  }
  if (byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r') return Event::None;
  switch (state) {
    case State::FirstItem:
      if (byte == ']') return closeContainer();
      return beginValue(byte);
    case State::Value: return beginValue(byte);
    case State::FirstKey:
      if (byte == '}') return closeContainer();
      return byte == '"' ? beginString(true) : refuse();
    case State::Key: return byte == '"' ? beginString(true) : refuse();
    case State::Colon:
      if (byte != ':') return refuse();
      state = State::Value;
      return Event::None;
    case State::Comma:
      if (byte == (inObject() ? '}' : ']')) return closeContainer();
      if (byte != ',') return refuse();
      state = inObject() ? State::Key : State::Value;
      return Event::None;
    default: return refuse();
  }
}

bool JsonReader::isComplete() const {
  return state == State::Complete || (state == State::Number && open == 0 && mayEndNumber());
}

JsonReader::Event JsonReader::refuse() {
  state = State::Malformed;
  return Event::Malformed;
}

JsonReader::Event JsonReader::beginValue(char byte) {
  switch (byte) {
    case '{': return openContainer(true);
    case '[': return openContainer(false);
    case '"': return beginString(false);
    case '-': return beginNumber(InNumber::Minus);
    case '0': return beginNumber(InNumber::Zero);
    case 't': return beginLiteral("rue");
    case 'f': return beginLiteral("alse");
    case 'n': return beginLiteral("ull");
    default: return isDigit(byte) ? beginNumber(InNumber::Integer) : refuse();
  }
}

JsonReader::Event JsonReader::beginNumber(InNumber at) {
  state = State::Number;
  inNumber = at;
  return Event::Scalar;
}

JsonReader::Event JsonReader::beginLiteral(const char *rest) {
  state = State::Literal;
  literal = rest;
  return Event::Scalar;
}

JsonReader::Event JsonReader::beginString(bool asKey) {
  state = State::String;
  inString = InString::Character;
  isKey = asKey;
  kept.clear();
  return Event::None;
}

JsonReader::Event JsonReader::openContainer(bool isObject) {
  if (open == MAX_DEPTH) return refuse();
  const uint8_t bit = static_cast<uint8_t>(1 << open % 8);
  uint8_t &bits = objects[open / 8];
  bits = static_cast<uint8_t>(isObject ? bits | bit : bits & ~bit);
  open++;
  state = isObject ? State::FirstKey : State::FirstItem;
  return isObject ? Event::Object : Event::Array;
}

JsonReader::Event JsonReader::closeContainer() {
  open--;
  valueEnded();
  return Event::End;
}

bool JsonReader::inObject() const { return open > 0 && (objects[(open - 1) / 8] & 1 << (open - 1) % 8) != 0; }

JsonReader::Event JsonReader::takeInString(char byte) {
  switch (inString) {
    case InString::Character:
      if (byte == '"') {
        if (isKey) {
          state = State::Colon;
          return Event::Key;
        }
        valueEnded();
        return Event::Text;
      }
      if (byte == '\\') {
        inString = InString::Escape;
        return Event::None;
      }
      if (!beginCharacter(static_cast<uint8_t>(byte))) return refuse();
      keep(byte);
      return Event::None;
    case InString::Escape:
      inString = InString::Character;
      switch (byte) {
        case 'u':
          inString = InString::Unicode;
          unicode = 0;
          left = 4;
          return Event::None;
        case '"':
        case '\\':
        case '/': keep(byte); return Event::None;
        case 'b': keep('\b'); return Event::None;
        case 'f': keep('\f'); return Event::None;
        case 'n': keep('\n'); return Event::None;
        case 'r': keep('\r'); return Event::None;
        case 't': keep('\t'); return Event::None;
        default: return refuse();
      }
    case InString::Unicode: {
      const int digit = hexDigit(byte);
      if (digit < 0) return refuse();
      unicode = static_cast<uint16_t>(unicode << 4 | digit);
      if (--left == 0) {
        keep(unicode < 0x80 ? static_cast<char>(unicode) : BEYOND_ASCII);
        inString = InString::Character;
      }
      return Event::None;
    }
    case InString::Utf8: break;
  }
  if (static_cast<uint8_t>(byte) < least || static_cast<uint8_t>(byte) > most) return refuse();
  keep(byte);
  least = 0x80;
  most = 0xbf;
  if (--left == 0) inString = InString::Character;
  return Event::None;
}

// The first byte of a character (RFC 3629, section 4): no overlong forms, no surrogates, nothing beyond U+10FFFF.
bool JsonReader::beginCharacter(uint8_t byte) {
  if (byte < 0x80) return byte >= ' ';
  if (byte < 0xc2 || byte > 0xf4) return false;
  left = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
  least = byte == 0xe0 ? 0xa0 : byte == 0xf0 ? 0x90 : 0x80;
  most = byte == 0xed ? 0x9f : byte == 0xf4 ? 0x8f : 0xbf;
  inString = InString::Utf8;
  return true;
}

// Whether the byte belongs to the number.
bool JsonReader::takeInNumber(char byte) {
  const InNumber at = inNumber;
  const bool integer = at == InNumber::Zero || at == InNumber::Integer;
  if (isDigit(byte)) {
    switch (at) {
      case InNumber::Minus: inNumber = byte == '0' ? InNumber::Zero : InNumber::Integer; return true;
      case InNumber::Zero: return false;
      case InNumber::Integer: return true;
      case InNumber::Point:
      case InNumber::Fraction: inNumber = InNumber::Fraction; return true;
      case InNumber::E:
      case InNumber::ExponentSign:
      case InNumber::Exponent: inNumber = InNumber::Exponent; return true;
    }
  }
  if (byte == '.' && integer) {
    inNumber = InNumber::Point;
  } else if ((byte == 'e' || byte == 'E') && (integer || at == InNumber::Fraction)) {
    inNumber = InNumber::E;
  } else if ((byte == '+' || byte == '-') && at == InNumber::E) {
    inNumber = InNumber::ExponentSign;
  } else {
    return false;
  }
  return true;
}

bool JsonReader::mayEndNumber() const {
  return inNumber == InNumber::Zero || inNumber == InNumber::Integer || inNumber == InNumber::Fraction ||
         inNumber == InNumber::Exponent;
}

void JsonReader::keep(char byte) {
  if (kept.size() < KEPT_TEXT) kept += byte;
}
