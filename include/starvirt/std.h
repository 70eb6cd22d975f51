/* The standard streams of our programs. */
#ifndef STARVIRT_STD_H
#define STARVIRT_STD_H

#include <stdbool.h>

/* First in main(): a stream that is closed becomes one that fails, so that no file opened later is taken for it. */
void sv_std_open(void);
/* Last in main(): did all of standard output get out? Else says so as `program`, unless the reader has gone. */
bool sv_std_close(const char *program);

#endif
