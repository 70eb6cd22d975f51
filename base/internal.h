/* Shared by the files of this room only. */
#ifndef STARVIRT_BASE_INTERNAL_H
#define STARVIRT_BASE_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

#define SV_UTF8_REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD */

/* Length of the well-formed sequence at p (1-4 of at most n bytes), 0 if there is none. */
size_t sv_utf8_seq(const char *p, size_t n);
/* The longest length <= max that does not cut a sequence of s (which holds more than max bytes). */
size_t sv_utf8_cut(const char *s, size_t max);
/* A reason in English -> what readers of Chinese get; in quotes where it is a sentence of somebody else's. */
void sv_phrase_text(const char *text, char *buf, size_t size);
/* Decimal without a terminator; returns the length. */
size_t sv_dec_write(char buf[24], int64_t v);

#endif
