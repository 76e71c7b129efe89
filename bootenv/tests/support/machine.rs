//! A machine of the generic track in a directory: what its kernel would say, and its disk.

use std::fs;
use std::path::{Path, PathBuf};

use bootenv::grub::GrubState;
use bootenv::{How, Slot};

use super::disk::grub_disk;

/// For programs that are told where their machine is.
pub struct GenericMachine(tempfile::TempDir);

impl GenericMachine {
    /// A new image, started.
    pub fn new() -> Self {
        let machine = GenericMachine(tempfile::tempdir().unwrap());
        machine.write("dev/vda", &grub_disk().0);
        for number in 1..=4 {
            machine.write(&format!("sys/block/vda/vda{number}/partition"), format!("{number}\n").as_bytes());
        }
        machine.write("run/factory/mnt/data/.keep", b"");
        machine.started(Slot::A, How::Committed);
        machine
    }

    /// Its kernel was started anew, by what GRUB chose.
    pub fn started(&self, slot: Slot, how: How) {
        let (number, state) = match (slot, how) {
            (Slot::A, How::Committed) => ("02", "committed"),
            (Slot::B, How::Committed) => ("03", "committed"),
            (Slot::A, _) => ("02", "trial"),
            (Slot::B, _) => ("03", "trial"),
        };
        let [word, part] = [4, 2].map(|times| number.repeat(times));
        let id = format!("{word}-{part}-{part}-{part}-{word}{part}");
        let line = format!("quiet factory.slot={slot} factory.state={state} factory.system={id}\n");
        self.write("proc/cmdline", line.as_bytes());
    }

    /// The next start: GRUB reads its block, and takes off the try that it boots.
    pub fn restart(&self) {
        let mut disk = fs::read(self.disk()).unwrap();
        let at = usize::try_from(grub_disk().1.files[0]).unwrap() * 512;
        let mut state = GrubState::decode(&disk[at..at + 1024]).unwrap();
        if state.tries == 0 {
            return self.started(state.default, How::Committed);
        }
        state.tries -= 1;
        disk[at..at + 1024].copy_from_slice(&state.encode());
        fs::write(self.disk(), disk).unwrap();
        self.started(state.default.other(), How::Trial);
    }

    /// What GRUB chose last.
    pub fn command_line(&self) -> (Slot, How) {
        let line = fs::read_to_string(self.root().join("proc/cmdline")).unwrap();
        let slot = if line.contains("factory.slot=a ") { Slot::A } else { Slot::B };
        (slot, if line.contains("=trial ") { How::Trial } else { How::Committed })
    }

    pub fn root(&self) -> &Path {
        self.0.path()
    }

    pub fn disk(&self) -> PathBuf {
        self.root().join("dev/vda")
    }

    pub fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}
