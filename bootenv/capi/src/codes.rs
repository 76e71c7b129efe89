//! Numbers of errors: those of `bootenv::Error::code`, and what only this interface can get wrong. A test
//! compares them with the numbers in the crate and with the table in its README.

/// What a call comes to. Numbers never change their meaning, and 10 and above are also the exit codes
/// of the command `bootenv`.
///
/// With 1 to 25, 45, 53 and 60 to 65 nothing was written; with 50 and 51 nothing to the file that the message
/// names, though its copy may have been.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// done
    None = 0,
    /// a pointer is NULL that must not be
    Null = 2,
    /// a number is none of its enum, or a path is empty
    Value = 3,
    /// a mistake in this library, now or in an earlier call on this handle, which is of no more use
    Bug = 4,
    /// the number of tries is not 1 to 9
    Tries = 10,
    /// the slot runs
    SlotRuns = 11,
    /// the slot is committed
    SlotCommitted = 12,
    /// a trial runs
    InTrial = 13,
    /// the slot that runs is not the one under trial
    WrongSlot = 14,
    /// no slot of this disk runs
    NothingRuns = 15,
    /// every copy of the state is lost
    Lost = 16,
    /// the same, and nothing says which slot to trust
    LostForGood = 17,
    /// the disk cannot be opened
    Open = 20,
    /// neither an image nor a disk
    Kind = 21,
    /// in use by another program
    Busy = 22,
    /// sectors of another size than 512
    SectorSize = 23,
    /// beyond the end of the disk
    Bounds = 24,
    /// the disk can only be read
    ReadOnly = 25,
    /// a sector cannot be read
    Read = 26,
    /// a sector cannot be written
    Write = 27,
    /// writes cannot be made to last
    Flush = 28,
    /// no partition table
    NoTable = 30,
    /// the table of another track
    OtherTable = 31,
    /// the table is damaged
    TableDamaged = 32,
    /// no such partition
    NoPartition = 33,
    /// the partition has another type
    PartitionType = 34,
    /// the partition reaches over another or beyond the disk
    PartitionBounds = 35,
    /// no FAT in the partition
    NotFat = 36,
    /// the copies of the FAT's allocation table differ
    FatsDiffer = 37,
    /// a chain of the FAT leads nowhere
    Chain = 38,
    /// the control file is missing
    Missing = 39,
    /// the control file's name is there twice
    Twice = 40,
    /// a directory in a file's place, or the reverse
    FileKind = 41,
    /// the control file has another length
    Length = 42,
    /// the control file is fragmented
    Fragmented = 43,
    /// two control files share a sector
    Shared = 44,
    /// the slot has no file system that could be booted
    NoFileSystem = 45,
    /// the control file was moved meanwhile
    Moved = 50,
    /// the control file was changed meanwhile
    Changed = 51,
    /// another thing is read back than was written
    ReadBack = 52,
    /// no room in the block beside the variables of others
    Block = 53,
    /// the board does not keep its tryboot flag
    Tryboot = 54,
    /// the journal cannot be read or written
    Journal = 55,
    /// the machine was started by no loader that is known
    Unknown = 60,
    /// the disk that the machine was started from is not found
    NoDisk = 61,
    /// the image holds the state of no track
    NoTrack = 62,
    /// the board's EEPROM does not say what it is
    FirmwareSilent = 63,
    /// the board's EEPROM is too old
    FirmwareOld = 64,
    /// the board's EEPROM says that it cannot do a trial
    FirmwareUnable = 65,
}
