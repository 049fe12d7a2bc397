// What the client needs from the machine that it runs on. HTTPSRequest.ino is the ESP8266's; ../host has that of a process.
//
// Nothing here waits, except where a limit in milliseconds is given. An implementation knows no TLS, no command and no setting but the name
// and password of a network.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <string>

enum class Joined { Yes, NotYet, NotFound, Refused };
enum class Resolved { Yes, NotFound, Failed };
enum class Opened { Yes, Refused, Unreachable, TimedOut };

// What send and receive return instead of a number of bytes.
constexpr int CONNECTION_ENDED = -1;
constexpr int CONNECTION_RESET = -2;

struct Address {
  uint8_t octets[4];
};

struct Endpoint {
  Address address;
  uint16_t port;
};

// What the ready line says.
struct Identity {
  const char *board;   // "wifi" or "host"
  std::string image;   // the first 16 hexadecimal digits of the SHA-256 of the file that was flashed
  const char *reset;   // why the chip was reset last
};

// Memory in bytes.
struct Usage {
  uint32_t heapSize, heapUsed, heapPeak, stackSize, stackPeak;
};

class Platform {
 public:
  virtual ~Platform() = default;

  // The console.
  virtual void write(const char *bytes, size_t length) = 0;

  // Milliseconds. They never wrap round: the certificate's date is counted by them.
  virtual uint64_t now() = 0;
  // Lets others work, for about a millisecond.
  virtual void pause() = 0;
  virtual void random(uint8_t *bytes, size_t length) = 0;

  // Whether a network must be named and joined.
  virtual bool wireless() const = 0;
  // Asked until it says something else than NotYet. No password joins an open network.
  virtual Joined join(const std::string &name, const std::string *password) = 0;
  virtual Address address() = 0;
  virtual Resolved resolve(const std::string &host, uint32_t limit, Address &address) = 0;

  // One TCP connection at a time.
  virtual Opened connect(const Endpoint &to, uint32_t limit) = 0;
  // Bytes that were taken or given, 0 where none could be now, or one of the two above.
  virtual int send(const uint8_t *bytes, size_t length) = 0;
  virtual int receive(uint8_t *bytes, size_t length) = 0;
  virtual void close() = 0;

  virtual Identity identity() = 0;
  virtual Usage usage() = 0;
  virtual void restart() = 0;
  virtual void hang() = 0;
};
