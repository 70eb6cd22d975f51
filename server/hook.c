#include "server/hook.h"
#include "starvirt/path.h"
#include "starvirt/text.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECRET_MIN = 16, SECRET_MAX = 4096, URL_MAX = 1024, ANSWER_MAX = 64 * 1024, CONNECT_MS = 5000, HMAC = 32 };

/* --- options ---------------------------------------------------------------------------------------------- */

static enum sv_err wrong_file(const char *path, const char *why, struct sv_error *err)
{
    return sv_fail_path(err, SV_E_CONFIG, "alarm.webhook.secret", path, why);
}

static const char *what_is_wrong(const struct stat *st)
{
    if (!S_ISREG(st->st_mode))
        return "is no regular file";
    if (st->st_mode & 077)
        return "can be read by others: chmod 600";
    return st->st_size > SECRET_MAX ? "is too large for a secret" : NULL;
}

/* NULL: it is read. */
static const char *read_from(int fd, char buf[SECRET_MAX + 1])
{
    const char *why;
    struct stat st;
    ssize_t n;

    if (fstat(fd, &st) < 0)
        return strerror(errno);
    why = what_is_wrong(&st);
    if (why)
        return why;
    n = read(fd, buf, SECRET_MAX);
    if (n < 0)
        return strerror(errno);
    buf[n] = '\0';
    buf[strcspn(buf, "\r\n")] = '\0';
    return strlen(buf) < SECRET_MIN ? "is too short: at least 16 bytes" : NULL;
}

static enum sv_err read_secret(const char *path, struct sv_hooks *h, struct sv_error *err)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    const char *why;

    if (fd < 0)
        return wrong_file(path, strerror(errno), err);
    h->secret = sv_alloc(SECRET_MAX + 1);
    why = read_from(fd, h->secret);
    close(fd);
    return why ? wrong_file(path, why, err) : SV_OK;
}

