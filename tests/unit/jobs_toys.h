/* Toy jobs over a real database in a directory of their own. A step "does" something by making the file
 * OBJECT.STEP, an undo by removing it; what else it does is said by the job's sarg:
 *   fail:S     step S fails with HYPERVISOR, its effect half done
 *   gate:S     step S waits until the gate opens; it gives way to a cancellation and the deadline
 *   deaf:S     the same, but hears nothing
 *   stuck:S    the undo of S always fails
 *   hold:S     the undo of S waits at the gate
 *   all;       toy.some takes its last two steps, too
 *   half:S     step S reports half of its work, notes it, then waits at the gate */
#ifndef STARVIRT_TESTS_JOBS_TOYS_H
#define STARVIRT_TESTS_JOBS_TOYS_H

#include <pthread.h>

#include "check.h"
#include "jobs/internal.h"
#include "starvirt/store_tenant.h"
#include "starvirt/thread.h"

#define TOY_WAIT_MS 30000 /* nothing here takes near as long */

struct toys {
    char dir[128];
    struct sv_db *db;
    struct sv_jobs *jobs;
    struct sv_id tenant;
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    struct sv_buf trace; /* "+a +b -b " of all jobs */
    unsigned at_gate, running, most_running;
    bool gate_open;
    bool unstuck;          /* undos that were told to fail work now */
    enum sv_err end_fails; /* once */
    int tell_fd;           /* a byte for each effect; -1 = none */
};

extern const struct sv_job_kind toy_three, toy_once, toy_hasty, toy_one, toy_grim, toy_none, toy_some, toy_alone;
extern const struct sv_job_kind *const toy_kinds[], *const toy_kinds_but_three[];

/* A new directory and database, with a tenant. */
void toys_make(struct toys *t);
void toys_open(struct toys *t); /* the database of a directory that is there */
void toys_engine(struct toys *t, const struct sv_jobs_options *opt, const struct sv_job_kind *const *kinds);
void toys_close(struct toys *t); /* engine and database */
void toys_remove(struct toys *t);
/* All of it: a new directory, an engine with `slots`, started. */
void toys_up(struct toys *t, unsigned slots);
void toys_down(struct toys *t);

struct sv_id toy_accept(struct toys *t, const struct sv_job_kind *kind, const char *host, const char *sarg);
enum sv_err toy_accept_on(struct toys *t, const struct sv_job_kind *kind, const struct sv_id *object, const char *host,
                          const char *sarg, struct sv_id *ret, struct sv_error *err);
enum sv_err toy_cancel(struct toys *t, const struct sv_id *id, enum sv_job_result *ret);
/* Texts live in `a`. */
struct sv_job toy_job(struct toys *t, const struct sv_id *id, struct sv_arena *a);
enum sv_job_result toy_wait(struct toys *t, const struct sv_id *id);
void toy_wait_gate(struct toys *t, unsigned n); /* until n steps wait there */
void toy_open_gate(struct toys *t);
void toy_wait_state(struct toys *t, const struct sv_id *id, enum jobs_state state);
bool toy_effect(struct toys *t, const struct sv_id *object, const char *step);
/* "ACCEPTED STARTED STEP_BEGIN:a ..."; checks that serials have no gap. */
char *toy_log(struct toys *t, const struct sv_id *id, struct sv_arena *a);
char *toy_log_text(struct toys *t, const struct sv_id *id, enum sv_lang lang, struct sv_arena *a);
bool toy_locked(struct toys *t, const struct sv_id *object);
/* How many events of this type the object has. */
unsigned toy_events(struct toys *t, const struct sv_id *object, const char *type);
/* Until at most n run: a worker lets go of a job a moment after its end is on disk. */
void toy_wait_running(struct toys *t, unsigned n, struct sv_jobs_stats *s);

#endif
