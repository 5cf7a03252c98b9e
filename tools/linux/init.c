/*
 * The first program of a Linux that runs others for comparison: each line of /commands is one,
 *
 *   [NAME=value ...] program [argument ...]
 *
 * words separated by blanks (no quotes), the assignments being for its environment. They run one
 * after the other as children, never as this process, whose SIGSEGVs Linux writes to the console
 * even when a handler takes them. The console says what this machine is, when each program starts
 * and how it ended, and last "linux: end ok" or, if one failed, "linux: end failed"; then the
 * machine is switched off.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define COMMANDS        "/commands"
#define VULNERABILITIES "/sys/devices/system/cpu/vulnerabilities"
#define HUGE_PAGES      "/sys/kernel/mm/transparent_hugepage/enabled"

enum {
    WORDS_MAX = 64, /* in a command */
    TEXT_MAX = 256, /* characters of a file of /sys */
    CANNOT_RUN = 127,
};

/* Everything printed has left the serial port: what it costs must not fall to the next program. */
static void drain(void)
{
    fflush(stdout);
    tcdrain(STDOUT_FILENO);
}

static void mount_all(void)
{
    static const struct {
        const char *type, *where;
    } systems[] = {{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"tmpfs", "/tmp"}};

    for (size_t i = 0; i < sizeof(systems) / sizeof(systems[0]); i++) {
        if (mkdir(systems[i].where, 0755) != 0 && errno != EEXIST)
            printf("linux: %s cannot be made: %s\n", systems[i].where, strerror(errno));
        if (mount(systems[i].type, systems[i].where, systems[i].type, 0, NULL) != 0 &&
            errno != EBUSY)
            printf("linux: %s cannot be mounted: %s\n", systems[i].where, strerror(errno));
    }
}

/* The first line of a file, "" = there is none. */
static void read_line(const char *path, char line[TEXT_MAX])
{
    FILE *file = fopen(path, "r");

    line[0] = '\0';
    if (file == NULL)
        return;
    if (fgets(line, TEXT_MAX, file) == NULL)
        line[0] = '\0';
    line[strcspn(line, "\n")] = '\0';
    fclose(file);
}

/* Only who asks for huge pages gets them: a program that counts what small ones cost must have
 * them. */
static void limit_huge_pages(void)
{
    FILE *file = fopen(HUGE_PAGES, "w");
    char line[TEXT_MAX];

    if (file != NULL) {
        fputs("madvise", file);
        fclose(file);
    }
    read_line(HUGE_PAGES, line);
    printf("linux: transparent huge pages: %s\n", line[0] != '\0' ? line : "none");
}

static void print_mitigations(void)
{
    DIR *folder = opendir(VULNERABILITIES);
    char path[TEXT_MAX + sizeof(VULNERABILITIES)], line[TEXT_MAX];

    if (folder == NULL) {
        printf("linux: mitigations: the kernel does not say\n");
        return;
    }
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), VULNERABILITIES "/%.*s", TEXT_MAX - 2, entry->d_name);
        read_line(path, line);
        printf("linux: mitigations: %s: %s\n", entry->d_name, line);
    }
    closedir(folder);
}

static void describe(void)
{
    struct utsname system;
    char line[TEXT_MAX];

    uname(&system);
    printf("linux: kernel %s\n", system.release);
    read_line("/proc/cmdline", line);
    printf("linux: command line: %s\n", line);
    printf("linux: %ld CPUs, %ld MiB\n", sysconf(_SC_NPROCESSORS_ONLN),
           sysconf(_SC_PHYS_PAGES) / 1024 * (sysconf(_SC_PAGESIZE) / 1024));
    print_mitigations();
    limit_huge_pages();
}

/* Become the program; comes back only when that failed. */
static int execute(char **words)
{
    for (; *words != NULL && strchr(*words, '=') != NULL; words++) {
        if (putenv(*words) != 0)
            return CANNOT_RUN;
    }
    if (*words != NULL)
        execve(*words, words, environ);
    printf("linux: %s: %s\n", *words != NULL ? *words : "no program", strerror(errno));
    fflush(stdout);
    return CANNOT_RUN;
}

/* The program's name for people, of a command's words. */
static const char *name_of(char **words)
{
    while (*words != NULL && strchr(*words, '=') != NULL)
        words++;
    if (*words == NULL)
        return "none";
    const char *slash = strrchr(*words, '/');
    return slash != NULL ? slash + 1 : *words;
}

/* Run one command; whether it ended with exit code 0. */
static bool run(char *line)
{
    char *words[WORDS_MAX + 1];
    size_t count = 0;
    int status = 0;

    printf("linux: program starts: %s\n", line);
    for (char *word = strtok(line, " \t"); word != NULL; word = strtok(NULL, " \t")) {
        if (count == WORDS_MAX) {
            printf("linux: more than %d words in a command\n", WORDS_MAX);
            return false;
        }
        words[count++] = word;
    }
    words[count] = NULL;
    drain();
    pid_t child = fork();
    if (child == 0)
        _exit(execute(words));
    if (child < 0 || waitpid(child, &status, 0) < 0) {
        printf("linux: program %s cannot be run: %s\n", name_of(words), strerror(errno));
        return false;
    }
    drain();
    if (WIFSIGNALED(status))
        printf("linux: program %s: signal %d\n", name_of(words), WTERMSIG(status));
    else
        printf("linux: program %s: exit code %d\n", name_of(words), WEXITSTATUS(status));
    drain();
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Run what /commands says; whether all went well. */
static bool run_all(void)
{
    FILE *file = fopen(COMMANDS, "re");
    char *line = NULL;
    size_t room = 0;
    bool ok = true;

    if (file == NULL) {
        printf("linux: %s: %s\n", COMMANDS, strerror(errno));
        return false;
    }
    while (getline(&line, &room, file) >= 0) {
        line[strcspn(line, "\n")] = '\0';
        if (line[strspn(line, " \t")] != '\0')
            ok = run(line) && ok;
    }
    free(line);
    fclose(file);
    return ok;
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    mount_all();
    describe();
    bool ok = run_all();
    printf("linux: end %s\n", ok ? "ok" : "failed");
    drain();
    reboot(RB_POWER_OFF);
    printf("linux: the machine cannot be switched off: %s\n", strerror(errno));
    drain();
    for (;;)
        pause();
}
