/* The database half of the HTTP yardsticks: 1,000 VMs of 13 fields, jobs and locks, in SQLite. */
#ifndef BENCH_YARD_DB_H
#define BENCH_YARD_DB_H

#include "bench/yard.h"

#include <sqlite3.h>

struct yard_db {
    sqlite3 *db;
    sqlite3_stmt *page, *get, *begin, *job, *lock, *commit;
};

/* Makes the tables and rows anew. */
void yard_db_seed(const char *path);
/* One connection, synchronous=FULL, statements prepared. */
void yard_db_open(struct yard_db *d, const char *path);
/* {"result":"0","data":[...]} of 30 rows. */
void yard_db_page(struct yard_db *d, long page, struct yard_text *out);
/* {"result":"0","data":{...}} */
void yard_db_get(struct yard_db *d, long vm, struct yard_text *out);
void yard_db_begin(struct yard_db *d);
/* One job row and one lock row within the transaction; returns the job's number. */
int64_t yard_db_accept(struct yard_db *d, long vm);
void yard_db_commit(struct yard_db *d);

enum { YARD_VMS = 1000 };

#endif
