#include "starvirt/note.h"

#include <string.h>

static const struct {
    const char *symbol;
    const char *text[2]; /* by enum sv_lang */
} notes[] = {
#define SV_NOTE(sym, zh, en) [SV_N_##sym] = {#sym, {[SV_LANG_ZH] = (zh), [SV_LANG_EN] = (en)}},
#include "starvirt/notes.def"
#undef SV_NOTE
};

const char *sv_note_symbol(enum sv_note note)
{
    return (unsigned)note < SV_NOTE_COUNT ? notes[note].symbol : "UNKNOWN";
}

enum sv_note sv_note_by_symbol(const char *symbol)
{
    for (unsigned i = 0; symbol && i < SV_NOTE_COUNT; i++)
        if (strcmp(notes[i].symbol, symbol) == 0)
            return (enum sv_note)i;
    return SV_NOTE_COUNT;
}

void sv_note_text(enum sv_note note, enum sv_lang lang, const char *const args[SV_ERR_ARGS], char *buf, size_t size)
{
    const char *tmpl = (unsigned)note < SV_NOTE_COUNT ? notes[note].text[lang] : "{0}";
    sv_text_expand(tmpl, "", args, buf, size);
}
