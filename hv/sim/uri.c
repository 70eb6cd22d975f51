/* sim://?key=value&...: rows of keys, one reader each. */
#include "hv/sim/internal.h"

#include <stdlib.h>

enum {
    DEFAULT_VCPUS = 1 << 20,
    MAX_QUERY = 4096,
};
#define DEFAULT_MEMORY  (1LL << 52) /* 4 PiB */
#define DEFAULT_STORAGE (1LL << 60) /* 1 EiB, shared out over the hosts: sums of all stay within 63 bits */
#define DEFAULT_POOL    (1LL << 50) /* 1 PiB, and the most: a thousand of them can be summed, too */

const char *sim_call_name(enum sim_call call)
{
    static const char *const names[] = {
#define SIM_CALL_NAME(name) [SIM_CALL_##name] = #name,
        SIM_CALLS(SIM_CALL_NAME)
#undef SIM_CALL_NAME
    };
    return names[call];
}

/* Decimal with at most one unit behind it; false on anything else or on overflow. */
static bool parse_scaled(const char *s, const char *const *units, const int64_t *factors, int64_t bare, int64_t *ret)
{
    char digits[24];
    const size_t n = strspn(s, "0123456789");
    int64_t v, factor = bare;

    if (n == 0 || n >= sizeof(digits))
        return false;
    memcpy(digits, s, n);
    digits[n] = '\0';
    if (!sv_parse_int(digits, &v))
        return false;
    if (s[n]) {
        size_t u = 0;
        while (units[u] && strcmp(units[u], s + n) != 0)
            u++;
        if (!units[u])
            return false;
        factor = factors[u];
    }
    return !__builtin_mul_overflow(v, factor, ret);
}

bool sim_parse_time(const char *s, int64_t *ret_us)
{
    static const char *const units[] = {"us", "ms", "s", NULL};
    static const int64_t factors[] = {1, 1000, 1000000};
    int64_t us;

    if (!parse_scaled(s, units, factors, 1000, &us) || us > 3600LL * 1000000)
        return false;
    *ret_us = us;
    return true;
}

bool sim_parse_size(const char *s, int64_t *ret)
{
    static const char *const units[] = {"K", "M", "G", "T", "P", "E", NULL};
    static const int64_t factors[] = {1LL << 10, 1LL << 20, 1LL << 30, 1LL << 40, 1LL << 50, 1LL << 60};

    return parse_scaled(s, units, factors, 1, ret);
}

/* "1", "0.01": the locale has no say. */
static bool parse_probability(const char *s, double *ret)
{
    const size_t whole = strspn(s, "0123456789");
    const char *fraction = s[whole] == '.' ? s + whole + 1 : s + whole;
    const size_t digits = strspn(fraction, "0123456789");
    double p = 0, scale = 1;

    if (whole == 0 || whole > 9 || fraction[digits] || (s[whole] == '.') != (digits > 0))
        return false;
    for (size_t i = 0; i < whole; i++)
        p = p * 10 + (s[i] - '0');
    for (size_t i = 0; i < digits; i++) {
        scale /= 10;
        p += scale * (fraction[i] - '0');
    }
    *ret = p;
    return p <= 1.0;
}

enum sv_err sim_parse_fail(const char *s, double fail[SIM_CALL_COUNT], struct sv_error *err)
{
    const char *colon = strchr(s, ':');
    const size_t n = colon ? (size_t)(colon - s) : strlen(s);
    double p;

    if (!colon || !parse_probability(colon + 1, &p))
        return sv_fail(err, SV_E_CONFIG, SV_F_NONE, "sim://: fail= takes CALL:PROBABILITY, such as start:0.01");
    for (unsigned i = 0; i < SIM_CALL_COUNT; i++)
        if (strlen(sim_call_name(i)) == n && strncmp(sim_call_name(i), s, n) == 0) {
            fail[i] = p;
            return SV_OK;
        }
    SV_AUTOFREE char *text =
        sv_asprintf("sim://: fail= knows no call '%.*s'; calls are named as start, define, volume_create, ...",
                    (int)(n < 24 ? n : 24), s);
    return sv_fail(err, SV_E_CONFIG, SV_F_NONE, text);
}

