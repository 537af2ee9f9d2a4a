/* sqlite_api.h - SQLite, linked or loaded.
 *
 * The loadable extension must reach SQLite through the pointers that its host hands over, the
 * program through the library it is linked with. Modules that serve both include this instead of
 * sqlite3.h.
 */
#ifndef ANALYZER_SQLITE_API_H
#define ANALYZER_SQLITE_API_H

#ifdef PYREC_LOADABLE
#include <sqlite3ext.h>
SQLITE_EXTENSION_INIT3
#else
#include <sqlite3.h>
#endif

#endif
