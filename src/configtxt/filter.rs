//! Filters: which lines count for which board.
//!
//! ```text
//!   [pi4]        model       replaces [pi5]; needed besides [tryboot]
//!   [tryboot]    tryboot
//!   [all]        takes all filters away
//! ```
//! Filters of one kind replace each other, those of different kinds must all match
//! (`conditional.adoc`). `[board-type=]` is taken for a model, since the documentation lists it
//! among them.

use std::collections::BTreeMap;

use super::number;
use crate::board::{Board, Chip};

/// Model names of the documentation, including those of newer boards.
const MODELS: &[&str] = &[
    "pi0", "pi0w", "pi02", "pi1", "pi2", "pi3", "pi3+", "pi4", "pi400", "pi5", "pi500", "cm0", "cm1", "cm3",
    "cm3+", "cm4", "cm4s", "cm5",
];

/// What `[name=value]` and `[name>value]` can compare besides the partition.
const VARIABLES: &[&str] = &["boot_count", "boot_arg1", "bootvar0"];

/// A filter line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// What stands between the brackets.
    pub text: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    All,
    None,
    Tryboot,
    Model,
    BoardType(u32),
    Serial,
    Gpio,
    Edid,
    Hdmi,
    BootPartition(u32),
    Partition(u32),
    Variable,
    Unknown,
}

/// What filters compare.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The board.
    pub board: &'a Board,
    /// Whether this start used the tryboot flag up.
    pub tryboot: bool,
    /// Number of the partition that the file lies on, for `[boot_partition=N]`.
    pub boot_partition: u32,
    /// Partition that the last reboot asked for, or 0, for `[partition=N]`.
    pub requested: u32,
    /// Whether the firmware is new enough for filters that compare partitions.
    pub compares_partitions: bool,
}

/// Whether a filter matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// It asks for what only hardware can tell, and counts as not matching.
    Assumed,
}

/// Kinds of filters: one of each can be in effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    None,
    Model,
    Tryboot,
    Serial,
    Gpio,
    Edid,
    Expression,
    Unknown,
}

impl Filter {
    /// Reads what stands between the brackets.
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        let variable = VARIABLES.iter().any(|name| {
            text.strip_prefix(name).is_some_and(|rest| rest.starts_with(['=', '<', '>', '!', '&']))
        });
        let test = match text.split_once('=') {
            _ if text == "all" => Test::All,
            _ if text == "none" => Test::None,
            _ if text == "tryboot" => Test::Tryboot,
            _ if MODELS.contains(&text) => Test::Model,
            _ if text.starts_with("0x") => Test::Serial,
            _ if text.starts_with("HDMI:") => Test::Hdmi,
            _ if variable => Test::Variable,
            Some(("board-type", value)) => Test::BoardType(number(value)),
            Some(("EDID", _)) => Test::Edid,
            Some(("boot_partition", value)) => Test::BootPartition(number(value)),
            Some(("partition", value)) => Test::Partition(number(value)),
            Some((name, _)) if name.starts_with("gpio") => Test::Gpio,
            _ => Test::Unknown,
        };
        Filter { text: text.to_owned(), test }
    }

    /// Whether it matches.
    pub fn matches(&self, context: &Context<'_>) -> Match {
        let is_true = match self.test {
            Test::All | Test::Hdmi => true,
            Test::None | Test::Unknown => false,
            Test::Tryboot => context.tryboot,
            Test::Model => context.board.filters.contains(&self.text),
            Test::BoardType(kind) => u32::from(context.board.kind) == kind,
            Test::BootPartition(number) => context.compares_partitions && context.boot_partition == number,
            // In config.txt only Raspberry Pi 5 knows it (raspberrypi/documentation, 4037).
            Test::Partition(number) => {
                context.compares_partitions
                    && context.board.chip == Chip::Bcm2712
                    && context.requested == number
            }
            Test::Serial | Test::Gpio | Test::Edid | Test::Variable => return Match::Assumed,
        };
        if is_true { Match::Yes } else { Match::No }
    }

    /// Whether the firmware is known to have such a filter.
    pub fn is_known(&self) -> bool {
        self.test != Test::Unknown
    }

    /// Whether it only asks for the model, which every stage of the firmware can tell.
    pub fn is_plain(&self) -> bool {
        matches!(self.test, Test::All | Test::None | Test::Model | Test::BoardType(_) | Test::Tryboot)
    }

    /// Whether it is one of those that autoboot.txt may have.
    pub fn is_for_autoboot(&self) -> bool {
        matches!(self.test, Test::All | Test::None | Test::Tryboot)
    }

    /// Whether it compares the partition, which old firmware does not know.
    pub fn compares_partitions(&self) -> bool {
        matches!(self.test, Test::BootPartition(_) | Test::Partition(_))
    }

    /// Its kind; none for those that filter nothing.
    fn kind(&self) -> Option<Kind> {
        Some(match self.test {
            // `[HDMI:1]` says which port a setting is for, not whether it counts.
            Test::All | Test::Hdmi => return None,
            Test::None => Kind::None,
            Test::Tryboot => Kind::Tryboot,
            Test::Model | Test::BoardType(_) => Kind::Model,
            Test::Serial => Kind::Serial,
            Test::Gpio => Kind::Gpio,
            Test::Edid => Kind::Edid,
            Test::BootPartition(_) | Test::Partition(_) | Test::Variable => Kind::Expression,
            Test::Unknown => Kind::Unknown,
        })
    }
}

