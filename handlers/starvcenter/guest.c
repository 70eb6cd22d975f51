/* Screen, passwords and the agent of a guest (StarVCenter 2.2.9 - 2.2.13). */
#include "handlers/starvcenter/rows.h"

static const struct sv_param connection_params[] = {
    PATH_ID("vmId", struct sv_id_in, id, SV_F_VM, "虚拟机编号", "id of the VM"),
};

static enum sv_err connection(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct sv_id_in *in = input;
    struct sv_vm vm;
    char host[64];
    unsigned port;
    enum sv_err rc = sv_vm_console_address(c->cloud, c->tx, &c->actor, in->id, c->arena, &vm, host, &port, c->err);

    if (rc)
        return rc;
    const char *url = c->console_url(c, &vm.tenant, &vm.id, vm.name);
    if (!url)
        return sv_fail(c->err, SV_E_BAD_REQUEST, SV_F_NONE, "Host");
    sv_reply_obj(out);
    sv_put_str(out, "vm.console.url", url);
    sv_put_str(out, "vm.hostip", host);
    sv_put_int(out, "vm.vncport", port);
    sv_reply_end_obj(out);
    return SV_OK;
}

struct password_in {
    const char *id, *user, *password;
};
static const struct sv_param password_params[] = {
    ID("vm.id", struct password_in, id, REQUIRED, .field = SV_F_VM, DOC("虚拟机编号", "id of the VM")),
    STR("username", struct password_in, user, .flags = SV_P_OUR_MAX, .max = 64, .field = SV_F_USER,
        DOC("用户名,默认 root", "user, root unless given")),
    STR("pwd", struct password_in, password, .flags = SV_P_REQUIRED | SV_P_OUR_MAX | SV_P_SECRET,
        .max = SV_MAX_PASSWORD, .field = SV_F_PASSWORD, DOC("新密码", "new password")),
};

static enum sv_err set_password(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct password_in *in = input;

    return sv_vm_set_password(c->cloud, c->tx, &c->actor, in->id, in->user, in->password, &out->startid, c->err);
}

static const struct sv_param vm_params[] = {
    ID("vm.id", struct sv_id_in, id, REQUIRED, .field = SV_F_VM, DOC("虚拟机编号", "id of the VM")),
};

static enum sv_err resume_agent(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct sv_id_in *in = input;

    return sv_vm_agent_resume(c->cloud, c->tx, &c->actor, in->id, &out->startid, c->err);
}

struct vnc_in {
    const char *id, *password;
};
static const struct sv_param vnc_params[] = {
    ID("vm.id", struct vnc_in, id, REQUIRED, .field = SV_F_VM, DOC("虚拟机编号", "id of the VM")),
    STR("vm.vncpasswd", struct vnc_in, password, .flags = SV_P_REQUIRED | SV_P_OUR_MAX | SV_P_SECRET,
        .max = SV_MAX_VNC_PASSWORD, .field = SV_F_VNC_PASSWORD,
        DOC("新远程连接密码,最多 8 个字符", "new VNC password, at most 8 characters")),
};

static enum sv_err edit_vnc(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct vnc_in *in = input;

    (void)out;
    return sv_vm_set_vnc_password(c->cloud, c->tx, &c->actor, in->id, in->password, &c->job, c->err);
}

static enum sv_err set_vnc(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct sv_id_in *in = input;

    (void)out;
    return sv_vm_set_vnc_password(c->cloud, c->tx, &c->actor, in->id, NULL, &c->job, c->err);
}

static enum sv_err vnc_set(struct sv_call *c, const void *input, struct sv_reply *out)
{
    char made[SV_MAX_VNC_PASSWORD + 1];
    enum sv_err rc = sv_vm_vnc_password(c->cloud, c->tx, &c->actor, &c->job, made, c->err);

    (void)input;
    if (rc)
        return rc;
    sv_reply_obj(out);
    sv_put_str(out, "vm.vncpasswd", made); /* ours: or nobody would know it */
    sv_reply_end_obj(out);
    explicit_bzero(made, sizeof(made));
    return SV_OK;
}

static const struct sv_route routes[] = {
    {.section = "2.2.9",
     .method = "GET",
     .path = "cloudvm/connection/{vmId}",
     .runs = SV_RUN_READ,
     SV_PARAMS(connection_params),
     .in_size = sizeof(struct sv_id_in),
     .data = SV_DATA_OBJ,
     SV_FIELDS(SV_TEXT("vm.console.url"), SV_TEXT("vm.hostip"), SV_TEXT("vm.vncport")),
     .handler = connection,
     DOC("获取云主机连接信息", "where the VM's screen is; the address of the page opens once, within a minute")},
    {.section = "2.2.10",
     .method = "POST",
     .path = "cloudvm/setadminpwd",
     .kind = SV_ASYNC,
     .runs = SV_RUN_WRITE,
     SV_PARAMS(password_params),
     .in_size = sizeof(struct password_in),
     .handler = set_password,
     DOC("重置云主机系统管理员密码", "set a password inside the guest")},
    {.section = "2.2.11",
     .method = "POST",
     .path = "cloudvm/resumeCloudAgent",
     .kind = SV_ASYNC,
     .runs = SV_RUN_WRITE,
     SV_PARAMS(vm_params),
     .in_size = sizeof(struct sv_id_in),
     .handler = resume_agent,
     DOC("唤醒云主机代理服务", "bring the guest agent's channel back")},
    {.section = "2.2.12",
     .method = "POST",
     .path = "cloudvm/editvncpwd",
     .runs = SV_RUN_WAIT,
     SV_PARAMS(vnc_params),
     .in_size = sizeof(struct vnc_in),
     .handler = edit_vnc,
     DOC("修改云主机远程连接密码", "set the VNC password")},
    {.section = "2.2.13",
     .method = "POST",
     .path = "cloudvm/setvncpwd",
     .runs = SV_RUN_WAIT,
     SV_PARAMS(vm_params),
     .in_size = sizeof(struct sv_id_in),
     SV_FIELDS(SV_TEXT("vm.vncpasswd", .flags = SV_O_OURS | SV_O_SECRET)),
     .handler = set_vnc,
     .done = vnc_set,
     DOC("重置云主机远程连接密码", "set a random VNC password and return it")},
};
const struct sv_route_table sv_table_guest = {routes, ROUTE_COUNT(routes)};
