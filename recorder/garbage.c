#define PYCOMPAT_COUNTS
#include "recorder/pycompat.h"

#include <limits.h>

#include "recorder/garbage.h"

int garbage_hold(void)
{
    int *count = pycompat_new_objects(PyInterpreterState_Main());
    int held = *count;

    *count = INT_MIN / 2; /* to restore it afterwards is not enough: it may be one below the limit */
    return held;
}

void garbage_release(int held)
{
    *pycompat_new_objects(PyInterpreterState_Main()) = held;
}
