/*
 * bootenv: which of two system slots a machine boots, and how that is changed so that no loss of power
 * leaves it without a system. Made from the sources by cbindgen: do not edit.
 *
 * An update agent, before it writes a slot and after:
 *
 *     bootenv_t *machine = NULL;
 *     uint32_t slot = BOOTENV_SLOT_NONE;
 *     int32_t error = bootenv_open(BOOTENV_ACCESS_WRITE, NULL, &machine);
 *     if (error != BOOTENV_ERROR_NONE) {
 *         fprintf(stderr, "%s\n", bootenv_error_message(NULL));
 *         return error;
 *     }
 *     if (bootenv_other_slot(machine, &slot) == 0 && bootenv_stage(machine, slot) == 0 &&
 *         write_the_slot(slot) && bootenv_try(machine, slot, 3) == 0)
 *         restart();
 *
 * and after that restart, when the system is known to be well:
 *
 *     bootenv_state_t state;
 *     if (bootenv_get_state(machine, &state) == 0 && state.booted_how == BOOTENV_HOW_TRIAL)
 *         error = bootenv_commit(machine);
 *
 * Calls     return BOOTENV_ERROR_NONE, which is 0, or another `bootenv_error`. Messages are for people
 *           and change, numbers are for programs and do not. What was refused changed nothing.
 * Pointers  that are NULL and numbers that are in no enum are refused. Undefined are pointers to nothing,
 *           texts without a NUL at their end, and a handle after `bootenv_free`.
 * Threads   A handle belongs to one thread at a time, whichever. Different handles are independent, but
 *           two cannot have one disk open for writing: the second gets BOOTENV_ERROR_BUSY. The message of
 *           a call without a handle is the calling thread's own.
 * Handles   lock others out, and see the disk as it is at each call. Open late, and close soon.
 * Forks     A child must not use its parent's handles.
 */


#ifndef BOOTENV_H
#define BOOTENV_H

#include <stdint.h>

// What a call comes to. Numbers never change their meaning, and 10 and above are also the exit codes
// of the command `bootenv`.
//
// With 1 to 25, 45, 53 and 60 to 65 nothing was written; with 50 and 51 nothing to the file that the message
// names, though its copy may have been.
typedef enum bootenv_error {
  // done
  BOOTENV_ERROR_NONE = 0,
  // a pointer is NULL that must not be
  BOOTENV_ERROR_NULL = 2,
  // a number is none of its enum, or a path is empty
  BOOTENV_ERROR_VALUE = 3,
  // a mistake in this library, now or in an earlier call on this handle, which is of no more use
  BOOTENV_ERROR_BUG = 4,
  // the number of tries is not 1 to 9
  BOOTENV_ERROR_TRIES = 10,
  // the slot runs
  BOOTENV_ERROR_SLOT_RUNS = 11,
  // the slot is committed
  BOOTENV_ERROR_SLOT_COMMITTED = 12,
  // a trial runs
  BOOTENV_ERROR_IN_TRIAL = 13,
  // the slot that runs is not the one under trial
  BOOTENV_ERROR_WRONG_SLOT = 14,
  // no slot of this disk runs
  BOOTENV_ERROR_NOTHING_RUNS = 15,
  // every copy of the state is lost
  BOOTENV_ERROR_LOST = 16,
  // the same, and nothing says which slot to trust
  BOOTENV_ERROR_LOST_FOR_GOOD = 17,
  // the disk cannot be opened
  BOOTENV_ERROR_OPEN = 20,
  // neither an image nor a disk
  BOOTENV_ERROR_KIND = 21,
  // in use by another program
  BOOTENV_ERROR_BUSY = 22,
  // sectors of another size than 512
  BOOTENV_ERROR_SECTOR_SIZE = 23,
  // beyond the end of the disk
  BOOTENV_ERROR_BOUNDS = 24,
  // the disk can only be read
  BOOTENV_ERROR_READ_ONLY = 25,
  // a sector cannot be read
  BOOTENV_ERROR_READ = 26,
  // a sector cannot be written
  BOOTENV_ERROR_WRITE = 27,
  // writes cannot be made to last
  BOOTENV_ERROR_FLUSH = 28,
  // no partition table
  BOOTENV_ERROR_NO_TABLE = 30,
  // the table of another track
  BOOTENV_ERROR_OTHER_TABLE = 31,
  // the table is damaged
  BOOTENV_ERROR_TABLE_DAMAGED = 32,
  // no such partition
  BOOTENV_ERROR_NO_PARTITION = 33,
  // the partition has another type
  BOOTENV_ERROR_PARTITION_TYPE = 34,
  // the partition reaches over another or beyond the disk
  BOOTENV_ERROR_PARTITION_BOUNDS = 35,
  // no FAT in the partition
  BOOTENV_ERROR_NOT_FAT = 36,
  // the copies of the FAT's allocation table differ
  BOOTENV_ERROR_FATS_DIFFER = 37,
  // a chain of the FAT leads nowhere
  BOOTENV_ERROR_CHAIN = 38,
  // the control file is missing
  BOOTENV_ERROR_MISSING = 39,
  // the control file's name is there twice
  BOOTENV_ERROR_TWICE = 40,
  // a directory in a file's place, or the reverse
  BOOTENV_ERROR_FILE_KIND = 41,
  // the control file has another length
  BOOTENV_ERROR_LENGTH = 42,
  // the control file is fragmented
  BOOTENV_ERROR_FRAGMENTED = 43,
  // two control files share a sector
  BOOTENV_ERROR_SHARED = 44,
  // the slot has no file system that could be booted
  BOOTENV_ERROR_NO_FILE_SYSTEM = 45,
  // the control file was moved meanwhile
  BOOTENV_ERROR_MOVED = 50,
  // the control file was changed meanwhile
  BOOTENV_ERROR_CHANGED = 51,
  // another thing is read back than was written
  BOOTENV_ERROR_READ_BACK = 52,
  // no room in the block beside the variables of others
  BOOTENV_ERROR_BLOCK = 53,
  // the board does not keep its tryboot flag
  BOOTENV_ERROR_TRYBOOT = 54,
  // the journal cannot be read or written
  BOOTENV_ERROR_JOURNAL = 55,
  // the machine was started by no loader that is known
  BOOTENV_ERROR_UNKNOWN = 60,
  // the disk that the machine was started from is not found
  BOOTENV_ERROR_NO_DISK = 61,
  // the image holds the state of no track
  BOOTENV_ERROR_NO_TRACK = 62,
  // the board's EEPROM does not say what it is
  BOOTENV_ERROR_FIRMWARE_SILENT = 63,
  // the board's EEPROM is too old
  BOOTENV_ERROR_FIRMWARE_OLD = 64,
  // the board's EEPROM says that it cannot do a trial
  BOOTENV_ERROR_FIRMWARE_UNABLE = 65,
} bootenv_error;

