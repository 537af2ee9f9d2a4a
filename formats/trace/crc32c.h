/* crc32c.h - CRC-32C (Castagnoli, reflected polynomial 0x82F63B78), as iSCSI (RFC 3720) has it. */
#ifndef FORMATS_TRACE_CRC32C_H
#define FORMATS_TRACE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The CRC of `size` bytes that follow bytes whose CRC is `crc` (0 to begin with). crc32c(0,
 * "123456789", 9) is 0xE3069283. Uses the processor's instruction where there is one. */
uint32_t crc32c(uint32_t crc, const void *bytes, size_t size);

#endif
