#define PYCOMPAT_COUNTS
#include "recorder/pycompat.h"

#include "recorder/garbage.h"

int garbage_count(void)
{
    return *pycompat_new_objects(PyInterpreterState_Main());
}

void garbage_set_count(int count)
{
    *pycompat_new_objects(PyInterpreterState_Main()) = count;
}
