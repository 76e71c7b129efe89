//! What people should know before they build.

use super::Options;
use crate::board::{self, Board};
use crate::source::version;

/// The notes for an image, with a kernel of this version if it is known. What is the same for several
/// boards is said once.
pub(super) fn planned(options: &Options, kernel: Option<&str>) -> Vec<String> {
    let is_wanted = |name: &String| options.boards.is_empty() || options.boards.contains(name);
    let boards = board::all().iter().filter(|board| is_wanted(&board.name) && !board.emulated);
    let mut notes: Vec<(String, Vec<&str>)> = Vec::new();
    for (board, note) in
        boards.flat_map(|board| about(board, kernel).into_iter().map(move |note| (board, note)))
    {
        match notes.iter_mut().find(|(known, _)| *known == note) {
            Some((_, names)) => names.push(&board.name),
            None => notes.push((note, vec![&board.name])),
        }
    }
    notes.into_iter().map(|(note, names)| format!("{}: {note}", names.join(", "))).collect()
}

fn about(board: &Board, kernel: Option<&str>) -> Vec<String> {
    let old = board.kernel.iter().filter(|since| kernel.is_none_or(|kernel| is_before(kernel, &since.from)));
    let old = old.map(|since| format!("kernels before {} may have no {}", since.from, since.before));
    old.chain(board.notes.iter().cloned()).collect()
}

fn is_before(version: &str, other: &str) -> bool {
    version::compare(version, other).is_lt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notes(boards: &[&str], kernel: Option<&str>) -> Vec<String> {
        let boards = boards.iter().map(|name| (*name).to_owned()).collect();
        planned(&Options { boards, ..Options::default() }, kernel)
    }

    #[test]
    fn boards_that_a_kernel_is_too_old_for_are_named_once() {
        let old = notes(&["rpi5", "cm5", "rpi400"], Some("6.12.107-1"));
        assert_eq!(old.len(), 1);
        assert!(old[0].starts_with("rpi5, cm5: kernels before 7.2 may have no Ethernet"), "{old:?}");
        assert!(notes(&["rpi5"], Some("7.3.4-1~bpo13+1")).is_empty());
    }

    #[test]
    fn before_a_kernel_is_known_both_are_possible() {
        assert_eq!(notes(&["rpi5"], None).len(), 1);
    }
}
