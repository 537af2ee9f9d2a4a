/* sha256.h - SHA-256 (FIPS 180-4). Here because the recorder lives in other people's processes and
 * may link nothing but libc. */
#ifndef FORMATS_TRACE_SHA256_H
#define FORMATS_TRACE_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_SIZE 32

void sha256(const void *bytes, size_t size, uint8_t digest[SHA256_SIZE]);

#endif
