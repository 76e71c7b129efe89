//! What is refused before a byte is written: pure rules over facts that were found out before.

use std::path::{Path, PathBuf};

use super::devices::{Device, Use};
use crate::image::claim::{self, sectors};
use crate::image::mbr;
use crate::units::{Bytes, SECTOR};

/// Why nothing is written, and the way out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Neither a block device nor a file.
    #[error("`{}` is neither a block device nor a file\n\nhint: `factory devices` lists what can be written", .0.display())]
    Neither(PathBuf),
    /// Nothing, in the directory of devices.
    #[error("there is no device `{}`\n\nhint: `factory devices` lists what can be written", .0.display())]
    NoDevice(PathBuf),
    /// A device of which nothing is known.
    #[error("the kernel does not tell what `{}` is\n\nhint: `factory devices --all` lists what it knows", .0.display())]
    Unknown(PathBuf),
    /// A partition.
    #[error("`{}` is a partition, and an image is a whole disk\n\nhint: name the disk, `/dev/{disk}`", path.display())]
    Partition {
        /// What was named.
        path: PathBuf,
        /// Name of the disk that it is on.
        disk: String,
    },
    /// The disk that this system runs from.
    #[error("`{}` carries the running system (`{at}`)\n\nhint: `factory devices` lists what can be written", path.display())]
    System {
        /// The device.
        path: PathBuf,
        /// What of the system is on it.
        at: String,
    },
    /// Something uses the device.
    #[error("`{}` is in use: {what}\n\nhint: {hint}", path.display())]
    InUse {
        /// The device.
        path: PathBuf,
        /// By what.
        what: String,
        /// How to end that.
        hint: String,
    },
    /// It cannot be written.
    #[error("`{}` is read-only\n\nhint: look for a switch at the side of the card, or at the adapter", .0.display())]
    ReadOnly(PathBuf),
    /// A reader without a card.
    #[error("`{}` is empty\n\nhint: put a card in", .0.display())]
    NoMedium(PathBuf),
    /// A disk that is built in.
    #[error("`{path}` is not removable\n\nhint: if it is what you mean, name it twice: `{path} --fixed-disk {path}`", path = .0.display())]
    Fixed(PathBuf),
    /// Too small.
    #[error("`{}` has {has} ({} bytes), but the image needs {needs} ({} bytes)\n\nhint: take a larger medium, or make the image smaller by `image.size`", path.display(), has.0, needs.0)]
    TooSmall {
        /// The target.
        path: PathBuf,
        /// Its size.
        has: Bytes,
        /// The image's.
        needs: Bytes,
    },
    /// An image for other sectors than the device has.
    #[error("`{}` has sectors of {has} bytes, but the image is made for {image}\n\nhint: addresses in the image would point elsewhere; take another device", path.display())]
    Sectors {
        /// The target.
        path: PathBuf,
        /// Bytes in its sectors.
        has: u64,
        /// Bytes in those of the image.
        image: u64,
    },
    /// Something without a partition table.
    #[error(
        "`{0}` is not an image of a disk: it has no partition table\n\nhint: `factory inspect` shows what a file holds"
    )]
    NoTable(String),
    /// Not all of the image is there.
    #[error(
        "`{image}` is cut off: it has {has} bytes, and should have {needs}\n\nhint: copy or download it again"
    )]
    CutOff {
        /// The image.
        image: String,
        /// Its length.
        has: u64,
        /// What its table says, or whole sectors.
        needs: u64,
    },
    /// An image from elsewhere, of which nobody says what it should be.
    #[error("nothing tells what `{0}` should hold\n\nhint: name the digest that goes with it by `--sha256`")]
    NoDigest(String),
    /// The image is to be written over itself.
    #[error("`{}` is the image itself\n\nhint: name another target", .0.display())]
    Itself(PathBuf),
    /// Nobody agreed to lose what is there.
    #[error("nobody can be asked whether `{}` may be overwritten\n\nhint: run it in a terminal, or say `--yes`", .0.display())]
    NobodyToAsk(PathBuf),
    /// The user said no.
    #[error("`{}` is not overwritten", .0.display())]
    Declined(PathBuf),
}

