/* Names inside a zip stay inside the folder, on any system, whatever the recorded paths are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "formats/archive_names.h"
#include "formats/catalog.h"
#include "formats/error.h"
#include "formats/text.h"

enum { FILES_MAX = 1024 };

/* A catalog of files made by hand, with ids from 1. */
struct files {
    struct catalog catalog;
    struct catalog_file file[FILES_MAX];
};

static void add(struct files *files, enum catalog_origin origin, const char *path, const char *name)
{
    size_t index = files->catalog.file_count++;

    files->catalog.files = files->file;
    files->file[index] = (struct catalog_file){.id = (int64_t)index + 1,
                                               .raw_path = path,
                                               .path = path,
                                               .name = name,
                                               .origin = origin,
                                               .has_source = true};
}

static void a_file_keeps_its_place_below_the_folder_it_ran_in(void **state)
{
    static struct files files;
    struct error err = {0};
    struct archive_names *names;

    (void)state;
    add(&files, CATALOG_PROGRAM, "src/app.py", "app.py");
    add(&files, CATALOG_STDLIB, "/usr/lib/python3.11/json/decoder.py", "json/decoder.py");
    add(&files, CATALOG_SITE, "/usr/lib/python3/dist-packages/yaml/__init__.py",
        "yaml/__init__.py");
    add(&files, CATALOG_PROGRAM, "/opt/tool/main.py", "main.py");
    add(&files, CATALOG_PROGRAM, "no_text.py", "no_text.py");
    files.file[4].has_source = false;
    names = archive_names_new(&files.catalog, &err);
    assert_non_null(names);
    assert_string_equal(archive_names_find(names, 1), "src/app.py");
    assert_string_equal(archive_names_find(names, 2), "_stdlib/json/decoder.py");
    assert_string_equal(archive_names_find(names, 3), "_site/yaml/__init__.py");
    assert_string_equal(archive_names_find(names, 4), "_other/opt/tool/main.py");
    assert_null(archive_names_find(names, 5));
    assert_null(archive_names_find(names, 99));
    archive_names_free(names);
}

static void assert_harmless(const char *name)
{
    size_t size = strlen(name);
    const char *at = name, *end = name + size;

    assert_true(size > 0 && size <= 200);
    assert_true(name[0] != '/' && name[size - 1] != '/');
    assert_null(strpbrk(name, "\\:*?\"<>|"));
    assert_null(strstr(name, "//"));
    while (at < end)
        assert_true(text_is_printable(text_next(&at, end)));
    for (at = name; at != NULL; at = strchr(at, '/') == NULL ? NULL : strchr(at, '/') + 1) {
        size_t part = strcspn(at, "/");

        assert_false(part == 1 && at[0] == '.');
        assert_false(part == 2 && at[0] == '.' && at[1] == '.');
        assert_true(at[part - 1] != '.' && at[part - 1] != ' ');
    }
}

/* Harmless each, no two alike when case does not count, none a folder of another. */
static void assert_sound(const struct archive_names *names, size_t count)
{
    for (size_t i = 1; i <= count; i++) {
        const char *name = archive_names_find(names, (int64_t)i);

        assert_non_null(name);
        assert_harmless(name);
        for (size_t j = 1; j < i; j++) {
            const char *other = archive_names_find(names, (int64_t)j);
            size_t shorter = strlen(name) < strlen(other) ? strlen(name) : strlen(other);

            assert_int_not_equal(strcasecmp(name, other), 0);
            if (strncasecmp(name, other, shorter) == 0)
                assert_true(name[shorter] != '/' && other[shorter] != '/');
        }
    }
}

static void hostile_paths_are_made_harmless(void **state)
{
    static char long_part[5000];
    static struct files files;
    static const char *const paths[] = {
        "../../etc/passwd",
        "/../../x.py",
        "..",
        ".",
        "/",
        "//",
        "a//b/./c.py",
        "C:\\windows\\x.py",
        "\\\\host\\share",
        "con",
        "NUL.py",
        "lpt1",
        "a/aux/b.py",
        "dot.",
        "space ",
        "-rf",
        "a*b?c\"d<e>f|g",
        "\xff\xfe.py",
        "\xe2\x80\xae.py",
        "new\nline.py",
        "<string>",
        "<frozen os>",
        "",
        "A.py",
        "a.py",
        "B/x.py",
        "b/X.py",
        "b",
        "b/x.py/deeper.py",
        "É.py",
        "é.py",
        "x.py",
        "x.py",
        "x.py",
        "x~2.py",
        ".hidden",
        ".HIDDEN",
        "b/.x",
        "b/.X",
    };
    struct error err = {0};
    struct archive_names *names;

    (void)state;
    memset(long_part, 'x', sizeof long_part - 1);
    for (size_t i = 200; i < sizeof long_part; i += 201)
        long_part[i] = '/';
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        add(&files, i % 2 == 0 ? CATALOG_PROGRAM : CATALOG_STDLIB, paths[i], paths[i]);
    add(&files, CATALOG_PROGRAM, long_part, long_part);
    add(&files, CATALOG_PROGRAM, long_part + 1, long_part + 1);
    names = archive_names_new(&files.catalog, &err);
    assert_non_null(names);
    assert_sound(names, files.catalog.file_count);
    archive_names_free(names);
}

static void every_byte_in_a_name_is_survived(void **state)
{
    static struct files files;
    static char paths[768][8];
    struct error err = {0};
    struct archive_names *names;

    (void)state;
    for (int i = 0; i < 768; i++) {
        memcpy(paths[i], "abc.py", 7);
        paths[i][i / 256] = (char)(i % 256);
        add(&files, CATALOG_PROGRAM, paths[i], paths[i]);
    }
    names = archive_names_new(&files.catalog, &err);
    assert_non_null(names);
    assert_sound(names, files.catalog.file_count);
    archive_names_free(names);
}

static void a_thousand_files_of_one_name_are_told_apart(void **state)
{
    static struct files files;
    struct error err = {0};
    struct archive_names *names;

    (void)state;
    for (int i = 0; i < FILES_MAX; i++)
        add(&files, CATALOG_PROGRAM, "same.py", "same.py");
    names = archive_names_new(&files.catalog, &err);
    assert_non_null(names);
    assert_sound(names, files.catalog.file_count);
    archive_names_free(names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_keeps_its_place_below_the_folder_it_ran_in),
        cmocka_unit_test(hostile_paths_are_made_harmless),
        cmocka_unit_test(every_byte_in_a_name_is_survived),
        cmocka_unit_test(a_thousand_files_of_one_name_are_told_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
