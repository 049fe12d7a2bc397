// Machine lines: `@<tag> ok <command> key=value ...`, `@<tag> error <command> code=<code> detail="..."`, and around the body of a reply
// `@<tag> reply begin` and `@<tag> reply end`.
#pragma once

#include <stdint.h>

#include <string>

// One machine line, built field by field. It always stays one line, whatever is put into it.
class Answer {
 public:
  static Answer ok(const std::string &tag, const char *command);
  // An unasked line, `@- <event>`.
  static Answer event(const char *event);
  // `@<tag> reply <place>` marks where the server's text begins or ends.
  static Answer reply(const std::string &tag, const char *place);
  // `code` is in kebab-case, `detail` says what to do.
  static Answer error(const std::string &tag, const char *command, const char *code, const std::string &detail);

  // ` key=value`, in quotes where the value needs them.
  Answer &field(const char *key, const std::string &value);
  Answer &field(const char *key, uint64_t value);

  // The line with its end.
  std::string finish() const { return text + "\r\n"; }

 private:
  explicit Answer(std::string start) : text(std::move(start)) {}
  std::string text;
};
