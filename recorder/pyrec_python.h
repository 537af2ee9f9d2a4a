/* pyrec_python.h - which interpreter runs the program.
 *
 * In this order: --python, $PYREC_PYTHON, the one beside pyrec if that was installed into a virtual
 * environment, $VIRTUAL_ENV, python3 on PATH. Nothing is run to find out more: the interpreter may
 * as well be a script that becomes one, such as a version manager's shim.
 */
#ifndef RECORDER_PYREC_PYTHON_H
#define RECORDER_PYREC_PYTHON_H

#include <limits.h>

#include "recorder/pyrec_error.h"

struct pyrec_python {
    char path[PATH_MAX]; /* to execute */
    char name[PATH_MAX]; /* its argv[0]: what the user would have typed, so that it finds its
                            virtual environment and sys.orig_argv is the same */
};

/* `option`: the value of --python, or NULL; `own_folder`: where pyrec is. 0, or -1 with the status
 * 126 or 127. */
int pyrec_python_find(const char *option, const char *own_folder, struct pyrec_python *python,
                      struct pyrec_error *err);

#endif
