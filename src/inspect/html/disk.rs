//! The picture of the disk: bars to scale, with what is small enlarged below.
//!
//! ```text
//!   |e| system-a    | system-b    | data                 |   used is strong, free is weak
//!   |=|=====--------|=====--------|==--------------------|   what of it is stored in the file
//!    \ `----------.
//!   | esp                                                |
//! ```

use std::fmt::Write as _;

use super::bars::{self, Bar, Piece};
use super::escape::Text;
use super::palette;
use crate::inspect::model::{Inspection, Partition};
use crate::units::Bytes;

/// Least part of a bar with room for a name on a screen, and on a phone, in hundredths of a percent.
const ROOM: u32 = 500;
const ROOM_ON_A_PHONE: u32 = 2_200;

/// Widest that a bar is drawn, and a letter of a name on it, in pixels.
const WIDTH: u32 = 1_080;
const LETTER: u32 = 8;

/// All bars, as one figure.
pub(super) fn figure(found: &Inspection) -> String {
    let ranges: Vec<_> = found.partitions.iter().map(place).collect();
    let bars = bars::bars(bars::pieces(found.size.0, &ranges));
    let mut text = "<figure>\n".to_owned();
    for (index, bar) in bars.iter().enumerate() {
        if let Some(of) = bar.of {
            // Lines lead from the bar just above only: from farther away they would cross others.
            let lines = if of + 1 == index { lines(&bars[of], bar) } else { String::new() };
            let _ = writeln!(text, "{lines}<p class=\"of\">{}, enlarged</p>", scale(bar));
        }
        text.push_str(&drawn(found, bar));
    }
    text + LEGEND + "</figure>\n"
}

const LEGEND: &str = "<figcaption class=\"legend\"><span><i class=\"hue0 used\"></i>in use</span> \
    <span><i class=\"hue0 free\"></i>free</span> <span><i class=\"unknown\"></i>not known</span> \
    <span><i class=\"outside\"></i>in no partition</span> \
    <span><i class=\"stored\"></i>stored in the file</span> \
    <span><i class=\"hole\"></i>a hole of the file</span></figcaption>\n";

fn place(partition: &Partition) -> std::ops::Range<u64> {
    let start = partition.start.0;
    start..start.saturating_add(partition.size.0)
}

/// From where to where a bar goes.
fn scale(bar: &Bar) -> String {
    let range = bar.range();
    format!("{} to {}", Bytes(range.start), Bytes(range.end))
}

fn drawn(found: &Inspection, bar: &Bar) -> String {
    let mut text = format!(
        "<svg class=\"bar\" role=\"img\" aria-label=\"The disk from {}: {}\">\n",
        scale(bar),
        Text(&names(found, bar))
    );
    for piece in &bar.pieces {
        let (left, right) = (bar.place(piece.range.start), bar.place(piece.range.end));
        let partition = piece.partition.map(|index| (index, &found.partitions[index]));
        let inner = match partition {
            Some((index, partition)) => inner(index, partition, right - left),
            None => outside(piece),
        };
        let (left, width) = (percent(left), percent(right - left));
        let _ = writeln!(text, "<svg x=\"{left}\" width=\"{width}\" height=\"100%\">{inner}</svg>");
    }
    text + "</svg>\n"
}

fn names(found: &Inspection, bar: &Bar) -> String {
    let partitions = bar.pieces.iter().filter_map(|piece| piece.partition);
    let names: Vec<_> = partitions.map(|index| found.partitions[index].label()).collect();
    if names.is_empty() { "no partitions".to_owned() } else { names.join(", ") }
}

/// A partition, which has `width` hundredths of a percent of the bar.
fn inner(index: usize, partition: &Partition, width: u32) -> String {
    let name = partition.label();
    let used = partition.filesystem.as_ref().map(|filesystem| filesystem.used);
    let about = match used {
        Some(used) => format!("{name}: {}, {used} in use", partition.size),
        None => format!("{name}: {}", partition.size),
    };
    let mut text = format!("<title>{}</title><g class=\"hue{}\">", Text(&about), palette::hue(index));
    text.push_str(match used {
        Some(_) => "<rect class=\"free\" width=\"100%\" height=\"52\"/>",
        None => "<rect class=\"unknown\" width=\"100%\" height=\"52\"/>",
    });
    if let Some(used) = used {
        let share = percent(share(used, partition.size));
        let _ = write!(text, "<rect class=\"used\" width=\"{share}\" height=\"52\"/>");
    }
    text.push_str("</g>");
    if let Some(mapped) = partition.mapped {
        let share = percent(share(mapped, partition.size));
        let _ = write!(
            text,
            "<rect class=\"hole\" y=\"57\" width=\"100%\" height=\"7\"/>\
             <rect class=\"stored\" y=\"57\" width=\"{share}\" height=\"7\"/>"
        );
    }
    text + "<rect class=\"edge\" width=\"1\" height=\"64\"/>" + &label(&name, partition.size, width)
}

/// Name and size, as far as there is room.
fn label(name: &str, size: Bytes, width: u32) -> String {
    if width < ROOM {
        return String::new();
    }
    let class = if width < ROOM_ON_A_PHONE { " class=\"wide\"" } else { "" };
    let letters = (WIDTH * width / 10_000 / LETTER).saturating_sub(1) as usize;
    let shown: String = if name.chars().count() > letters {
        name.chars().take(letters.saturating_sub(1)).chain(['…']).collect()
    } else {
        name.to_owned()
    };
    format!(
        "<g{class}><text x=\"8\" y=\"22\" class=\"name\">{}</text><text x=\"8\" y=\"41\">{size}</text></g>",
        Text(&shown)
    )
}

fn outside(piece: &Piece) -> String {
    let length = Bytes(piece.range.end - piece.range.start);
    format!("<title>in no partition: {length}</title><rect class=\"outside\" width=\"100%\" height=\"52\"/>")
}

/// From the place of a bar on an earlier one to its ends.
fn lines(of: &Bar, bar: &Bar) -> String {
    let range = bar.range();
    let [left, right] = [range.start, range.end].map(|at| percent(of.place(at)));
    format!(
        "<svg class=\"lines\" aria-hidden=\"true\"><line x1=\"{left}\" x2=\"0\" y2=\"100%\"/>\
         <line x1=\"{right}\" x2=\"100%\" y2=\"100%\"/></svg>\n"
    )
}

/// Part of a whole, in hundredths of a percent, not more than all of it.
pub(super) fn share(part: Bytes, whole: Bytes) -> u32 {
    (u128::from(part.0.min(whole.0)) * 10_000 / u128::from(whole.0.max(1))) as u32
}

/// Hundredths of a percent, as CSS and SVG write them.
pub(super) fn percent(hundredths: u32) -> String {
    format!("{}.{:02}%", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_never_more_than_all() {
        assert_eq!(percent(share(Bytes(1), Bytes(3))), "33.33%");
        assert_eq!(percent(share(Bytes(u64::MAX), Bytes(1))), "100.00%");
        assert_eq!(percent(share(Bytes(5), Bytes(0))), "0.00%");
    }

    #[test]
    fn a_name_is_cut_to_the_room_that_there_is() {
        assert_eq!(label("data", Bytes::mib(1), ROOM - 1), "");
        assert!(label("data-with-a-long-name", Bytes::mib(1), 600).contains(">data-w…<"));
        assert!(label("data", Bytes::mib(1), 10_000).starts_with("<g><text"));
    }
}
