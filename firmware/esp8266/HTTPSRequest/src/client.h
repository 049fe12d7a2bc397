// One run: join the network, connect, handshake, check the certificate, ask, read the reply, judge it.
#pragma once

#include <optional>
#include <string>

#include "answer.h"
#include "platform.h"
#include "settings.h"
#include "tls.h"

class Client {
 public:
  Client(Platform &platform, const Settings &settings) : platform(platform), settings(settings) {}

  // What must be set first, or null.
  const char *missing() const;
  // Runs once, with the transcript on the console, and adds what came of it to `answer`.
  void run(Answer &answer);

 private:
  // Each is false where it failed, and then the outcome and the reason are known.
  bool join(const Deadline &total);
  bool connect(const Deadline &total);
  bool exchange(Tls &tls, const Deadline &total);
  bool receiveHead(Tls &tls, std::string &bytes, struct Head &head, const Deadline &deadline);
  bool receiveBody(Tls &tls, std::string &bytes, const struct Head &head, const Deadline &deadline);

  Deadline phase(Phase phase, const Deadline &total) const;
  bool fail(const char *outcome, const std::string &reason);
  void say(const std::string &line);
  void describeTo(Answer &answer) const;

  Platform &platform;
  const Settings &settings;
  const char *outcome = "";
  std::string reason;
  Evidence evidence;
  bool proved = false;
  std::optional<uint16_t> status;
  std::optional<uint32_t> printed;
};
