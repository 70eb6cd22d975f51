/* Is this the database that was here last? The row `life` counts the commits; DIR/starvirt.mark, beside the database,
 * says how far it was. The mark is written after its commit is on disk and never waited for, so it may be behind the
 * database but never ahead of it, whenever the process is killed or the power fails: a database that is behind its mark
 * was put back, or has lost the end of its log. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "db/engine.h"
#include "starvirt/log.h"

#define MARK_BEGIN  "starvirt-mark 1 "
#define MARK_FORMAT MARK_BEGIN "%s %020" PRId64 "\n"
enum { MARK_LEN = sizeof(MARK_BEGIN) - 1 + SV_LIFE_ID + 1 + 20 + 1 };

struct mark {
    char id[SV_LIFE_ID + 1]; /* "": there is none */
    int64_t commits;
};

/* A copy up to `end`; false when that is not where it ends. */
static bool take_part(const char **p, char end, char *buf, size_t size)
{
    const char *at = strchr(*p, end);
    if (!at || (size_t)(at - *p) != size - 1)
        return false;
    sv_copy(buf, size, *p);
    *p = at + 1;
    return true;
}

static bool parse_mark(const char *text, struct mark *ret)
{
    char commits[20 + 1];
    if (strncmp(text, MARK_BEGIN, strlen(MARK_BEGIN)) != 0)
        return false;
    text += strlen(MARK_BEGIN);
    return take_part(&text, ' ', ret->id, sizeof(ret->id)) && strspn(ret->id, "0123456789abcdef") == SV_LIFE_ID &&
           take_part(&text, '\n', commits, sizeof(commits)) && sv_parse_int(commits, &ret->commits);
}

/* What cannot be read as one is none: then nothing is known, and nothing refused. */
static struct mark read_mark(const char *path)
{
    char text[MARK_LEN + 1] = "";
    struct mark m;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    const bool whole = fd >= 0 && read(fd, text, MARK_LEN) == MARK_LEN;
    if (fd >= 0)
        close(fd);
    return whole && parse_mark(text, &m) ? m : (struct mark){.id = ""};
}

static enum sv_err lost(struct sv_error *err, const char *what, const char *witness, const char *option)
{
    return sv_fail(err, SV_E_DB_LOST, SV_F_NONE, what, witness, option);
}

static enum sv_err lost_all(const struct mark *m, const struct sv_db_options *opt, const char *what,
                            struct sv_error *err)
{
    SV_AUTOFREE char *count = sv_asprintf("starvirt.mark tells of %" PRId64 " commits", m->commits);
    if (opt->new_cloud || (!m->id[0] && !opt->traces))
        return SV_OK;
    return lost(err, what, m->id[0] ? count : opt->traces, "new-cloud");
}

enum sv_err sv_life_expect(struct sv_db *db, const struct sv_db_options *opt, struct sv_error *err)
{
    const struct mark m = read_mark(db->mark_path);
    struct stat st;
    if (stat(db->path, &st) != 0)
        return errno == ENOENT ? lost_all(&m, opt, "starvirt.db is missing", err) : SV_OK;
    return st.st_size == 0 ? lost_all(&m, opt, "starvirt.db is empty", err) : SV_OK;
}

/* `ret` stays empty when the database is of a version without the row. */
static enum sv_err read_life(struct sv_conn *conn, struct mark *ret, bool *ret_empty, struct sv_error *err)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(conn->db, "SELECT count(*), count(*) FILTER (WHERE name = 'life') FROM sqlite_schema",
                                -1, &st, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    *ret_empty = rc == SQLITE_ROW && sqlite3_column_int(st, 0) == 0;
    const bool has_life = rc == SQLITE_ROW && sqlite3_column_int(st, 1) == 1;
    sqlite3_finalize(st);
    st = NULL;
    if (has_life) {
        rc = sqlite3_prepare_v2(conn->db, "SELECT id, commits FROM life", -1, &st, NULL);
        if (rc == SQLITE_OK)
            rc = sqlite3_step(st);
        if (rc == SQLITE_ROW) {
            SV_COPY(ret->id, sv_col_text(st, 0));
            ret->commits = sqlite3_column_int64(st, 1);
        }
        sqlite3_finalize(st);
    }
    return rc == SQLITE_ROW || rc == SQLITE_DONE
               ? SV_OK
               : sv_fail(err, sv_conn_error(conn), SV_F_NONE, sqlite3_errmsg(conn->db));
}

enum sv_err sv_life_compare(struct sv_db *db, const struct sv_db_options *opt, struct sv_error *err)
{
    const struct mark m = read_mark(db->mark_path);
    struct mark has = {.id = ""};
    bool empty = false;
    enum sv_err rc = read_life(&db->conn, &has, &empty, err);
    if (rc)
        return rc;
    if (empty)
        return lost_all(&m, opt, "starvirt.db is empty", err);
    if (!m.id[0] || opt->accept_old)
        return SV_OK;
    SV_AUTOFREE char *count = sv_asprintf("starvirt.mark: commit %" PRId64, m.commits);
    if (!has.id[0])
        return lost(err, "starvirt.db is of an older version than what ran here last", count, "accept-old-database");
    if (strcmp(has.id, m.id) != 0)
        return lost(err, "starvirt.db is another cloud's", count, "accept-old-database");
    if (has.commits >= m.commits)
        return SV_OK;
    SV_AUTOFREE char *what = sv_asprintf("starvirt.db ends at commit %" PRId64 ", %" PRId64 " are missing", has.commits,
                                         m.commits - has.commits);
    return lost(err, what, count, "accept-old-database");
}

enum sv_err sv_life_begin(struct sv_db *db, struct sv_error *err)
{
    struct mark has = {.id = ""};
    bool empty;
    enum sv_err rc = read_life(&db->conn, &has, &empty, err);
    if (rc)
        return rc;
    SV_COPY(db->life, has.id);
    db->commits = has.commits;
    sv_life_mark(db);
    return SV_OK;
}

void sv_life_mark(struct sv_db *db)
{
    char text[MARK_LEN + 1];
    if (db->mark_fd < 0)
        db->mark_fd = open(db->mark_path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (db->mark_fd < 0)
        return;
    snprintf(text, sizeof(text), MARK_FORMAT, db->life, db->commits);
    /* Where it does not go down it stays behind, which is allowed. */
    if (pwrite(db->mark_fd, text, MARK_LEN, 0) < 0)
        sv_log(SV_LOG_DEBUG, "db.mark", "errno", sv_dec(errno).s, NULL);
}