/// What a device may not be. `twice` is what was named by `--fixed-disk`.
///
/// # Errors
/// The first reason not to write, the gravest first.
pub fn device(path: &Path, device: &Device, twice: Option<&Path>) -> Result<(), Refusal> {
    let own = || path.to_owned();
    if device.system {
        let mounted = device.uses.iter().filter_map(|of| match of {
            Use::Mounted { at, .. } => Some(at.as_str()),
            _ => None,
        });
        return Err(Refusal::System { path: own(), at: mounted.collect::<Vec<_>>().join("`, `") });
    }
    if let Some(of) = device.uses.first() {
        let (what, hint) = in_use(of);
        return Err(Refusal::InUse { path: own(), what, hint });
    }
    if device.size.0 == 0 {
        return Err(Refusal::NoMedium(own()));
    }
    if device.read_only {
        return Err(Refusal::ReadOnly(own()));
    }
    if !device.removable && twice != Some(path) {
        return Err(Refusal::Fixed(own()));
    }
    Ok(())
}

/// What uses a device, and how to end that.
fn in_use(of: &Use) -> (String, String) {
    match of {
        Use::Mounted { device, at } => {
            (format!("`{device}` is mounted at `{at}`"), format!("umount /dev/{device}"))
        }
        Use::Swap { device } => {
            (format!("memory is swapped to `{device}`"), format!("swapoff /dev/{device}"))
        }
        Use::Held { device, by } => (
            format!("`{by}` is made of `{device}`"),
            format!("take `{by}` down first, by cryptsetup, vgchange, mdadm or dmsetup"),
        ),
    }
}

/// What the first MiB, or all, of an image may not be.
///
/// # Errors
/// When it has no table.
pub fn image(name: &str, head: &[u8]) -> Result<(), Refusal> {
    let is_disk = head.len() >= 512 && (mbr::is_mbr(head) || sectors(head).is_some());
    if is_disk { Ok(()) } else { Err(Refusal::NoTable(name.to_owned())) }
}

/// Whether an image of this size may go to a target.
///
/// # Errors
/// When it does not fit, in length or in sectors.
pub fn fits(path: &Path, target: Room, name: &str, size: Option<u64>, head: &[u8]) -> Result<(), Refusal> {
    if let Some(has) = size {
        whole(name, has, head)?;
    }
    let Some(has) = target.capacity else { return Ok(()) };
    if let Some(needs) = size.filter(|size| *size > has) {
        return Err(Refusal::TooSmall { path: path.to_owned(), has: Bytes(has), needs: Bytes(needs) });
    }
    // An MBR does not say for which sectors it is; those of all boards that read one have 512 bytes.
    let image = sectors(head).unwrap_or(SECTOR);
    if image != target.sector {
        return Err(Refusal::Sectors { path: path.to_owned(), has: target.sector, image });
    }
    Ok(())
}

/// Whether all of an image is there: whole sectors, and all that its table speaks of.
///
/// # Errors
/// When it is cut off.
pub fn whole(name: &str, has: u64, head: &[u8]) -> Result<(), Refusal> {
    let needs = claim::end(head).unwrap_or_default().max(has.next_multiple_of(SECTOR));
    if needs == has { Ok(()) } else { Err(Refusal::CutOff { image: name.to_owned(), has, needs }) }
}

/// The room that a target has.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Bytes, where there is a limit.
    pub capacity: Option<u64>,
    /// Bytes in a logical sector.
    pub sector: u64,
}

#[cfg(test)]
mod tests {
    use super::super::devices::Bus;
    use super::*;
    use crate::image::claim::SECOND_HEADER;

    fn stick() -> Device {
        Device {
            name: "sdb".into(),
            path: "/dev/sdb".into(),
            size: Bytes(8 << 30),
            sector: 512,
            vendor: None,
            model: None,
            bus: Bus::Usb,
            removable: true,
            read_only: false,
            system: false,
            uses: Vec::new(),
            parts: Vec::new(),
        }
    }

    /// The reason not to write the stick when this is done to it.
    fn refused(change: impl Fn(&mut Device)) -> String {
        let mut changed = stick();
        change(&mut changed);
        device(Path::new("/dev/sdb"), &changed, None)
            .map_or_else(|refusal| refusal.to_string(), |()| String::new())
    }

