/*
 * BearSSL as a client, with its own engine and its own check of certificates: `bearssl PORT TRUSTED.DER HOST DATE
 * REQUEST`.
 *
 * The reply goes to standard output. HOST is checked unless it is empty. DATE is
 * in seconds since 1970, or `now`. The exit code is 0 if the server has ended the reply by close_notify; otherwise it
 * is 1, and standard error has BearSSL's number of the error (bearssl_ssl.h and bearssl_x509.h).
 */

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <bearssl.h>

static unsigned char name[4096];
static size_t name_length;

static void append_name(void *context, const void *bytes, size_t length) {
  (void)context;
  if (name_length + length > sizeof name) exit(2);
  memcpy(name + name_length, bytes, length);
  name_length += length;
}

static int receive(void *socket, unsigned char *buffer, size_t length) {
  ssize_t count = read(*(int *)socket, buffer, length);
  return count > 0 ? (int)count : -1;
}

static int send_to(void *socket, const unsigned char *buffer, size_t length) {
  ssize_t count = send(*(int *)socket, buffer, length, MSG_NOSIGNAL);
  return count > 0 ? (int)count : -1;
}

int main(int count, char **arguments) {
  static unsigned char certificate[1 << 16], buffer[BR_SSL_BUFSIZE_BIDI];
  static br_x509_decoder_context decoder;
  static br_ssl_client_context client;
  static br_x509_minimal_context x509;
  static br_sslio_context io;

  if (count != 6) return 2;
  FILE *file = fopen(arguments[2], "rb");
  if (!file) return 2;
  size_t certificate_length = fread(certificate, 1, sizeof certificate, file);

  br_x509_decoder_init(&decoder, append_name, NULL);
  br_x509_decoder_push(&decoder, certificate, certificate_length);
  br_x509_pkey *key = br_x509_decoder_get_pkey(&decoder);
  if (!key) {
    fprintf(stderr, "cannot trust this certificate: error %d\n", br_x509_decoder_last_error(&decoder));
    return 1;
  }
  br_x509_trust_anchor trusted = {
      .dn = {name, name_length}, .flags = br_x509_decoder_isCA(&decoder) ? BR_X509_TA_CA : 0, .pkey = *key};

  br_ssl_client_init_full(&client, &x509, &trusted, 1);
  br_ssl_engine_set_versions(&client.eng, BR_TLS12, BR_TLS12);
  br_ssl_engine_set_buffer(&client.eng, buffer, sizeof buffer, 1);
  /* BearSSL counts days from the year 0. */
  long long date = strcmp(arguments[4], "now") == 0 ? (long long)time(NULL) : atoll(arguments[4]);
  br_x509_minimal_set_time(&x509, (uint32_t)(date / 86400 + 719528), (uint32_t)(date % 86400));
  br_ssl_client_reset(&client, arguments[3][0] ? arguments[3] : NULL, 0);

  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(arguments[1]))};
  inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
  int tcp = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(tcp, (struct sockaddr *)&address, sizeof address) != 0) return 2;
  br_sslio_init(&io, &client.eng, receive, &tcp, send_to, &tcp);
  if (br_sslio_write_all(&io, arguments[5], strlen(arguments[5])) == 0 && br_sslio_flush(&io) == 0) {
    unsigned char reply[4096];
    int length;
    while ((length = br_sslio_read(&io, reply, sizeof reply)) > 0) fwrite(reply, 1, (size_t)length, stdout);
  }
  int error = br_ssl_engine_last_error(&client.eng);
  if (error != BR_ERR_OK) {
    fprintf(stderr, "error %d\n", error);
    return 1;
  }
  return 0;
}
