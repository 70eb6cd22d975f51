#include "hv/libvirt/internal.h"

#include <stdlib.h>

void lv_table_init(struct lv_table *t)
{
    pthread_mutex_init(&t->mu, NULL);
    sv_cond_init(&t->changed);
}

void lv_table_free(struct lv_table *t)
{
    for (size_t i = 0; i < LV_BUCKETS; i++)
        while (t->bucket[i]) {
            struct lv_vm *v = t->bucket[i];
            t->bucket[i] = v->next;
            free(v);
        }
    pthread_cond_destroy(&t->changed);
    pthread_mutex_destroy(&t->mu);
}

/* The tail of an id is random. */
static struct lv_vm **slot(struct lv_table *t, const struct sv_id *vm)
{
    unsigned h = 0;
    for (const char *p = vm->s; *p; p++)
        h = h * 31 + (unsigned char)*p;
    struct lv_vm **v = &t->bucket[h % LV_BUCKETS];
    while (*v && !sv_id_eq(&(*v)->id, vm))
        v = &(*v)->next;
    return v;
}

struct lv_vm *lv_table_find(struct lv_table *t, const struct sv_id *vm)
{
    return *slot(t, vm);
}

struct lv_vm *lv_table_get(struct lv_table *t, const struct sv_id *vm)
{
    struct lv_vm **v = slot(t, vm);
    if (!*v) {
        *v = sv_alloc(sizeof(**v));
        **v = (struct lv_vm){.id = *vm, .agent = -1, .power = SV_HV_ABSENT};
    }
    return *v;
}

void lv_table_drop(struct lv_table *t, const struct sv_id *vm)
{
    pthread_mutex_lock(&t->mu);
    struct lv_vm **at = slot(t, vm), *v = *at;
    if (v)
        *at = v->next;
    pthread_mutex_unlock(&t->mu);
    free(v);
}

void lv_table_set_ours(struct lv_table *t, const struct sv_id *vm)
{
    pthread_mutex_lock(&t->mu);
    lv_table_get(t, vm)->ours = true;
    pthread_mutex_unlock(&t->mu);
}

bool lv_table_is_ours(struct lv_table *t, const struct sv_id *vm)
{
    pthread_mutex_lock(&t->mu);
    const struct lv_vm *v = lv_table_find(t, vm);
    bool ours = v && v->ours;
    pthread_mutex_unlock(&t->mu);
    return ours;
}

void lv_table_set_agent(struct lv_table *t, const struct sv_id *vm, int agent)
{
    pthread_mutex_lock(&t->mu);
    lv_table_get(t, vm)->agent = agent;
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->mu);
}

int lv_table_agent(struct lv_table *t, const struct sv_id *vm)
{
    pthread_mutex_lock(&t->mu);
    const struct lv_vm *v = lv_table_find(t, vm);
    int agent = v ? v->agent : -1;
    pthread_mutex_unlock(&t->mu);
    return agent;
}

static void set_power(struct lv_table *t, struct lv_vm *v, enum sv_hv_power power)
{
    v->power = power;
    v->changes++;
    if (power != SV_HV_RUNNING && power != SV_HV_PAUSED) {
        v->agent = 0;
        v->shutdown_asked = false;
        v->screen_port = 0;
    }
    pthread_cond_broadcast(&t->changed);
}

void lv_table_set_power(struct lv_table *t, const struct sv_id *vm, enum sv_hv_power power)
{
    pthread_mutex_lock(&t->mu);
    set_power(t, lv_table_get(t, vm), power);
    pthread_mutex_unlock(&t->mu);
}

void lv_table_set_power_if_known(struct lv_table *t, const struct sv_id *vm, enum sv_hv_power power)
{
    pthread_mutex_lock(&t->mu);
    struct lv_vm *v = lv_table_find(t, vm);
    if (v)
        set_power(t, v, power);
    pthread_mutex_unlock(&t->mu);
}

void lv_table_set_starting(struct lv_table *t, const struct sv_id *vm, bool starting)
{
    pthread_mutex_lock(&t->mu);
    lv_table_get(t, vm)->starting = starting;
    pthread_mutex_unlock(&t->mu);
}

bool lv_table_is_starting(struct lv_table *t, const struct sv_id *vm)
{
    pthread_mutex_lock(&t->mu);
    const struct lv_vm *v = lv_table_find(t, vm);
    bool starting = v && v->starting;
    pthread_mutex_unlock(&t->mu);
    return starting;
}

void lv_table_set_screen(struct lv_table *t, const struct sv_id *vm, const char *host, unsigned port)
{
    pthread_mutex_lock(&t->mu);
    struct lv_vm *v = lv_table_get(t, vm);
    SV_COPY(v->screen_host, host);
    v->screen_port = port;
    pthread_mutex_unlock(&t->mu);
}

void lv_table_ask_shutdown(struct lv_table *t, const struct sv_id *vm)
{
    pthread_mutex_lock(&t->mu);
    lv_table_get(t, vm)->shutdown_asked = true;
    pthread_mutex_unlock(&t->mu);
}

void lv_table_set_unplugged(struct lv_table *t, const struct sv_id *vm)
{
    pthread_mutex_lock(&t->mu);
    lv_table_get(t, vm)->unplugged++;
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->mu);
}

void lv_table_set_job_ended(struct lv_table *t, const struct sv_id *vm)
{
    pthread_mutex_lock(&t->mu);
    lv_table_get(t, vm)->jobs++;
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->mu);
}

void lv_table_ask_reboot(struct lv_table *t, const struct sv_id *vm)
{
    pthread_mutex_lock(&t->mu);
    struct lv_vm *v = lv_table_get(t, vm);
    v->reboot_asked = true;
    v->rebooted = false;
    pthread_mutex_unlock(&t->mu);
}

void lv_table_set_rebooted(struct lv_table *t, const struct sv_id *vm)
{
    pthread_mutex_lock(&t->mu);
    struct lv_vm *v = lv_table_find(t, vm);
    if (v && v->reboot_asked)
        v->rebooted = true;
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->mu);
}

void lv_table_new_epoch(struct lv_table *t)
{
    pthread_mutex_lock(&t->mu);
    t->epoch++;
    for (size_t i = 0; i < LV_BUCKETS; i++)
        for (struct lv_vm *v = t->bucket[i]; v; v = v->next)
            v->agent = -1;
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->mu);
}

void lv_table_close(struct lv_table *t)
{
    pthread_mutex_lock(&t->mu);
    t->closing = true;
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->mu);
}
