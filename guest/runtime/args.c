#include "guest/runtime/args.h"

#include <stdbool.h>

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

int args_split(const char *line, char *storage, char **list)
{
    int count = 0;

    for (;;) {
        char quote = '\0';

        while (is_space(*line))
            line++;
        if (!*line || count == ARGS_MAX)
            return count;
        list[count++] = storage;
        for (; *line && (quote || !is_space(*line)); line++) {
            if (*line == quote)
                quote = '\0';
            else if (!quote && (*line == '"' || *line == '\''))
                quote = *line;
            else if (*line == '\\' && quote != '\'' && line[1])
                *storage++ = *++line;
            else
                *storage++ = *line;
        }
        if (quote)
            return -1;
        *storage++ = '\0';
    }
}
