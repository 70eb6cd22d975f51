/* Structured log: one logfmt line an event on stderr, values escaped, request id added by itself. */
#ifndef STARVIRT_LOG_H
#define STARVIRT_LOG_H

enum sv_level { SV_LOG_DEBUG, SV_LOG_INFO, SV_LOG_WARN, SV_LOG_ERROR };

/* Pairs of strings, NULL-terminated: sv_log(SV_LOG_INFO, "job.done", "startid", id, NULL).
 * Never pass a secret. Thread-safe; one write() a line. */
void sv_log(enum sv_level level, const char *event, ...) __attribute__((sentinel));
void sv_log_level(enum sv_level least);
/* The id printed as req=... by this thread until changed; NULL = none. Not copied. */
void sv_log_request(const char *request_id);
const char *sv_level_name(enum sv_level level);

#endif
