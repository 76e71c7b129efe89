//! What the loader will read.

use bootenv::grub::{GRUBENV, GRUBENV_SPARE, GrubState};
use bootenv::grubenv::GrubEnv;
use bootenv::rpi::{self, Autoboot};

use super::model::BootState;
use crate::image::layout::Scheme;
use crate::volume::Opened;

/// Largest block that is read, in bytes; one of a wrong size shall be called that.
const LARGEST_BLOCK: u32 = 64 << 10;

/// Reads the boot state from the partition that is read first, in the way of the table's track.
pub(super) fn read(scheme: Scheme, selector: &Opened) -> Option<BootState> {
    match (scheme, selector) {
        (_, Opened::Closed) => None,
        (Scheme::Gpt, esp) => Some(grub(esp)),
        (Scheme::Mbr, control) => Some(autoboot(control)),
    }
}

/// The state in `autoboot.txt`. What can be read of it, the boot ROM takes; without it, it starts
/// from the partition it is on.
fn autoboot(control: &Opened) -> BootState {
    let mut found = BootState { file: rpi::AUTOBOOT.to_owned(), ..BootState::default() };
    match block(control, rpi::AUTOBOOT).and_then(|block| Autoboot::decode(&block).map_err(|e| e.to_string()))
    {
        Ok(state) => {
            found.next = Some(state.default.to_string());
            found.committed.clone_from(&found.next);
        }
        Err(problem) => found.problems.push(format!("`{}`: {problem}", rpi::AUTOBOOT)),
    }
    found
}

/// Reads the state from the ESP: from the first copy, or from the spare where that is bad.
fn grub(esp: &Opened) -> BootState {
    let mut found = BootState { file: GRUBENV.to_owned(), ..BootState::default() };
    for file in [GRUBENV, GRUBENV_SPARE] {
        let read = block(esp, file);
        let state = read.as_ref().ok().and_then(|block| GrubState::as_grub_reads(block));
        if let (Ok(block), Some(state), None) = (&read, state, &found.next) {
            found.next = Some(state.next().to_string());
            found.committed = Some(state.default.to_string());
            found.tries = state.tries;
            file.clone_into(&mut found.file);
            found.variables = GrubEnv::decode(block).map_or(Vec::new(), |env| variables(&env));
        }
        let whole = read.and_then(|block| GrubState::decode(&block).map_err(|error| error.to_string()));
        found.problems.extend(whole.err().map(|problem| format!("`{file}`: {problem}")));
    }
    found
}

fn block(selector: &Opened, file: &str) -> Result<Vec<u8>, String> {
    selector.read(file, LARGEST_BLOCK).ok_or_else(|| "there is no such file".to_owned())
}

fn variables(env: &GrubEnv) -> Vec<(String, String)> {
    env.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
