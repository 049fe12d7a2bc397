#include "answer.h"

namespace {

const char HEX_DIGITS[] = "0123456789abcdef";

std::string quoted(const std::string &value, bool always) {
  std::string out;
  bool bare = !value.empty();
  for (char character : value) {
    const uint8_t byte = static_cast<uint8_t>(character);
    bare = bare && byte > ' ' && byte < 0x7f && character != '"' && character != '\\';
    switch (character) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      default:
        if (byte < ' ' || byte == 0x7f) {
          out += "\\x";
          out += HEX_DIGITS[byte >> 4];
          out += HEX_DIGITS[byte & 15];
        } else {
          out += character;
        }
    }
  }
  return bare && !always ? out : "\"" + out + "\"";
}

}  // namespace

Answer Answer::ok(const std::string &tag, const char *command) {
  return Answer("@" + tag + " ok " + command);
}

Answer Answer::event(const char *event) {
  return Answer(std::string("@- ") + event);
}

Answer Answer::reply(const std::string &tag, const char *place) {
  return Answer("@" + tag + " reply " + place);
}

Answer Answer::error(const std::string &tag, const char *command, const char *code, const std::string &detail) {
  return Answer("@" + tag + " error " + command + " code=" + code + " detail=" + quoted(detail, true));
}

Answer &Answer::field(const char *key, const std::string &value) {
  text += std::string(" ") + key + "=" + quoted(value, false);
  return *this;
}

Answer &Answer::field(const char *key, uint64_t value) {
  return field(key, std::to_string(value));
}