// A slot.
typedef enum bootenv_slot {
  // No slot, or one that is not known. Never an argument.
  BOOTENV_SLOT_NONE = 0,
  // The first copy of the system.
  BOOTENV_SLOT_A = 1,
  // The second copy.
  BOOTENV_SLOT_B = 2,
} bootenv_slot;

// What a handle may do. Reading excludes writers, and writing excludes everybody, among the users of
// this library; another is told `BOOTENV_ERROR_BUSY`.
typedef enum bootenv_access {
  // Look at the state.
  BOOTENV_ACCESS_READ = 1,
  // Change it as well.
  BOOTENV_ACCESS_WRITE = 2,
} bootenv_access;

// Which loader chooses the slot.
typedef enum bootenv_track {
  // GRUB, on machines with UEFI.
  BOOTENV_TRACK_GENERIC = 1,
  // The boot ROM of a Raspberry Pi.
  BOOTENV_TRACK_RPI = 2,
} bootenv_track;

// How the slot that runs was started.
typedef enum bootenv_how {
  // No slot of this disk runs.
  BOOTENV_HOW_NONE = 0,
  // As the committed slot.
  BOOTENV_HOW_COMMITTED = 1,
  // As the slot under trial: it is left by the next reset unless it is committed.
  BOOTENV_HOW_TRIAL = 2,
  // In the place of the committed slot, which could not be loaded.
  BOOTENV_HOW_HANDOVER = 3,
} bootenv_how;

// Why the machine was started.
typedef enum bootenv_reset {
  // Nobody says.
  BOOTENV_RESET_UNKNOWN = 0,
  // It was told to.
  BOOTENV_RESET_REBOOT = 1,
  // The power came.
  BOOTENV_RESET_POWER = 2,
  // The watchdog was not fed.
  BOOTENV_RESET_WATCHDOG = 3,
  // The kernel gave up.
  BOOTENV_RESET_PANIC = 4,
} bootenv_reset;

