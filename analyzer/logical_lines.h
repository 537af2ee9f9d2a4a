/* logical_lines.h - which lines of a Python text belong together.
 *
 * A logical line is what the tokenizer of Python ends with NEWLINE: a simple statement or the
 * header of a compound one, be it written on several lines, within brackets, in a string of three
 * quotes, or behind backslashes. A decorator is one of its own; what semicolons join is one.
 * F-strings nest as in Python 3.12, of which the earlier rules are a part.
 */
#ifndef ANALYZER_LOGICAL_LINES_H
#define ANALYZER_LOGICAL_LINES_H

#include <stddef.h>
#include <stdint.h>

/* For each of the text's `count` lines (split at \n, \r\n and \r) the line, from 1, with which its
 * logical line begins: `first[0]` is for line 1. Any bytes give a result; lines of what is no
 * Python may stand alone or together. */
void logical_lines_find(const uint8_t *bytes, size_t size, uint32_t *first, size_t count);

#endif
