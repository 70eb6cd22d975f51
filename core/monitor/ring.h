/* History in files of its own, DIR/monitor/NNNN.book: of each object a ring of minutes, one of hours, one of days.
 *
 * A book has room for 1024 objects and never grows past 72 MiB; what was not written takes no room on the disk. Points
 * of a time lie beside those of other objects, sixteen of an object together: a minute's points of 1024 objects touch
 * 112 pages, a day of one object is read in 90 pieces. A point is written at once and says whose, and of when, it is:
 * one that was cut short, or left by an object that had the slot before, is none. Nothing is synced: a machine that
 * dies may lose the last points, and no more.
 *
 * Threads: one writes; any may read. */
#ifndef CORE_MONITOR_RING_H
#define CORE_MONITOR_RING_H

#include "starvirt/core_monitor.h"

enum { SV_BOOK_SLOTS = 1024, SV_POINTS_TOGETHER = 16 };

/* Where an object's history is. */
struct sv_slot {
    unsigned book, at;
    uint16_t epoch; /* how often the slot was given away before: tells its points from those of others. 0 = no slot */
};

struct sv_rings;
/* Makes the directory. `row` is called for each slot that has an object. A book that is damaged is left as it is, named
 * in the log, and not used. */
enum sv_err sv_rings_open(const char *dir, struct sv_rings **ret,
                          void (*row)(void *arg, const struct sv_id *object, struct sv_slot slot, int64_t written_ms),
                          void *arg, struct sv_error *err);
void sv_rings_close(struct sv_rings *r); /* NULL ok */
/* A slot for the object: false when it could not be written down (the disk is full). */
bool sv_rings_take(struct sv_rings *r, const struct sv_id *object, struct sv_slot *ret);
void sv_rings_give(struct sv_rings *r, struct sv_slot slot);
/* When the minute, hour or day began that the time is in, and when it ends [ms]. Days are those of the server's zone.
 */
int64_t sv_line_begin(enum sv_monitor_line line, int64_t time_ms);
int64_t sv_line_end(enum sv_monitor_line line, int64_t begin_ms);
/* False: the point is lost. */
bool sv_rings_write(struct sv_rings *r, struct sv_slot slot, enum sv_monitor_line line,
                    const struct sv_monitor_point *p);
/* Points of begin <= time < end, oldest first. */
void sv_rings_read(struct sv_rings *r, struct sv_slot slot, enum sv_monitor_line line, int64_t begin_ms, int64_t end_ms,
                   void (*row)(void *arg, const struct sv_monitor_point *p), void *arg);
/* The average of the points of the finer line since `begin` of one of this; false: there are none. */
bool sv_rings_fold(struct sv_rings *r, struct sv_slot slot, enum sv_monitor_line line, int64_t begin_ms,
                   struct sv_monitor_point *ret);
/* How far the line reaches back [ms]. */
int64_t sv_line_reach(enum sv_monitor_line line);

#endif
