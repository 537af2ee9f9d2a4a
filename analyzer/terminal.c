#include "analyzer/terminal.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "analyzer/options.h"

static const char *environment(const char *name)
{
    const char *value = getenv(name);

    return value != NULL && value[0] != '\0' ? value : NULL;
}

static int terminal_width(void)
{
    const char *columns = environment("COLUMNS");
    struct winsize size;

    if (columns != NULL && atoi(columns) > 0)
        return atoi(columns);
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return 0;
}

static bool wants_colour(int colour, bool present)
{
    const char *term = environment("TERM");

    if (colour != OPTIONS_COLOUR_AUTO)
        return colour == OPTIONS_COLOUR_ALWAYS;
    return present && environment("NO_COLOR") == NULL && term != NULL && strcmp(term, "dumb") != 0;
}

static bool wants_pager(void)
{
    const char *pager = getenv("PAGER");

    return pager == NULL || (pager[0] != '\0' && strcmp(pager, "cat") != 0);
}

void terminal_look(struct terminal *terminal, int colour, bool no_pager)
{
    memset(terminal, 0, sizeof *terminal);
    terminal->present = isatty(STDOUT_FILENO);
    terminal->dress.colour = wants_colour(colour, terminal->present);
    terminal->dress.width = terminal->present ? terminal_width() : 0;
    terminal->paged = terminal->present && !no_pager && wants_pager();
}

/* In the child: becomes the pager. Without a usable less the text goes to the terminal as it is. */
static void become_pager(int in)
{
    const char *pager = getenv("PAGER");

    dup2(in, STDIN_FILENO);
    setenv("LESS", "FRX", 0);
    signal(SIGPIPE, SIG_DFL);
    if (pager != NULL)
        execl("/bin/sh", "sh", "-c", pager, (char *)NULL);
    else
        execlp("less", "less", "-RFX", (char *)NULL);
    execlp("cat", "cat", (char *)NULL);
    _exit(127);
}

void terminal_start_pager(struct terminal *terminal)
{
    int ends[2];

    if (!terminal->paged || terminal->pager != 0 || pipe(ends) < 0)
        return;
    fflush(stdout);
    terminal->pager = fork();
    if (terminal->pager == 0) {
        close(ends[1]);
        become_pager(ends[0]);
    }
    if (terminal->pager > 0) {
        dup2(ends[1], STDOUT_FILENO);
        signal(SIGINT, SIG_IGN); /* it is the pager's now; who leaves the pager ends us by EPIPE */
    } else {
        terminal->pager = 0;
    }
    close(ends[0]);
    close(ends[1]);
}

void terminal_finish(struct terminal *terminal)
{
    if (terminal->pager == 0)
        return;
    close(STDOUT_FILENO);
    while (waitpid(terminal->pager, NULL, 0) < 0)
        ;
    terminal->pager = 0;
}
