/* Notes: the lines of a job log as symbols with arguments (notes.def). */
#ifndef STARVIRT_NOTE_H
#define STARVIRT_NOTE_H

#include "starvirt/error.h"

enum sv_note {
#define SV_NOTE(sym, zh, en) SV_N_##sym,
#include "starvirt/notes.def"
#undef SV_NOTE
    SV_NOTE_COUNT
};

const char *sv_note_symbol(enum sv_note note);
/* SV_NOTE_COUNT if unknown. */
enum sv_note sv_note_by_symbol(const char *symbol);
/* Writes the line for people; missing arguments are empty. */
void sv_note_text(enum sv_note note, enum sv_lang lang, const char *const args[SV_ERR_ARGS], char *buf, size_t size);

#endif
