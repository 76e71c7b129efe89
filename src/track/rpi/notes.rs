//! What people should know before they build.

use super::Options;
use crate::board;
use crate::source::version;

/// Said of every kernel that is not the vendor's (Linux, `drivers/firmware/raspberrypi.c`).
const TRYBOOT: &str = "kernels of Debian and of mainline cannot arm tryboot by themselves: an update agent needs \
                       `/dev/vcio` on the device, or can only commit, not try";

/// The notes for an image, with a kernel of this version if it is known.
pub(super) fn planned(options: &Options, kernel: Option<&str>) -> Vec<String> {
    let is_wanted = |name: &String| options.boards.is_empty() || options.boards.contains(name);
    let boards = board::all().iter().filter(|board| is_wanted(&board.name) && !board.emulated);
    let mut notes = vec![TRYBOOT.to_owned()];
    for board in boards {
        if let Some(since) = &board.kernel
            && kernel.is_none_or(|kernel| is_before(kernel, &since.from))
        {
            let which = match kernel {
                Some(kernel) => format!("kernel {kernel} has"),
                None => format!("kernels before {} have", since.from),
            };
            notes.push(format!("{}: {which} no {} on it", board.name, since.before));
        }
        notes.extend(board.notes.iter().map(|note| format!("{}: {note}", board.name)));
    }
    notes
}

fn is_before(version: &str, other: &str) -> bool {
    version::compare(version, other).is_lt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(boards: &[&str], kernel: Option<&str>) -> Vec<String> {
        let boards = boards.iter().map(|name| (*name).to_owned()).collect();
        planned(&Options { boards, ..Options::default() }, kernel)
    }

    #[test]
    fn an_old_kernel_is_told_for_the_boards_that_it_does_not_serve() {
        let notes = about(&["rpi5"], Some("6.12.107-1"));
        assert!(notes[1].starts_with("rpi5: kernel 6.12.107-1 has no Ethernet"), "{notes:?}");
        assert_eq!(about(&["rpi5"], Some("7.3.4-1~bpo13+1")), [TRYBOOT]);
        assert_eq!(about(&["rpi400"], Some("6.12.107-1")), [TRYBOOT]);
    }

    #[test]
    fn before_a_kernel_is_known_the_version_that_matters_is_told() {
        assert!(about(&["rpi5"], None)[1].starts_with("rpi5: kernels before 6.18 have no Ethernet"));
    }
}
