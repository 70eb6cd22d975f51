/* What a sample says of thresholds. */
#include "core/alarm/alarm.h"
#include "core/monitor/internal.h"

static int percent_of(int64_t part, int64_t whole)
{
    if (whole <= 0 || part < 0)
        return -1;
    return part >= whole ? 100 : (int)((double)part * 100 / (double)whole);
}

/* Its fullest disk, by what lies on the storage. */
static int disk_percent(const struct sv_object_seen *o)
{
    int most = -1;

    for (unsigned i = 0; i < o->disk_count; i++) {
        const int percent = percent_of(o->disks[i].held, o->disks[i].size);

        if (percent > most)
            most = percent;
    }
    return most;
}

void sv_monitor_tell_alarms(struct sv_monitor *m, const struct sv_object_seen *o)
{
    const int cpu = o->cpu_percent < 0 ? -1 : (int)o->cpu_percent, memory = percent_of(o->memory_used, o->memory);
    const struct sv_alarm_figure of_vm[] = {
        {o->id, SV_ALARM_VM_CPU, cpu},
        {o->id, SV_ALARM_VM_MEMORY, memory},
        {o->id, SV_ALARM_VM_DISK, disk_percent(o)},
    };
    const struct sv_alarm_figure of_host[] = {
        {o->id, SV_ALARM_HOST_CPU, cpu},
        {o->id, SV_ALARM_HOST_MEMORY, memory},
    };

    if (o->is_host)
        sv_alarm_figures(m->cloud, sv_mono_ms(), of_host, 2);
    else
        sv_alarm_figures(m->cloud, sv_mono_ms(), of_vm, 3);
}
