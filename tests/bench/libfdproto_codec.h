#ifndef SIGLANE_TESTS_BENCH_LIBFDPROTO_CODEC_H
#define SIGLANE_TESTS_BENCH_LIBFDPROTO_CODEC_H
#include <stddef.h>
#include <stdint.h>

// freeDiameter's codec behind functions that C++ can call: libfdproto with the dictionaries that
// freeDiameter ships for NASREQ, credit control and 3GPP, and S6a's Update-Location, which it does
// not ship. Everything ends the process where it cannot be done: it is only for benchmarks.

#ifdef __cplusplus
extern "C" {
#endif

void libfdproto_start(void);

// Parse, against the dictionary, and visit every AVP; the digest.
uint64_t libfdproto_decode(const uint8_t* bytes, size_t size);

// The values of a message, with the dictionary objects looked up: what a program holds that is
// about to send it.
struct LibfdprotoValues;
struct LibfdprotoValues* libfdproto_values(const uint8_t* bytes, size_t size);
// Build the message from the values and encode it. Free `*bytes` with free().
void libfdproto_encode(const struct LibfdprotoValues* values, uint8_t** bytes, size_t* size);

#ifdef __cplusplus
}
#endif

#endif
