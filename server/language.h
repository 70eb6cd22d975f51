/* Accept-Language (RFC 9110 12.5.4): which of our languages a client wants most. */
#ifndef STARVIRT_SERVER_LANGUAGE_H
#define STARVIRT_SERVER_LANGUAGE_H

#include "starvirt/error.h"

/* `list` NULL, or without one that we have: Chinese. Among equals the one named first. */
enum sv_lang sv_language_of(const char *list);

#endif
