//! `config.txt` of an image: the track's lines, then the project's, every section closed.

use std::fmt::Write as _;

use super::Options;
use crate::board::{self, Board};
use crate::config::BoardConfig;

/// The track's lines.
pub(super) const BASE: &str = include_str!("../../../tracks/rpi/config.txt");

/// The whole file.
pub(super) fn text(options: &Options) -> String {
    let mut text = BASE.to_owned();
    if options.no_uart {
        text.push_str("enable_uart=0\n");
    }
    let all = lines(&options.all);
    if !all.is_empty() {
        let _ = write!(text, "\n# The project's.\n[all]\n{all}[all]\n");
    }
    for (name, config) in &options.boards_config {
        let filter = board::find(name).map(filter).unwrap_or_default();
        let _ = write!(text, "\n[{filter}]\n{}[all]\n", lines(config));
    }
    text
}

fn lines(config: &BoardConfig) -> String {
    let with = |key: &str, values: &[String]| -> String {
        values.iter().map(|value| format!("{key}{value}\n")).collect()
    };
    [with("", &config.config), with("dtparam=", &config.params), with("dtoverlay=", &config.overlays)]
        .concat()
}

/// The section that means this board and no other: its own name where no other board has it too.
fn filter(board: &Board) -> String {
    let own = &board.filters[0];
    let is_shared = board::all().iter().any(|other| other != board && other.filters.contains(own));
    if is_shared { format!("board-type={:#x}", board.kind) } else { own.clone() }
}

/// Overlays with the boards that they are for, `None` for all; without their parameters.
pub(super) fn overlays(options: &Options) -> Vec<(String, Option<String>)> {
    let named = |config: &BoardConfig, board: Option<&String>| -> Vec<_> {
        let names = config.overlays.iter().map(|overlay| overlay.split(',').next().unwrap_or_default());
        names.map(|name| (name.to_owned(), board.cloned())).collect()
    };
    let boards = options.boards_config.iter().flat_map(|(name, config)| named(config, Some(name)));
    named(&options.all, None).into_iter().chain(boards).collect()
}

/// Whether any parameter of the device tree is set.
pub(super) fn has_params(options: &Options) -> bool {
    options.boards_config.values().chain([&options.all]).any(|config| !config.params.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        let config = |line: &str| BoardConfig { config: vec![line.to_owned()], ..BoardConfig::default() };
        let overlays = vec!["pi4-spidev".to_owned(), "hifiberry-dac,slave".to_owned()];
        Options {
            all: BoardConfig { overlays, ..config("gpu_mem=16") },
            boards_config: [
                ("rpi4".to_owned(), config("arm_boost=1")),
                ("cm4".to_owned(), config("otg_mode=1")),
            ]
            .into(),
            ..Options::default()
        }
    }

    #[test]
    fn sections_name_one_board_and_are_closed() {
        let whole = text(&options());
        let added = whole.strip_prefix(BASE).unwrap();
        assert_eq!(
            added,
            "\n# The project's.\n[all]\ngpu_mem=16\ndtoverlay=pi4-spidev\ndtoverlay=hifiberry-dac,slave\n[all]\n\
             \n[cm4]\notg_mode=1\n[all]\n\n[board-type=0x11]\narm_boost=1\n[all]\n"
        );
        assert!(text(&Options { no_uart: true, ..options() }).contains("\nenable_uart=0\n"));
    }

    #[test]
    fn overlays_are_told_with_their_boards() {
        let mut options = options();
        options.boards_config.get_mut("rpi4").unwrap().overlays.push("w1-gpio".to_owned());
        let expected = [
            ("pi4-spidev".to_owned(), None),
            ("hifiberry-dac".to_owned(), None),
            ("w1-gpio".to_owned(), Some("rpi4".to_owned())),
        ];
        assert_eq!(overlays(&options), expected);
    }
}