static bool read_hosts(struct sim_conf *c, const char *v)
{
    int64_t n;
    if (!sv_parse_int(v, &n) || n < 1 || n > SV_MAX_HOSTS)
        return false;
    c->hosts = (unsigned)n;
    return true;
}

static bool read_seed(struct sim_conf *c, const char *v)
{
    int64_t n;
    if (!sv_parse_int(v, &n) || n < 0 || n > UINT32_MAX)
        return false;
    c->seed = (unsigned)n;
    return true;
}

static bool parse_cpus(const char *v, int64_t *ret)
{
    return sv_parse_int(v, ret) && *ret > 0 && *ret <= DEFAULT_VCPUS;
}

static bool parse_mem(const char *v, int64_t *ret)
{
    return sim_parse_size(v, ret) && *ret > 0 && *ret <= DEFAULT_MEMORY;
}

static bool read_cpus(struct sim_conf *c, const char *v)
{
    return parse_cpus(v, &c->vcpus);
}

static bool read_mem(struct sim_conf *c, const char *v)
{
    return parse_mem(v, &c->memory);
}

static bool read_own_cpus(struct sim_conf *c, unsigned host, const char *v)
{
    return parse_cpus(v, &c->own[host].vcpus);
}

static bool read_own_mem(struct sim_conf *c, unsigned host, const char *v)
{
    return parse_mem(v, &c->own[host].memory);
}

static bool read_storage(struct sim_conf *c, const char *v)
{
    return sim_parse_size(v, &c->storage) && c->storage > 0 && c->storage <= DEFAULT_STORAGE;
}

static bool read_pool(struct sim_conf *c, const char *v)
{
    return sim_parse_size(v, &c->pool) && c->pool > 0 && c->pool <= DEFAULT_POOL;
}

static bool read_delay(struct sim_conf *c, const char *v)
{
    return sim_parse_time(v, &c->delay_us);
}

static bool read_jitter(struct sim_conf *c, const char *v)
{
    return sim_parse_time(v, &c->jitter_us);
}

static bool read_boot(struct sim_conf *c, const char *v)
{
    return sim_parse_time(v, &c->boot_us);
}

static bool read_stop(struct sim_conf *c, const char *v)
{
    return sim_parse_time(v, &c->stop_us);
}

static bool read_word(const char *v, const char *yes, const char *no, bool *ret)
{
    if (strcmp(v, yes) != 0 && strcmp(v, no) != 0)
        return false;
    *ret = strcmp(v, yes) == 0;
    return true;
}

static bool read_agent(struct sim_conf *c, const char *v)
{
    return read_word(v, "on", "off", &c->agent);
}

static bool read_acpi(struct sim_conf *c, const char *v)
{
    return read_word(v, "on", "ignore", &c->acpi);
}

static bool read_control(struct sim_conf *c, const char *v)
{
    return read_word(v, "1", "0", &c->control);
}

/* It becomes the name of a file. */
static bool read_name(struct sim_conf *c, const char *v)
{
    const size_t n = strlen(v);

    if (n == 0 || n > SIM_NAME_MAX || strspn(v, "abcdefghijklmnopqrstuvwxyz0123456789-") != n)
        return false;
    SV_COPY(c->name, v);
    return true;
}

/* "host2" */
static bool parse_host(const char *v, unsigned *ret)
{
    int64_t n;
    if (strncmp(v, "host", 4) != 0 || !sv_parse_int(v + 4, &n) || n < 1 || n > SV_MAX_HOSTS)
        return false;
    *ret = (unsigned)n - 1;
    return true;
}

static bool read_hang(struct sim_conf *c, const char *v)
{
    unsigned host;
    if (!parse_host(v, &host))
        return false;
    c->hang[host] = true;
    return true;
}

