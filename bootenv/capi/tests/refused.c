/*
 * Everything that a C program can get wrong without it being undefined, and what it is told then.
 *
 *   refused IMAGE ROOT   an image of the generic track, and a machine in a directory that runs slot A
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bootenv.h"

#define IS(call, wanted) is(#call, (int32_t)(call), (int32_t)(wanted))

static void is(const char *call, int32_t found, int32_t wanted)
{
    if (found == wanted)
        return;
    fprintf(stderr, "%s: %d instead of %d\n", call, (int)found, (int)wanted);
    exit(1);
}

static void says(const bootenv_t *handle, const char *wanted)
{
    const char *found = bootenv_error_message(handle);

    if (strstr(found, wanted) != NULL)
        return;
    fprintf(stderr, "`%s` does not say `%s`\n", found, wanted);
    exit(1);
}

static void nothing_is_opened(const char *image, const char *root)
{
    bootenv_t *handle = (bootenv_t *)&handle;

    IS(bootenv_open_image(NULL, BOOTENV_ACCESS_READ, &handle), BOOTENV_ERROR_NULL);
    says(NULL, "`image` is NULL");
    IS(handle == NULL, 1);
    IS(bootenv_open_image(image, BOOTENV_ACCESS_READ, NULL), BOOTENV_ERROR_NULL);
    IS(bootenv_open_image("", BOOTENV_ACCESS_READ, &handle), BOOTENV_ERROR_VALUE);
    IS(bootenv_open_image(image, 0, &handle), BOOTENV_ERROR_VALUE);
    IS(bootenv_open_image(image, 3, &handle), BOOTENV_ERROR_VALUE);
    says(NULL, "`access`");
    IS(bootenv_open_image("/nowhere/at/all", BOOTENV_ACCESS_READ, &handle), BOOTENV_ERROR_OPEN);
    says(NULL, "/nowhere/at/all");
    IS(bootenv_open_image("/dev/null", BOOTENV_ACCESS_READ, &handle), BOOTENV_ERROR_KIND);
    IS(bootenv_open_image("/proc/self/exe", BOOTENV_ACCESS_READ, &handle), BOOTENV_ERROR_NO_TRACK);
    IS(bootenv_open_below(NULL, BOOTENV_ACCESS_READ, NULL, &handle), BOOTENV_ERROR_NULL);
    IS(bootenv_open_below("/nowhere", BOOTENV_ACCESS_READ, NULL, &handle), BOOTENV_ERROR_UNKNOWN);
    IS(bootenv_open_below(root, BOOTENV_ACCESS_READ, "", &handle), BOOTENV_ERROR_VALUE);
    IS(bootenv_open_below(root, UINT32_MAX, NULL, &handle), BOOTENV_ERROR_VALUE);
    IS(bootenv_open(BOOTENV_ACCESS_READ, NULL, NULL), BOOTENV_ERROR_NULL);
    IS(bootenv_open(7, NULL, &handle), BOOTENV_ERROR_VALUE);
    IS(handle == NULL, 1);
    bootenv_free(NULL);
}

static void nothing_is_asked_of_nothing(void)
{
    bootenv_state_t state;
    bootenv_started_t started;
    bootenv_history_t history;
    uint32_t slot = 77;

    IS(bootenv_get_state(NULL, &state), BOOTENV_ERROR_NULL);
    says(NULL, "`handle` is NULL");
    IS(bootenv_default_slot(NULL, &slot), BOOTENV_ERROR_NULL);
    IS(bootenv_booted_slot(NULL, &slot), BOOTENV_ERROR_NULL);
    IS(bootenv_other_slot(NULL, &slot), BOOTENV_ERROR_NULL);
    IS(bootenv_stage(NULL, BOOTENV_SLOT_B), BOOTENV_ERROR_NULL);
    IS(bootenv_try(NULL, BOOTENV_SLOT_B, 1), BOOTENV_ERROR_NULL);
    IS(bootenv_can_try(NULL), BOOTENV_ERROR_NULL);
    IS(bootenv_commit(NULL), BOOTENV_ERROR_NULL);
    IS(bootenv_rollback(NULL), BOOTENV_ERROR_NULL);
    IS(bootenv_repair(NULL, NULL), BOOTENV_ERROR_NULL);
    IS(bootenv_start(NULL, &started), BOOTENV_ERROR_NULL);
    IS(bootenv_history(NULL, &history), BOOTENV_ERROR_NULL);
    IS(slot, 77);
}

static void an_image_is_asked_wrongly(const char *image)
{
    bootenv_t *handle = NULL, *second = NULL;
    bootenv_history_t history;
    bootenv_state_t state;
    uint32_t slots[] = { BOOTENV_SLOT_NONE, 3, 258, UINT32_MAX };
    uint32_t tries[] = { 0, 10, 257, UINT32_MAX };
    size_t index;

    IS(bootenv_open_image(image, BOOTENV_ACCESS_WRITE, &handle), BOOTENV_ERROR_NONE);
    IS(*bootenv_error_message(handle), 0);
    IS(bootenv_open_image(image, BOOTENV_ACCESS_WRITE, &second), BOOTENV_ERROR_BUSY);
    IS(second == NULL, 1);
    for (index = 0; index < 4; index++) {
        IS(bootenv_stage(handle, slots[index]), BOOTENV_ERROR_VALUE);
        says(handle, "`slot`");
        IS(bootenv_try(handle, slots[index], 1), BOOTENV_ERROR_VALUE);
        IS(bootenv_try(handle, BOOTENV_SLOT_B, tries[index]), BOOTENV_ERROR_TRIES);
        says(handle, "1 to 9");
    }
    IS(bootenv_get_state(handle, NULL), BOOTENV_ERROR_NULL);
    IS(bootenv_default_slot(handle, NULL), BOOTENV_ERROR_NULL);
    IS(bootenv_booted_slot(handle, NULL), BOOTENV_ERROR_NULL);
    IS(bootenv_other_slot(handle, NULL), BOOTENV_ERROR_NULL);
    IS(bootenv_start(handle, NULL), BOOTENV_ERROR_NULL);
    IS(bootenv_history(handle, NULL), BOOTENV_ERROR_NULL);
    IS(bootenv_history(handle, &history), BOOTENV_ERROR_JOURNAL);
    IS(bootenv_stage(handle, BOOTENV_SLOT_A), BOOTENV_ERROR_SLOT_COMMITTED);
    IS(bootenv_commit(handle), BOOTENV_ERROR_NOTHING_RUNS);
    IS(bootenv_get_state(handle, &state), BOOTENV_ERROR_NONE);
    IS(state.default_slot, BOOTENV_SLOT_A);
    IS(state.trial_slot, BOOTENV_SLOT_NONE);
    IS(state.booted_how, BOOTENV_HOW_NONE);
    IS(state.reserved[6], 0);
    bootenv_free(handle);

    IS(bootenv_open_image(image, BOOTENV_ACCESS_READ, &handle), BOOTENV_ERROR_NONE);
    IS(bootenv_open_image(image, BOOTENV_ACCESS_READ, &second), BOOTENV_ERROR_NONE);
    IS(bootenv_try(handle, BOOTENV_SLOT_B, 1), BOOTENV_ERROR_READ_ONLY);
    bootenv_free(second);
    bootenv_free(handle);
}

static void a_machine_tells_what_it_knows(const char *root)
{
    bootenv_t *handle = NULL;
    bootenv_state_t state;
    bootenv_started_t started;
    bootenv_history_t history;
    uint32_t slot = 77, repaired = 77;

    IS(bootenv_open_below(root, BOOTENV_ACCESS_WRITE, NULL, &handle), BOOTENV_ERROR_NONE);
    IS(bootenv_start(handle, &started), BOOTENV_ERROR_NONE);
    IS(started.repaired, 0);
    IS(started.restart, 0);
    IS(bootenv_repair(handle, &repaired), BOOTENV_ERROR_NONE);
    IS(repaired, 0);
    IS(bootenv_repair(handle, NULL), BOOTENV_ERROR_NONE);
    IS(bootenv_booted_slot(handle, &slot), BOOTENV_ERROR_NONE);
    IS(slot, BOOTENV_SLOT_A);
    IS(bootenv_default_slot(handle, &slot), BOOTENV_ERROR_NONE);
    IS(slot, BOOTENV_SLOT_A);
    IS(bootenv_stage(handle, BOOTENV_SLOT_A), BOOTENV_ERROR_SLOT_RUNS);
    IS(bootenv_stage(handle, BOOTENV_SLOT_B), BOOTENV_ERROR_NONE);
    IS(bootenv_try(handle, BOOTENV_SLOT_B, 9), BOOTENV_ERROR_NONE);
    IS(bootenv_get_state(handle, &state), BOOTENV_ERROR_NONE);
    IS(state.track, BOOTENV_TRACK_GENERIC);
    IS(state.next_slot, BOOTENV_SLOT_B);
    IS(state.trial_slot, BOOTENV_SLOT_B);
    IS(state.tries_left, 9);
    IS(state.booted_slot, BOOTENV_SLOT_A);
    IS(state.booted_how, BOOTENV_HOW_COMMITTED);
    IS(state.whole, 1);
    IS(bootenv_rollback(handle), BOOTENV_ERROR_NONE);
    IS(bootenv_history(handle, &history), BOOTENV_ERROR_NONE);
    IS(history.count, 2);
    IS(history.lost, 0);
    IS(history.records[0].event, BOOTENV_EVENT_ARMED);
    IS(history.records[0].asked, BOOTENV_ASKED_TRY);
    IS(history.records[0].asked_slot, BOOTENV_SLOT_B);
    IS(history.records[0].asked_tries, 9);
    IS(history.records[1].event, BOOTENV_EVENT_ROLLED_BACK);
    IS(history.records[1].number, 2);
    IS(history.records[1].committed, BOOTENV_SLOT_A);
    bootenv_free(handle);
}

int main(int count, char **words)
{
    if (count != 3)
        return 2;
    IS(strchr(bootenv_version(), '.') != NULL, 1);
    nothing_is_opened(words[1], words[2]);
    nothing_is_asked_of_nothing();
    an_image_is_asked_wrongly(words[1]);
    a_machine_tells_what_it_knows(words[2]);
    return 0;
}
