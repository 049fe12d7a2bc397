// Machine lines: `@<tag> ok <command> key=value ...` and `@<tag> error <command> code=<code> detail="..."`.
#pragma once

#include <stdint.h>

#include <string>

// One machine line, built field by field. It always stays one line, whatever is put into it.
class Answer {
 public:
  static Answer ok(const std::string &tag, const char *command);
  // An unasked line, `@- <event>`.
  static Answer event(const char *event);
  // `code` is in kebab-case, `detail` says what to do.
  static Answer error(const std::string &tag, const char *command, const char *code, const std::string &detail);

  // ` key=value`, in quotes where the value needs them.
  Answer &field(const char *key, const std::string &value);
  Answer &field(const char *key, uint32_t value);

  // The line with its end.
  std::string finish() const { return text + "\r\n"; }

 private:
  explicit Answer(std::string start) : text(std::move(start)) {}
  std::string text;
};
