/* Signs that a data directory held a cloud, for when its database is gone. */
#ifndef STARVIRT_SERVER_TRACES_H
#define STARVIRT_SERVER_TRACES_H

/* "images (17), backups (3), secrets/key"; NULL: none. Freed by the caller. */
char *sv_traces(const char *data_dir);

#endif
