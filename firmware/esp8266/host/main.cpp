// The sketch's client as a process on this machine, with standard input and output as its console and this machine's network: a board of
// `kind = "process"`. What depends on the chip (memory, Wi-Fi, its watchdogs) it cannot show.

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

#include "shell.h"

namespace {

class ThisMachine : public Platform {
 public:
  void write(const char *bytes, size_t length) override {
    while (length > 0) {
      const ssize_t count = ::write(STDOUT_FILENO, bytes, length);
      if (count < 0 && errno == EINTR) continue;
      // A console that nobody reads drops what is written.
      if (count < 0) return;
      bytes += count;
      length -= static_cast<size_t>(count);
    }
  }

  uint64_t now() override {
    timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return static_cast<uint64_t>(time.tv_sec) * 1000 + static_cast<uint64_t>(time.tv_nsec) / 1000000;
  }

  void pause() override {
    pollfd waiting = {connection, POLLIN, 0};
    poll(&waiting, connection < 0 ? 0 : 1, 1);
  }

  void random(uint8_t *bytes, size_t length) override {
    if (getrandom(bytes, length, 0) != static_cast<ssize_t>(length)) abort();
  }

  bool wireless() const override { return false; }
  Joined join(const std::string &, const std::string *) override { return Joined::Yes; }
  Address address() override { return {{127, 0, 0, 1}}; }

  Resolved resolve(const std::string &host, uint32_t, Address &found) override {
    addrinfo wanted = {}, *list = nullptr;
    wanted.ai_family = AF_INET;
    const int error = getaddrinfo(host.c_str(), nullptr, &wanted, &list);
    if (error != 0) return error == EAI_NONAME ? Resolved::NotFound : Resolved::Failed;
    memcpy(found.octets, &reinterpret_cast<sockaddr_in *>(list->ai_addr)->sin_addr, 4);
    freeaddrinfo(list);
    return Resolved::Yes;
  }

  Opened connect(const Endpoint &to, uint32_t limit) override {
    connection = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (connection < 0) return Opened::Unreachable;
    const int on = 1;
    setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    sockaddr_in server = {};
    server.sin_family = AF_INET;
    server.sin_port = htons(to.port);
    memcpy(&server.sin_addr, to.address.octets, 4);
    int error = 0;
    if (::connect(connection, reinterpret_cast<sockaddr *>(&server), sizeof server) < 0) error = errno;
    if (error == EINPROGRESS) {
      pollfd opening = {connection, POLLOUT, 0};
      socklen_t size = sizeof error;
      if (poll(&opening, 1, static_cast<int>(limit)) == 0) {
        error = ETIMEDOUT;
      } else {
        getsockopt(connection, SOL_SOCKET, SO_ERROR, &error, &size);
      }
    }
    if (error == 0) return Opened::Yes;
    close();
    // A reset that comes at once ends the call as a refusal does.
    if (error == ECONNREFUSED || error == ECONNRESET) return Opened::Refused;
    return error == ETIMEDOUT ? Opened::TimedOut : Opened::Unreachable;
  }

  int send(const uint8_t *bytes, size_t length) override {
    return moved(::send(connection, bytes, length, MSG_NOSIGNAL));
  }

  int receive(uint8_t *bytes, size_t length) override {
    const ssize_t count = recv(connection, bytes, length, 0);
    return count == 0 ? CONNECTION_ENDED : moved(count);
  }

  void close() override {
    if (connection < 0) return;
    shutdown(connection, SHUT_WR);
    ::close(connection);
    connection = -1;
  }

  Identity identity() override { return {"host", std::string(16, '0'), "power-on"}; }
  Usage usage() override { return {}; }

  // Whoever started this process starts it again.
  void restart() override { exit(0); }
  void hang() override {
    for (;;) ::pause();
  }

 private:
  static int moved(ssize_t count) {
    if (count >= 0) return static_cast<int>(count);
    if (errno == EAGAIN || errno == EINTR) return 0;
    return errno == ECONNRESET ? CONNECTION_RESET : CONNECTION_ENDED;
  }

  int connection = -1;
};

}  // namespace

int main() {
  ThisMachine machine;
  Shell shell(machine);
  shell.begin();
  char bytes[1024];
  for (;;) {
    const ssize_t count = read(STDIN_FILENO, bytes, sizeof bytes);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return 0;
    for (ssize_t at = 0; at < count; at++) shell.take(bytes[at]);
  }
}