// What happened, in a record of the journal.
typedef enum bootenv_event {
  // A slot is being written.
  BOOTENV_EVENT_STAGED = 1,
  // A slot will be tried.
  BOOTENV_EVENT_ARMED = 2,
  // A slot is being tried.
  BOOTENV_EVENT_IN_TRIAL = 3,
  // A slot became the committed one.
  BOOTENV_EVENT_COMMITTED = 4,
  // A trial was ended, or ended without a commit.
  BOOTENV_EVENT_ROLLED_BACK = 5,
  // An operation was cut short, and repaired.
  BOOTENV_EVENT_INTERRUPTED = 6,
} bootenv_event;

// What was asked for, in a record of the journal.
typedef enum bootenv_asked {
  // Nothing: it happened by itself.
  BOOTENV_ASKED_NOTHING = 0,
  // `bootenv_stage`
  BOOTENV_ASKED_STAGE = 1,
  // `bootenv_try`
  BOOTENV_ASKED_TRY = 2,
  // `bootenv_commit`
  BOOTENV_ASKED_COMMIT = 3,
  // `bootenv_rollback`
  BOOTENV_ASKED_ROLLBACK = 4,
  // `bootenv_repair`
  BOOTENV_ASKED_REPAIR = 5,
} bootenv_asked;

// What was opened. Only its address is known to C.
typedef struct bootenv_t bootenv_t;

// What is known of both slots.
typedef struct bootenv_state_t {
  // A `bootenv_track`.
  uint32_t track;
  // The committed `bootenv_slot`; none when every copy of the state is lost.
  uint32_t default_slot;
  // The `bootenv_slot` that the next start boots when it can be loaded.
  uint32_t next_slot;
  // The `bootenv_slot` that runs; none on an image and on another machine's disk.
  uint32_t booted_slot;
  // How that was started: a `bootenv_how`.
  uint32_t booted_how;
  // The `bootenv_slot` under a trial that has starts left.
  uint32_t trial_slot;
  // How many, 0 to 9, beside one that runs or that is armed in a Raspberry Pi.
  uint32_t tries_left;
  // 1 when every copy of the state is good and says the same, else 0: `bootenv_repair` helps.
  uint32_t whole;
  // Why the machine was started: a `bootenv_reset`.
  uint32_t reset;
  // 0.
  uint32_t reserved[7];
} bootenv_state_t;

// What a start of the machine came to.
typedef struct bootenv_started_t {
  // 1 when a copy of the state was made good, else 0.
  uint32_t repaired;
  // 1 when the machine has to restart now, since the next try is armed, else 0.
  uint32_t restart;
  // 0.
  uint32_t reserved[2];
} bootenv_started_t;

// One record of the journal.
typedef struct bootenv_record_t {
  // Counts up by one. Says which record is newer, for clocks jump.
  uint64_t number;
  // The clock, in seconds since 1970; it may be wrong.
  uint64_t time;
  // A `bootenv_event`.
  uint32_t event;
  // The `bootenv_slot` that it happened to.
  uint32_t slot;
  // The `bootenv_slot` that was committed then.
  uint32_t committed;
  // The `bootenv_slot` under trial.
  uint32_t trial_slot;
  // Its tries, 0 to 9.
  uint32_t tries_left;
  // Why the machine had been started: a `bootenv_reset`.
  uint32_t reset;
  // What was asked for: a `bootenv_asked`.
  uint32_t asked;
  // Of which `bootenv_slot`.
  uint32_t asked_slot;
  // With how many tries.
  uint32_t asked_tries;
  // 0.
  uint32_t reserved[3];
} bootenv_record_t;

// What the journal holds.
typedef struct bootenv_history_t {
  // How many of the records there are, 0 to 2.
  uint32_t count;
  // How many were lost: torn, or written by another version.
  uint32_t lost;
  // The records, the older first.
  struct bootenv_record_t records[2];
} bootenv_history_t;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Opens the machine that this runs on.
//
// @param access   a `bootenv_access`
// @param journal  path of the journal, or NULL for `/run/factory/mnt/data/bootenv.journal`; without one
//                 that can be opened, what needs it is refused with `BOOTENV_ERROR_JOURNAL`
// @param handle   where the handle goes; NULL goes there on any error
// @return a `bootenv_error`; the message is `bootenv_error_message(NULL)`
int32_t bootenv_open(uint32_t access, const char *journal, struct bootenv_t **handle);