/// The filters in effect at some line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenFilters(BTreeMap<Kind, (u32, Filter)>);

impl OpenFilters {
    /// Goes past a filter that stands at `line`.
    pub fn pass(&mut self, line: u32, filter: &Filter) {
        if filter.test == Test::All {
            self.0.clear();
        } else if let Some(kind) = filter.kind() {
            self.0.insert(kind, (line, filter.clone()));
        }
    }

    /// Whether lines count here.
    pub fn match_all(&self, context: &Context<'_>) -> bool {
        self.iter().all(|(_, filter)| filter.matches(context) == Match::Yes)
    }

    /// The filters, each with its line.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Filter)> {
        self.0.values().map(|(line, filter)| (*line, filter))
    }

    /// Whether there is none, as after `[all]`.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the model is filtered for.
    pub fn chooses_model(&self) -> bool {
        self.0.contains_key(&Kind::Model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board;

    fn context(board: &str) -> Context<'static> {
        let board = board::find(board).unwrap();
        Context { board, tryboot: false, boot_partition: 2, requested: 3, compares_partitions: true }
    }

    /// Whether lines count after these filters.
    fn count(filters: &str, context: &Context<'_>) -> bool {
        let mut open = OpenFilters::default();
        filters.split(' ').for_each(|text| open.pass(1, &Filter::parse(text)));
        open.match_all(context)
    }

    #[test]
    fn one_kind_replaces_and_different_kinds_must_all_match() {
        let pi4 = context("rpi4");
        assert!(count("pi5 pi4", &pi4) && !count("pi4 pi5", &pi4));
        assert!(!count("tryboot pi4", &pi4) && !count("none pi4", &pi4));
        assert!(count("tryboot all", &pi4) && count("tryboot pi5 all pi4", &pi4));
        assert!(count("tryboot pi4", &Context { tryboot: true, ..pi4 }));
    }

    #[test]
    fn models_see_the_sections_of_their_family_and_types_only_their_own() {
        assert!(count("pi4", &context("cm4")) && count("cm4", &context("cm4")));
        assert!(!count("pi400", &context("cm4")) && !count("cm4", &context("rpi4")));
        assert!(count("pi5", &context("rpi500")));
        assert!(count("board-type=0x14", &context("cm4")) && !count("board-type=0x11", &context("cm4")));
    }

    #[test]
    fn partitions_are_compared_where_the_firmware_can() {
        let (pi4, pi5) = (context("rpi4"), context("rpi5"));
        assert!(count("boot_partition=2", &pi4) && !count("boot_partition=3", &pi4));
        assert!(!count("boot_partition=2", &Context { compares_partitions: false, ..pi4 }));
        assert!(count("partition=3", &pi5) && !count("partition=3", &pi4));
    }

    #[test]
    fn what_only_hardware_can_tell_is_assumed_not_to_match() {
        for text in ["gpio4=1", "0x12345678", "EDID=VSC-TD2220", "boot_count>3"] {
            assert_eq!(Filter::parse(text).matches(&context("rpi4")), Match::Assumed, "{text}");
        }
        assert_eq!(Filter::parse("pi9").matches(&context("rpi4")), Match::No);
        assert!(!Filter::parse("pi9").is_known() && !Filter::parse("PI4").is_known());
        assert!(count("HDMI:1", &context("rpi4")));
    }
}
