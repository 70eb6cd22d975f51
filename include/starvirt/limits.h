/* Every limit on a size that a user controls, in one place. */
#ifndef STARVIRT_LIMITS_H
#define STARVIRT_LIMITS_H

#define SV_MAX_BODY            (1024 * 1024) /* [bytes] form body; uploads have their own limit */
#define SV_MAX_UPLOAD          (256LL << 30) /* [bytes] */
#define SV_MAX_DRAIN           (4LL << 30)   /* [bytes] of a body that is refused, read so that its client hears why; */
#define SV_MAX_DRAIN_STRANGER  (256LL << 20) /* [bytes] without a good token */
#define SV_MAX_JSON_DEPTH      16
#define SV_MAX_JSON_KEYS       256  /* keys of one JSON object */
#define SV_MAX_LIST_ITEMS      1000 /* elements of a list parameter */
#define SV_MAX_FORM_FIELDS     64
#define SV_MAX_PATH            1024        /* [bytes] request path */
#define SV_MAX_CONNECTIONS     4096        /* fewer when there are fewer descriptors; see server/links.h */
#define SV_HEAD_TIMEOUT_S      10          /* [s] from the connection to the first head, and for each head */
#define SV_REQUEST_TIMEOUT_S   30          /* [s] from head to whole body (not uploads) */
#define SV_UPLOAD_TIMEOUT_S    300         /* [s] for each MiB of an upload */
#define SV_REPLY_TIMEOUT_S     60          /* [s] to take a reply, for who showed no good token */
#define SV_IDLE_TIMEOUT_S      75          /* [s] a connection without traffic */
#define SV_MAX_WAIT_S          60          /* [s] long polls */
#define SV_ANSWER_WAIT_S       45          /* [s] a request for the end of its job */
#define SV_CHECK_WAIT_MS       (15 * 1000) /* [ms] for what a comparison found to be told to the network engine */
#define SV_TELL_WAIT_MS        2000        /* [ms] a request for the network engine */
#define SV_MAX_POLLS           2048        /* long polls; who gets how many: server/share.h */
#define SV_MAX_PARKED          1024        /* requests that wait for a job */
#define SV_MAX_UPLOADS         64          /* at a time */
#define SV_MAX_NAME            128         /* [bytes] names of objects */
#define SV_MAX_DESC            1024        /* [bytes] descriptions */
#define SV_MAX_STR             1024        /* [bytes] a string parameter that says nothing else */
#define SV_MAX_PEM             (64 * 1024) /* [bytes] */
#define SV_MAX_IDEMPOTENCY_KEY 128         /* [bytes] */
#define SV_IDEMPOTENCY_HOURS   24
#define SV_MAX_PAGE            30 /* rows of a page (StarVCenter section 2.2.2) */
#define SV_MAX_VCPUS           255
#define SV_MIN_MEMORY          SV_MIB /* [bytes] of a VM */
#define SV_MAX_MEMORY          (999999999LL * SV_MIB)
#define SV_MAX_MEMORY_MIB      (SV_MAX_MEMORY / SV_MIB)
#define SV_MIN_DISK            SV_GIB /* [bytes] */
#define SV_MAX_DISK            (64 * 1024LL * SV_GIB)
#define SV_MAX_DISK_GIB        (SV_MAX_DISK / SV_GIB)
#define SV_DEFAULT_SYSDISK     (20LL * SV_GIB) /* [bytes] of a model that says nothing else */
#define SV_MAX_DATA_DISKS      16
#define SV_MAX_VM_BATCH        10                      /* vm.num, StarVCenter section 2.2.1 */
#define SV_MAX_VNC_PASSWORD    8                       /* [bytes] RFB's own limit */
#define SV_MAX_PASSWORD        128                     /* [bytes] of a guest's user */
#define SV_MAX_SNAPSHOTS       64                      /* of a VM */
#define SV_MAX_RULES           10000                   /* of a tenant, */
#define SV_MAX_RULES_GROUP     1000                    /* of a security group, */
#define SV_MAX_RULES_GATE      1000                    /* of the boundary of a VPC, */
#define SV_MAX_RULES_NIC       256                     /* of a NIC itself */
#define SV_MAX_GROUPS          1000                    /* security groups of a tenant */
#define SV_MAX_AFFINITIES      1000                    /* affinity groups of a tenant */
#define SV_MAX_AFFINITIES_VM   16                      /* that a VM is in */
#define SV_MAX_GROUPS_NIC      16                      /* that a NIC is in */
#define SV_CONSOLE_TOKEN_S     60                      /* [s] how long a console token waits for its use */
#define SV_MAX_CONSOLES        64                      /* open at a time */
#define SV_MAX_IMAGE_VIRTUAL   (4LL << 40)             /* [bytes] virtual size of an imported image */
#define SV_MAX_QUOTA           4000000000LL            /* largest quota: of what is counted, */
#define SV_MAX_QUOTA_MEMORY    (SV_MAX_QUOTA * SV_MIB) /* [bytes] and of what is measured */
#define SV_MAX_QUOTA_STORAGE   (SV_MAX_QUOTA * SV_GIB)
#define SV_DEFAULT_OPEN_JOBS   20000 /* of a tenant whose quota of jobs nobody has set */
#define SV_MAX_HOSTS           1024
#define SV_MAX_HOOKS           8      /* that are told of alarms */
#define SV_MAX_ALARMS_KEPT     100000 /* relieved ones; older go */
#define SV_ALARM_KEEP_DAYS     90
#define SV_MAX_ALARM_MINUTES   1440
#define SV_MAX_SLBS            128 /* load balancers of a tenant */
#define SV_MAX_SLB_NODES       128 /* of a load balancer */
#define SV_MIN_SLB_PORT        50  /* StarVCenter section 2.12, as all that follows; up to 65535 */
#define SV_MAX_PORT            65535
#define SV_MIN_SLB_RETRIES     2
#define SV_MAX_SLB_RETRIES     10
#define SV_MAX_SLB_EVERY       50  /* [s] between checks */
#define SV_MAX_SLB_TIMEOUT     300 /* [s] of a check */
#define SV_MAX_SLB_IDLE        120 /* [s] a connection without traffic */
#define SV_MIN_SLB_CONNECTIONS 10
#define SV_MAX_SLB_CONNECTIONS 10000
#define SV_MAX_SLB_WEIGHT      10
#define SV_MAX_SLB_PATH        255 /* [bytes] of a URL */

#define SV_MIB (1024LL * 1024)
#define SV_GIB (1024LL * 1024 * 1024)

#endif
