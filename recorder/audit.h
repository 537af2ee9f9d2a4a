/* audit.h - taking our audit hook out of the interpreter's list, where it would cost 20 ns a call. */
#ifndef RECORDER_AUDIT_H
#define RECORDER_AUDIT_H

/* Unlinks the entry of the C hook `function`. It may be running: its entry is not freed. The GIL is held. */
void audit_remove_hook(void *function);

#endif