// Opens a machine whose `/proc`, `/sys`, `/dev` and `/run` are below a directory, as in a container that
// has its host's. Else as `bootenv_open`.
//
// @param root  path of that directory
int32_t bootenv_open_below(const char *root, uint32_t access, const char *journal, struct bootenv_t **handle);

// Opens an image, or a disk that this machine does not run from. It has slots but nothing that runs:
// there is nothing to commit, and no trial that a Raspberry Pi could be armed for.
//
// @param image   path of a file or of a block device
// @param access  a `bootenv_access`
// @param handle  where the handle goes; NULL goes there on any error
// @return a `bootenv_error`; the message is `bootenv_error_message(NULL)`
int32_t bootenv_open_image(const char *image, uint32_t access, struct bootenv_t **handle);

// Closes what was opened. The handle and its message must not be used any more. NULL is allowed.
void bootenv_free(struct bootenv_t *handle);

// What the last error said, in English and UTF-8: one line, sometimes an empty one and a line that
// starts with `hint: `. Empty when there was no error.
//
// @param handle  of the call that failed; NULL for calls that failed without one, on this thread
// @return never NULL; good until the next call with this handle, or without one on this thread
const char *bootenv_error_message(const struct bootenv_t *handle);

// The version of this library, as `0.1.0`. Never NULL, and good for ever.
const char *bootenv_version(void);

// All that is known of both slots.
//
// @param state  where it goes; left as it is on any error
// @return a `bootenv_error`
int32_t bootenv_get_state(struct bootenv_t *handle, struct bootenv_state_t *state);

// The committed slot.
//
// @param slot  where its `bootenv_slot` goes; left as it is on any error
// @return a `bootenv_error`; `BOOTENV_ERROR_LOST` when no copy of the state can be read
int32_t bootenv_default_slot(struct bootenv_t *handle, uint32_t *slot);

// The slot that runs.
//
// @param slot  where its `bootenv_slot` goes: none on an image, and on another machine's disk
// @return a `bootenv_error`
int32_t bootenv_booted_slot(struct bootenv_t *handle, uint32_t *slot);

// The slot that an update goes to: the one that does not run, or else the one that is not committed.
//
// @param slot  where its `bootenv_slot` goes; left as it is on any error
// @return a `bootenv_error`
int32_t bootenv_other_slot(struct bootenv_t *handle, uint32_t *slot);

// Says that a slot is about to be written: nothing hands over to it any more, and a trial of it ends. To
// be called before its first byte is changed.
//
// @param slot  a `bootenv_slot`, neither the one that runs nor the committed one
// @return a `bootenv_error`
int32_t bootenv_stage(struct bootenv_t *handle, uint32_t slot);

// Lets the next starts boot a slot; then, without a commit, the committed slot again. The machine is to
// be restarted afterwards, by the command `bootenv restart` or as usual.
//
// @param slot   a `bootenv_slot`, neither the one that runs nor the committed one
// @param tries  how many starts it gets, 1 to 9
// @return a `bootenv_error`
int32_t bootenv_try(struct bootenv_t *handle, uint32_t slot, uint32_t tries);

// Whether a trial could be armed, as far as the board and its firmware go. Changes nothing.
//
// @return a `bootenv_error`: what keeps it from that
int32_t bootenv_can_try(struct bootenv_t *handle);

// Makes the slot that runs the committed one. Nothing to do when it is.
//
// @return a `bootenv_error`
int32_t bootenv_commit(struct bootenv_t *handle);

// Ends a trial: the next start boots the committed slot. Nothing to do when there is none.
//
// @return a `bootenv_error`
int32_t bootenv_rollback(struct bootenv_t *handle);

// Makes all copies of the state good and the same.
//
// @param repaired  1 goes there when there was anything to do, else 0; may be NULL
// @return a `bootenv_error`
int32_t bootenv_repair(struct bootenv_t *handle, uint32_t *repaired);

// For what runs once after every start of the machine, when the journal's file system is mounted; images
// of `factory` do it in their init. Repairs, notes what happened and, on a Raspberry Pi, arms the next
// try.
//
// @param started  where it says what it came to; left as it is on any error
// @return a `bootenv_error`
int32_t bootenv_start(struct bootenv_t *handle, struct bootenv_started_t *started);

// The journal: what happened to the slots last.
//
// @param history  where its records go; left as it is on any error
// @return a `bootenv_error`; `BOOTENV_ERROR_JOURNAL` on an image, whose journal lies in a file system
int32_t bootenv_history(struct bootenv_t *handle, struct bootenv_history_t *history);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* BOOTENV_H */
