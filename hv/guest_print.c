/* What guests print: whole lines, with a name in front of each when several guests run. */
#include "hv/console.h"
#include "hv/guest.h"

/*
 * A guest that has the console for itself prints as it likes, but a line that begins as the
 * hypervisor's own do: that gets the guest's name in front. line_length counts how much of such a
 * beginning is held back; all of it stands for a line of which nothing is, up to its end.
 */
static void print_alone(struct guest *guest, const char *text, size_t bytes)
{
    static const char mark[] = "trapline:";
    const size_t whole = sizeof(mark) - 1;
    size_t from = 0; /* what is to be printed and was not */

    for (size_t i = 0; i < bytes; i++) {
        unsigned held = guest->line_length;

        if (held < whole && text[i] == mark[held]) {
            if (held == 0)
                console_write(text + from, i - from);
            from = i + 1;
            guest->line_length++;
            if (guest->line_length == whole)
                kprintf("[%s] %s", guest->config->name, mark);
            continue;
        }
        if (held < whole) {
            console_write(mark, held);
            guest->line_length = (unsigned)whole;
        }
        if (text[i] == '\n')
            guest->line_length = 0;
    }
    console_write(text + from, bytes - from);
}

void guest_print(struct guest *guest, const char *text, size_t bytes)
{
    if (guest_count == 1) {
        print_alone(guest, text, bytes);
        return;
    }
    for (size_t i = 0; i < bytes; i++) {
        if (guest->line_length == 0)
            guest->line_length =
                (unsigned)ksnprintf(guest->line, sizeof(guest->line), "[%s] ", guest->config->name);
        guest->line[guest->line_length++] = text[i];
        if (text[i] != '\n' && guest->line_length == GUEST_LINE_LEN - 1)
            guest->line[guest->line_length++] = '\n';
        if (guest->line[guest->line_length - 1] == '\n') {
            console_write(guest->line, guest->line_length);
            guest->line_length = 0;
        }
    }
}
