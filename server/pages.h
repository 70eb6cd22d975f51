/* Pages outside the dialects: health, metrics, descriptions. Answered on the I/O thread. */
#ifndef STARVIRT_SERVER_PAGES_H
#define STARVIRT_SERVER_PAGES_H

#include "server/server.h"

/* NULL: the path is none of ours. GET and HEAD only; other methods find nothing. A description of a dialect sets
 * r->described. */
const struct sv_page_row *sv_page_find(struct sv_request *r);

/* Descriptions are made once, when first asked for. */
struct sv_page_cache *sv_page_cache_new(const struct sv_api *api);
void sv_page_cache_free(struct sv_page_cache *c); /* NULL ok */

#endif
