/*
 * The core of an update agent: writes the slot that does not run, has it tried, and keeps it when it is well.
 *
 *   flip [-m DIR] update SYSTEM TARGET   SYSTEM is copied to TARGET, the partition of the other slot;
 *                                        restart afterwards
 *   flip [-m DIR] check                  after every start: commits a slot under trial
 *
 * -m is for a machine whose /proc, /sys, /dev and /run are below DIR. Ends with 0, 1 for files that cannot be
 * copied, 64 for a wrong command line, or a bootenv_error.
 *
 *   cc -std=c99 flip.c -lbootenv -o flip
 */
#define _POSIX_C_SOURCE 200809L

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bootenv.h"

enum { TRIES = 3, NOT_COPIED = 1, USAGE = 64 };

static const char *name(uint32_t slot)
{
    return slot == BOOTENV_SLOT_A ? "a" : slot == BOOTENV_SLOT_B ? "b" : "none";
}

/* Says what went wrong, and passes it on. */
static int failed(const char *doing, const bootenv_t *machine, int32_t error)
{
    fprintf(stderr, "flip: %s: %s\n", doing, bootenv_error_message(machine));
    return (int)error;
}

/* Whether all of it arrived on the disk. */
static int copy(const char *from, const char *to)
{
    char buffer[65536];
    size_t length;
    FILE *in = fopen(from, "rb");
    FILE *out = fopen(to, "r+b");
    int good = in != NULL && out != NULL;

    while (good && (length = fread(buffer, 1, sizeof buffer, in)) > 0)
        good = fwrite(buffer, 1, length, out) == length;
    good = good && !ferror(in) && fflush(out) == 0 && fsync(fileno(out)) == 0;
    if (in != NULL)
        fclose(in);
    if (out != NULL && fclose(out) != 0)
        good = 0;
    return good;
}

static int update(bootenv_t *machine, const char *system, const char *target)
{
    uint32_t slot = BOOTENV_SLOT_NONE;
    int32_t error = bootenv_other_slot(machine, &slot);

    if (error == 0)
        error = bootenv_can_try(machine);
    if (error == 0)
        error = bootenv_stage(machine, slot);
    if (error != 0)
        return failed("before the slot is written", machine, error);
    if (!copy(system, target)) {
        /* The slot is staged, so nothing boots what is in it now. */
        perror("flip: copying");
        return NOT_COPIED;
    }
    error = bootenv_try(machine, slot, TRIES);
    if (error != 0)
        return failed("arming the trial", machine, error);
    printf("slot %s is tried at the next start\n", name(slot));
    return 0;
}

static int check(bootenv_t *machine)
{
    bootenv_state_t state;
    int32_t error = bootenv_get_state(machine, &state);

    if (error != 0)
        return failed("reading the state", machine, error);
    if (state.booted_how != BOOTENV_HOW_TRIAL) {
        printf("slot %s runs, slot %s is committed\n", name(state.booted_slot), name(state.default_slot));
        return 0;
    }
    /* Here an agent looks whether the system is well. If not, it restarts, and the old one comes back. */
    error = bootenv_commit(machine);
    if (error != 0)
        return failed("committing", machine, error);
    printf("slot %s is committed\n", name(state.booted_slot));
    return 0;
}

int main(int count, char **words)
{
    bootenv_t *machine = NULL;
    const char *dir = NULL;
    int32_t error;
    int done;

    if (count > 2 && strcmp(words[1], "-m") == 0) {
        dir = words[2];
        words += 2;
        count -= 2;
    }
    if (!(count == 4 && strcmp(words[1], "update") == 0) && !(count == 2 && strcmp(words[1], "check") == 0)) {
        fputs("usage: flip [-m DIR] update SYSTEM TARGET | check\n", stderr);
        return USAGE;
    }
    if (dir != NULL)
        error = bootenv_open_below(dir, BOOTENV_ACCESS_WRITE, NULL, &machine);
    else
        error = bootenv_open(BOOTENV_ACCESS_WRITE, NULL, &machine);
    if (error != 0)
        return failed("opening the machine", NULL, error);
    done = count == 4 ? update(machine, words[2], words[3]) : check(machine);
    bootenv_free(machine);
    return done;
}