    #[test]
    fn every_reason_not_to_write_a_device_has_its_words() {
        let mounted = |at: &str| Use::Mounted { device: "sdb1".into(), at: at.into() };
        assert_eq!(refused(|_| ()), "");
        let said =
            refused(|device| (device.system, device.uses) = (true, vec![mounted("/"), mounted("/boot")]));
        assert!(said.starts_with("`/dev/sdb` carries the running system (`/`, `/boot`)\n\nhint: "), "{said}");
        let said = refused(|device| device.uses = vec![mounted("/media/card")]);
        assert_eq!(
            said,
            "`/dev/sdb` is in use: `sdb1` is mounted at `/media/card`\n\nhint: umount /dev/sdb1"
        );
        let said = refused(|device| device.uses = vec![Use::Swap { device: "sdb2".into() }]);
        assert_eq!(said, "`/dev/sdb` is in use: memory is swapped to `sdb2`\n\nhint: swapoff /dev/sdb2");
        let said = refused(|device| device.uses = vec![Use::Held { device: "sdb".into(), by: "md0".into() }]);
        assert!(
            said.starts_with("`/dev/sdb` is in use: `md0` is made of `sdb`\n\nhint: take `md0` down"),
            "{said}"
        );
        assert!(refused(|device| device.read_only = true).starts_with("`/dev/sdb` is read-only\n\nhint: "));
        assert!(refused(|device| device.size = Bytes(0)).starts_with("`/dev/sdb` is empty\n\nhint: "));
        let said = refused(|device| device.removable = false);
        assert!(said.ends_with("name it twice: `/dev/sdb --fixed-disk /dev/sdb`"), "{said}");
    }

    #[test]
    fn only_the_same_name_counts_as_the_second_one() {
        let fixed = Device { removable: false, ..stick() };
        let twice = |name: &str| device(Path::new("/dev/sdb"), &fixed, Some(Path::new(name)));
        assert_eq!(twice("/dev/sdb"), Ok(()));
        assert_eq!(twice("/dev/sda"), Err(Refusal::Fixed("/dev/sdb".into())));
    }

    fn gpt(sector: u64, last: u64) -> Vec<u8> {
        let mut head = vec![0; 8192];
        let at = sector as usize;
        head[at..at + 8].copy_from_slice(b"EFI PART");
        head[at + SECOND_HEADER..at + SECOND_HEADER + 8].copy_from_slice(&last.to_le_bytes());
        head
    }

    #[test]
    fn an_image_must_fit_in_length_and_sectors() {
        let room = |capacity, sector| Room { capacity, sector };
        let fits = |room, size, head: &[u8]| fits(Path::new("/dev/sdb"), room, "disk.img", size, head);
        let head = gpt(512, 8191);
        let size = Some(8192 * 512);
        assert_eq!(fits(room(Some(8192 * 512), 512), size, &head), Ok(()));
        let said = fits(room(Some(8191 * 512), 512), size, &head).unwrap_err().to_string();
        assert!(
            said.starts_with(
                "`/dev/sdb` has 4.0 MiB (4193792 bytes), but the image needs 4 MiB (4194304 bytes)"
            ),
            "{said}"
        );
        let said = fits(room(Some(1 << 30), 4096), size, &head).unwrap_err().to_string();
        assert!(
            said.starts_with("`/dev/sdb` has sectors of 4096 bytes, but the image is made for 512"),
            "{said}"
        );
        assert_eq!(fits(room(Some(1 << 30), 4096), Some(256 * 4096), &gpt(4096, 255)), Ok(()));
        assert_eq!(fits(room(None, 512), Some(256 * 4096), &gpt(4096, 255)), Ok(()));
    }

    #[test]
    fn a_cut_off_image_is_told_by_its_table() {
        let cut = |has, needs| Err(Refusal::CutOff { image: "i".into(), has, needs });
        assert_eq!(whole("i", 4_000_256, &gpt(512, 8191)), cut(4_000_256, 8192 * 512));
        assert_eq!(whole("i", 8192 * 512, &gpt(512, u64::MAX)), Ok(()));
        assert_eq!(whole("i", 1000, &[]), cut(1000, 1024));
    }

    #[test]
    fn what_has_no_table_is_no_image() {
        assert!(image("i", &gpt(512, 9)).is_ok() && image("i", &gpt(4096, 9)).is_ok());
        for bytes in [&b""[..], &[0; 512], &[0xff; 8192]] {
            let said = image("notes.txt", bytes).unwrap_err().to_string();
            assert!(said.starts_with("`notes.txt` is not an image of a disk"), "{said}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_head_makes_the_rules_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..6000), size: u64) {
            let mut head = bytes;
            for at in [512, 4096] {
                if head.len() > at + 8 && size % 3 == 0 {
                    head[at..at + 8].copy_from_slice(b"EFI PART");
                }
            }
            let _ = (image("i", &head), whole("i", size / 2, &head));
        }
    }
}