static const struct {
    const char *key, *takes;
    bool (*read)(struct sim_conf *c, const char *value);                    /* NULL: fail=, which has its own errors */
    bool (*read_own)(struct sim_conf *c, unsigned host, const char *value); /* KEY.host2=; NULL: for all hosts only */
} keys[] = {
    {.key = "hosts", .takes = "1-1024", .read = read_hosts},
    {.key = "name", .takes = "up to 32 of a-z, 0-9 and -", .read = read_name},
    {.key = "delay", .takes = "a time such as 20ms", .read = read_delay},
    {.key = "jitter", .takes = "a time such as 5ms", .read = read_jitter},
    {.key = "fail", .takes = "CALL:PROBABILITY", .read = NULL},
    {.key = "hang", .takes = "a host such as host2", .read = read_hang},
    {.key = "cpus", .takes = "1-1048576", .read = read_cpus, .read_own = read_own_cpus},
    {.key = "mem", .takes = "a size such as 256G", .read = read_mem, .read_own = read_own_mem},
    {.key = "storage", .takes = "a size such as 10T", .read = read_storage},
    {.key = "pool", .takes = "a size such as 1T", .read = read_pool},
    {.key = "boot", .takes = "a time such as 100ms", .read = read_boot},
    {.key = "stop", .takes = "a time such as 50ms", .read = read_stop},
    {.key = "agent", .takes = "on or off", .read = read_agent},
    {.key = "acpi", .takes = "on or ignore", .read = read_acpi},
    {.key = "seed", .takes = "a number", .read = read_seed},
    {.key = "control", .takes = "0 or 1", .read = read_control},
};
enum { KEY_COUNT = sizeof(keys) / sizeof(keys[0]) };

static enum sv_err unknown_key(const char *key, struct sv_error *err)
{
    struct sv_buf b SV_CLEANUP(sv_buf_free) = {0};

    sv_buf_printf(&b, "sim://: no key '%.16s', known:", key);
    for (size_t i = 0; i < KEY_COUNT; i++)
        sv_buf_printf(&b, " %s", keys[i].key);
    return sv_fail(err, SV_E_CONFIG, SV_F_NONE, b.p);
}

static enum sv_err read_pair(char *pair, struct sim_conf *c, struct sv_error *err)
{
    char *value = strchr(pair, '=');

    if (value)
        *value++ = '\0';
    for (size_t i = 0; i < KEY_COUNT; i++) {
        const size_t n = strlen(keys[i].key);
        unsigned host;

        if (keys[i].read_own && strncmp(keys[i].key, pair, n) == 0 && pair[n] == '.' && value &&
            parse_host(pair + n + 1, &host) && keys[i].read_own(c, host, value))
            return SV_OK;
        if (strcmp(keys[i].key, pair) != 0)
            continue;
        if (value && !keys[i].read)
            return sim_parse_fail(value, c->fail, err);
        if (value && keys[i].read(c, value))
            return SV_OK;
        SV_AUTOFREE char *text = sv_asprintf("sim://: %s= takes %s", keys[i].key, keys[i].takes);
        return sv_fail(err, SV_E_CONFIG, SV_F_NONE, text);
    }
    return unknown_key(pair, err);
}

enum sv_err sim_conf_parse(const char *uri, struct sim_conf *ret, struct sv_error *err)
{
    struct sim_conf c = {.name = "host",
                         .pool = DEFAULT_POOL,
                         .hosts = 1,
                         .seed = 1,
                         .vcpus = DEFAULT_VCPUS,
                         .memory = DEFAULT_MEMORY,
                         .agent = true,
                         .acpi = true};
    const char *query = uri + strlen("sim://");

    query += strspn(query, "/");
    if (*query && *query != '?')
        return sv_fail(err, SV_E_CONFIG, SV_F_NONE, "sim:// takes no host name or path, only ?key=value&...");
    if (strlen(query) > MAX_QUERY)
        return sv_fail(err, SV_E_CONFIG, SV_F_NONE, "sim://: the URI is too long");

    SV_AUTOFREE char *pairs = sv_strdup(*query ? query + 1 : query);
    char *rest = NULL;
    for (char *pair = strtok_r(pairs, "&", &rest); pair; pair = strtok_r(NULL, "&", &rest)) {
        const enum sv_err rc = read_pair(pair, &c, err);
        if (rc)
            return rc;
    }
    for (unsigned i = c.hosts; i < SV_MAX_HOSTS; i++)
        if (c.hang[i] || c.own[i].vcpus || c.own[i].memory)
            return sv_fail(err, SV_E_CONFIG, SV_F_NONE,
                           c.hang[i] ? "sim://: hang= names a host past hosts="
                                     : "sim://: cpus.hostN= or mem.hostN= names a host past hosts=");
    if (c.storage == 0)
        c.storage = DEFAULT_STORAGE / c.hosts;
    *ret = c;
    return SV_OK;
}