static bool is_good_url(const char *url)
{
    CURLU *u = curl_url();
    char *scheme = NULL, *host = NULL;
    bool good;

    good = u && strlen(url) <= URL_MAX && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
           curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
           curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK && host[0] &&
           (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
    curl_free(scheme);
    curl_free(host);
    curl_url_cleanup(u);
    return good;
}

static bool have(const struct sv_hooks *h, const char *url)
{
    for (unsigned i = 0; i < h->count; i++)
        if (strcmp(h->url[i], url) == 0)
            return true;
    return false;
}

/* Which one is told by its number: what stands in it may be a secret. */
static enum sv_err wrong_url(unsigned number, const char *why, struct sv_error *err)
{
    char what[SV_ERR_ARG_MAX];

    snprintf(what, sizeof(what), "alarm.webhook: number %u %s", number, why);
    return sv_fail(err, SV_E_CONFIG, SV_F_NONE, what);
}

static enum sv_err split(const char *urls, struct sv_hooks *h, struct sv_error *err)
{
    char *rest = h->texts = sv_strdup(urls);
    unsigned number = 0;

    for (char *one; (one = strsep(&rest, ",")) != NULL;) {
        number++;
        one += strspn(one, " ");
        one[strcspn(one, " ")] = '\0';
        if (!is_good_url(one))
            return wrong_url(number, "is no URL of http or https", err);
        if (have(h, one))
            return wrong_url(number, "is given twice", err);
        if (h->count == SV_MAX_HOOKS)
            return wrong_url(number, "is one too many: at most 8", err);
        h->url[h->count++] = one;
    }
    return SV_OK;
}

enum sv_err sv_hooks_open(const char *urls, const char *secret_file, bool private_ok, struct sv_hooks *ret,
                          struct sv_error *err)
{
    struct sv_hooks h = {.private_ok = private_ok};
    enum sv_err rc;

    if (!urls || !urls[0])
        return SV_OK;
    if (!secret_file)
        return sv_fail(err, SV_E_CONFIG, SV_F_NONE, "alarm.webhook needs alarm.webhook.secret");
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return sv_fail(err, SV_E_SYSTEM, SV_F_NONE, "libcurl");
    rc = split(urls, &h, err);
    if (!rc)
        rc = read_secret(secret_file, &h, err);
    if (rc)
        sv_hooks_close(&h);
    else
        *ret = h;
    return rc;
}

void sv_hooks_close(struct sv_hooks *h)
{
    if (h->secret)
        explicit_bzero(h->secret, SECRET_MAX);
    free(h->secret);
    free(h->texts);
    *h = (struct sv_hooks){.count = 0};
}

/* --- addresses -------------------------------------------------------------------------------------------- */

static const struct {
    uint32_t base;
    unsigned prefix;
} not_public[] = {
    {0x00000000, 8},  {0x0a000000, 8},  {0x64400000, 10}, {0x7f000000, 8},  {0xa9fe0000, 16},
    {0xac100000, 12}, {0xc0000000, 24}, {0xc0000200, 24}, {0xc0586300, 24}, {0xc0a80000, 16},
    {0xc6120000, 15}, {0xc6336400, 24}, {0xcb007100, 24}, {0xe0000000, 3},
};

static bool is_public4(uint32_t ip)
{
    for (size_t i = 0; i < sizeof(not_public) / sizeof(not_public[0]); i++)
        if ((ip ^ not_public[i].base) >> (32 - not_public[i].prefix) == 0)
            return false;
    return true;
}

/* Of what is given out (2000::/3), not those that carry one of IPv4 (Teredo and others of 2001::/23, 6to4), nor the
 * ones of documents. */
static bool is_public6(const unsigned char a[16])
{
    const unsigned first = (unsigned)a[0] << 8 | a[1], second = (unsigned)a[2] << 8 | a[3];

    if (first >> 13 != 1 || first == 0x2002 || first == 0x3fff)
        return false;
    return first != 0x2001 || (second >= 0x0200 && second != 0x0db8);
}

bool sv_hook_public(const struct sockaddr *a)
{
    if (a->sa_family == AF_INET)
        return is_public4(ntohl(((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr));
    return a->sa_family == AF_INET6 && is_public6(((const struct sockaddr_in6 *)(const void *)a)->sin6_addr.s6_addr);
}

/* --- one message ------------------------------------------------------------------------------------------ */

struct exchange {
    const struct sv_hooks *hooks;
    const struct sv_deadline *deadline;
    CURL *curl;
    struct curl_slist *headers;
    size_t answer; /* [bytes] so far */
    bool refused;  /* an address that is not the internet's */
    char why[CURL_ERROR_SIZE];
};

/* The address that is connected to, after every resolution and redirect of names. */
static curl_socket_t open_socket(void *arg, curlsocktype what, struct curl_sockaddr *a)
{
    struct exchange *x = arg;

    (void)what;
    if (!x->hooks->private_ok && !sv_hook_public(&a->addr)) {
        x->refused = true;
        return CURL_SOCKET_BAD;
    }
    return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

/* Read for nothing, and not for ever. */
static size_t drop(char *p, size_t size, size_t n, void *arg)
{
    struct exchange *x = arg;

    (void)p;
    x->answer += size * n;
    return x->answer > ANSWER_MAX ? 0 : size * n;
}

static int go_on(void *arg, curl_off_t down_all, curl_off_t down, curl_off_t up_all, curl_off_t up)
{
    const struct exchange *x = arg;

    (void)down_all, (void)down, (void)up_all, (void)up;
    return sv_deadline_cancelled(x->deadline) || sv_deadline_over(x->deadline);
}

static void add_header(struct exchange *x, const char *name, const char *value)
{
    SV_AUTOFREE char *line = sv_asprintf("%s: %s", name, value);

    x->headers = curl_slist_append(x->headers, line);
}

static void sign(struct exchange *x, const struct sv_hook_message *m)
{
    const struct sv_dec now = sv_dec(sv_now_ms() / 1000);
    SV_AUTOFREE char *text = sv_asprintf("%s.%.*s", now.s, (int)m->size, m->body);
    char hex[sizeof("sha256=") + 2 * HMAC] = "sha256=";
    unsigned char mac[HMAC];

    gnutls_hmac_fast(GNUTLS_MAC_SHA256, x->hooks->secret, strlen(x->hooks->secret), text, strlen(text), mac);
    sv_hex(mac, sizeof(mac), hex + strlen(hex));
    add_header(x, "X-Starvirt-Timestamp", now.s);
    add_header(x, "X-Starvirt-Signature", hex);
}

static void set_up(struct exchange *x, const struct sv_hook_message *m)
{
    const int64_t left = sv_deadline_left(x->deadline);

    add_header(x, "Content-Type", "application/json");
    add_header(x, "Expect", ""); /* nobody is asked first whether the body may come */
    add_header(x, "X-Starvirt-Delivery", m->delivery);
    sign(x, m);
    curl_easy_setopt(x->curl, CURLOPT_URL, m->url);
    curl_easy_setopt(x->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(x->curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(x->curl, CURLOPT_PROXY, "");
    curl_easy_setopt(x->curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(x->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(x->curl, CURLOPT_QUICK_EXIT, 1L); /* a resolver that hangs holds up nobody */
    curl_easy_setopt(x->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt(x->curl, CURLOPT_TIMEOUT_MS, (long)(left > 0 ? left : 1));
    curl_easy_setopt(x->curl, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(x->curl, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(x->curl, CURLOPT_POSTFIELDS, m->body);
    curl_easy_setopt(x->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)m->size);
    curl_easy_setopt(x->curl, CURLOPT_HTTPHEADER, x->headers);
    curl_easy_setopt(x->curl, CURLOPT_USERAGENT, "starvirt/" STARVIRT_VERSION);
    curl_easy_setopt(x->curl, CURLOPT_ERRORBUFFER, x->why);
    curl_easy_setopt(x->curl, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(x->curl, CURLOPT_OPENSOCKETDATA, x);
    curl_easy_setopt(x->curl, CURLOPT_WRITEFUNCTION, drop);
    curl_easy_setopt(x->curl, CURLOPT_WRITEDATA, x);
    curl_easy_setopt(x->curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(x->curl, CURLOPT_XFERINFOFUNCTION, go_on);
    curl_easy_setopt(x->curl, CURLOPT_XFERINFODATA, x);
}

/* A status that says yes counts, whatever became of the body behind it. */
static enum sv_err judge(const struct exchange *x, CURLcode code, struct sv_error *err)
{
    char why[SV_ERR_ARG_MAX];
    long status = 0;

    curl_easy_getinfo(x->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status >= 200 && status < 300 && (code == CURLE_OK || x->answer > 0))
        return SV_OK;
    if (x->refused)
        SV_COPY(why, "its address is private, and alarm.webhook.private is false");
    else if (code != CURLE_OK)
        SV_COPY(why, x->why[0] ? x->why : curl_easy_strerror(code));
    else
        snprintf(why, sizeof(why), "it answered with status %ld", status);
    return sv_fail(err, SV_E_SYSTEM, SV_F_NONE, why);
}

enum sv_err sv_hook_send(void *arg, const struct sv_hook_message *m, const struct sv_deadline *d, struct sv_error *err)
{
    struct exchange x = {.hooks = arg, .deadline = d, .curl = curl_easy_init()};
    enum sv_err rc;

    if (!x.curl)
        return sv_fail(err, SV_E_SYSTEM, SV_F_NONE, "libcurl");
    set_up(&x, m);
    rc = judge(&x, curl_easy_perform(x.curl), err);
    curl_slist_free_all(x.headers);
    curl_easy_cleanup(x.curl);
    return rc;
}
