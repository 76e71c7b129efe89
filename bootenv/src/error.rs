//! All that can go wrong, with numbers that stay.

use crate::grubenv::GrubEnvError;
use crate::locate::LocateError;
use crate::machine::Refusal;
use crate::medium::MediumError;

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It must not be done. Nothing was written.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The disk does not do as it is told.
    #[error(transparent)]
    Medium(#[from] MediumError),
    /// A control file is not where or how it should be. Nothing was written.
    #[error(transparent)]
    Locate(#[from] LocateError),
    /// The file lies elsewhere than before. Nothing was written to it.
    #[error("`{0}` was moved by another program\n\nhint: start again")]
    Moved(&'static str),
    /// The file has other contents than before. Nothing was written to it.
    #[error("`{0}` was changed by another program\n\nhint: start again")]
    Changed(&'static str),
    /// The disk gave other bytes than it was given. The next start reads the copy.
    #[error("`{0}` does not hold what was written to it\n\nhint: the disk may be failing")]
    ReadBack(&'static str),
    /// The block has no room beside what others keep there. Nothing was written.
    #[error(transparent)]
    Block(#[from] GrubEnvError),
    /// The board does not set or tell its tryboot flag.
    #[error("the tryboot flag: {0}")]
    Tryboot(alloc::string::String),
    /// The journal cannot be read or written.
    #[error("the journal: {0}")]
    Journal(alloc::string::String),
    /// The running machine is none of ours, or an image is not. Nothing was written.
    #[cfg(feature = "std")]
    #[error(transparent)]
    Platform(#[from] crate::device::PlatformError),
    /// The firmware of the board is not fit for a trial. Nothing was written.
    #[cfg(feature = "std")]
    #[error(transparent)]
    Firmware(#[from] crate::device::FirmwareError),
}

impl Error {
    /// The number of this error, for C and for exit codes. Numbers are never given to another error;
    /// the README has them all.
    pub fn code(&self) -> u8 {
        match self {
            Error::Refused(refusal) => match refusal {
                Refusal::Tries { .. } => 10,
                Refusal::SlotRuns(_) => 11,
                Refusal::SlotCommitted(_) => 12,
                Refusal::InTrial(_) => 13,
                Refusal::WrongSlot { .. } => 14,
                Refusal::NothingRuns => 15,
                Refusal::Lost => 16,
                Refusal::LostForGood => 17,
                Refusal::NoFileSystem(_) => 45,
            },
            Error::Medium(error) => medium(error),
            Error::Locate(error) => locate(error),
            Error::Moved(_) => 50,
            Error::Changed(_) => 51,
            Error::ReadBack(_) => 52,
            Error::Block(_) => 53,
            Error::Tryboot(_) => 54,
            Error::Journal(_) => 55,
            #[cfg(feature = "std")]
            Error::Platform(error) => platform(error),
            #[cfg(feature = "std")]
            Error::Firmware(error) => firmware(error),
        }
    }
}

#[cfg(feature = "std")]
fn platform(error: &crate::device::PlatformError) -> u8 {
    use crate::device::PlatformError;
    match error {
        PlatformError::Unknown => 60,
        PlatformError::NoDisk => 61,
        PlatformError::NoTrack { .. } => 62,
    }
}

#[cfg(feature = "std")]
fn firmware(error: &crate::device::FirmwareError) -> u8 {
    use crate::device::FirmwareError;
    match error {
        FirmwareError::Silent => 63,
        FirmwareError::Old { .. } => 64,
        FirmwareError::Unable { .. } => 65,
    }
}

fn medium(error: &MediumError) -> u8 {
    match error {
        MediumError::Open { .. } => 20,
        MediumError::Kind(_) => 21,
        MediumError::Busy(_) => 22,
        MediumError::SectorSize(_) => 23,
        MediumError::Bounds { .. } => 24,
        MediumError::ReadOnly => 25,
        MediumError::Read { .. } => 26,
        MediumError::Write { .. } => 27,
        MediumError::Flush(_) => 28,
    }
}

fn locate(error: &LocateError) -> u8 {
    match error {
        LocateError::Medium(error) => medium(error),
        LocateError::NoTable => 30,
        LocateError::OtherTable => 31,
        LocateError::TableDamaged(_) => 32,
        LocateError::NoPartition(_) => 33,
        LocateError::PartitionType(_) => 34,
        LocateError::PartitionBounds(_) => 35,
        LocateError::NotFat(_) => 36,
        LocateError::FatsDiffer => 37,
        LocateError::Chain(_) => 38,
        LocateError::Missing(_) => 39,
        LocateError::Twice(_) => 40,
        LocateError::Kind(_) => 41,
        LocateError::Length { .. } => 42,
        LocateError::Fragmented(_) => 43,
        LocateError::Shared => 44,
    }
}
