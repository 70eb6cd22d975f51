/* Every limit on a size that a user controls, in one place. */
#ifndef STARVIRT_LIMITS_H
#define STARVIRT_LIMITS_H

#define SV_MAX_BODY               (1024 * 1024) /* [bytes] form body; uploads have their own limit */
#define SV_MAX_UPLOAD             (256LL << 30) /* [bytes] */
#define SV_MAX_JSON_DEPTH         16
#define SV_MAX_JSON_KEYS          256  /* keys of one KEY_PARAM object */
#define SV_MAX_LIST_ITEMS         1000 /* elements of a list parameter */
#define SV_MAX_FORM_FIELDS        64
#define SV_MAX_PATH               1024 /* [bytes] request path */
#define SV_MAX_CONNECTIONS        4096
#define SV_MAX_CONNECTIONS_PER_IP 2048
#define SV_IDLE_TIMEOUT_S         75          /* [s] a connection without traffic */
#define SV_REQUEST_TIMEOUT_S      30          /* [s] from first byte to whole body (not uploads) */
#define SV_MAX_WAIT_S             60          /* [s] long polls */
#define SV_MAX_NAME               128         /* [bytes] names of objects */
#define SV_MAX_DESC               1024        /* [bytes] descriptions */
#define SV_MAX_STR                1024        /* [bytes] a string parameter that says nothing else */
#define SV_MAX_PEM                (64 * 1024) /* [bytes] */
#define SV_MAX_IDEMPOTENCY_KEY    128         /* [bytes] */
#define SV_IDEMPOTENCY_HOURS      24
#define SV_MAX_PAGE               30 /* rows of a page (StarVCenter section 2.2.2) */
#define SV_MAX_VCPUS              255
#define SV_MAX_MEMORY_MIB         999999999LL /* StarVCenter section 2.2.16 */
#define SV_MAX_DISK_GIB           (64 * 1024LL)
#define SV_MAX_DATA_DISKS         16
#define SV_MAX_VM_BATCH           10           /* vm.num, StarVCenter section 2.2.1 */
#define SV_MAX_VNC_PASSWORD       8            /* [bytes] RFB's own limit */
#define SV_MAX_PASSWORD           128          /* [bytes] of a guest's user */
#define SV_MAX_SNAPSHOTS          64           /* of a VM */
#define SV_CONSOLE_TOKEN_S        60           /* [s] how long a console token waits for its use */
#define SV_MAX_CONSOLES           64           /* open at a time */
#define SV_MAX_IMAGE_VIRTUAL      (4LL << 40)  /* [bytes] virtual size of an imported image */
#define SV_MAX_QUOTA              4000000000LL /* largest quota figure in wire units; as GB it still fits int64 bytes */
#define SV_MAX_HOSTS              256

#define SV_MIB (1024LL * 1024)
#define SV_GIB (1024LL * 1024 * 1024)

#endif
