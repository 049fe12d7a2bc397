/* Gives a pty modem lines. Preloaded into a program, it handles the program's requests about DTR and RTS of one tty: it
   sends their new levels over a socket, and waits until the other end has moved the lines. All other requests go to the
   kernel.

   Enters: MODEM_LINES_TTY, the path of the tty; MODEM_LINES_SOCKET, the path of the Unix socket; MODEM_LINES_SINGLE,
   which if set makes TIOCMSET fail, as with some drivers, so that lines move one at a time. Leaves: a byte for each
   change, with DTR in bit 0 and RTS in bit 1. The other end answers each with a byte. (ioctl_tty(2), "Modem control".) */

#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

/* The kernel raises both when a port is opened. */
static int lines = TIOCM_DTR | TIOCM_RTS;
static int far_end = -1;

static int is_the_tty(int fd)
{
    const char *path = getenv("MODEM_LINES_TTY");
    struct stat tty, open;
    return path && stat(path, &tty) == 0 && fstat(fd, &open) == 0 && S_ISCHR(open.st_mode) && tty.st_rdev == open.st_rdev;
}

static int connect_to_far_end(void)
{
    const char *path = getenv("MODEM_LINES_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!path || strlen(path) >= sizeof address.sun_path)
        return -1;
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static int set(int changed)
{
    lines = changed & (TIOCM_DTR | TIOCM_RTS);
    unsigned char byte = (lines & TIOCM_DTR ? 1 : 0) | (lines & TIOCM_RTS ? 2 : 0);
    if (far_end < 0)
        far_end = connect_to_far_end();
    if (far_end < 0 || write(far_end, &byte, 1) != 1 || read(far_end, &byte, 1) != 1) {
        errno = EIO;
        return -1;
    }
    return 0;
}

int ioctl(int fd, unsigned long request, ...)
{
    va_list rest;
    va_start(rest, request);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    int modem = request == TIOCMGET || request == TIOCMSET || request == TIOCMBIS || request == TIOCMBIC;
    if (!modem || !is_the_tty(fd))
        return syscall(SYS_ioctl, fd, request, argument);
    int *bits = argument;
    switch (request) {
    case TIOCMGET:
        *bits = lines | TIOCM_CTS | TIOCM_DSR | TIOCM_CAR;
        return 0;
    case TIOCMBIS:
        return set(lines | *bits);
    case TIOCMBIC:
        return set(lines & ~*bits);
    default:
        if (getenv("MODEM_LINES_SINGLE")) {
            errno = EINVAL;
            return -1;
        }
        return set(*bits);
    }
}
