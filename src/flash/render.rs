//! Devices and their contents as text for people.

use std::fmt::Write as _;
use std::path::Path;

use super::contents::{Content, Contents};
use super::devices::{Bus, Device};
use super::rules;
use crate::volume::Kind;

impl Bus {
    /// Name for people.
    pub fn name(self) -> &'static str {
        match self {
            Bus::Usb => "USB",
            Bus::Sd => "SD",
            Bus::Emmc => "eMMC",
            Bus::Nvme => "NVMe",
            Bus::Ata => "ATA",
            Bus::Virtio => "virtio",
            Bus::Virtual => "virtual",
            Bus::Other => "other",
        }
    }
}

/// A device, and why it is refused, in one line; below it what it has.
pub fn device(device: &Device, contents: Option<&Contents>) -> String {
    let mut text = one_line(device) + "\n";
    if let Err(refusal) = rules::device(&device.path, device, None) {
        // The hint is for who named the device.
        let reason = refusal.to_string();
        let _ = writeln!(text, "  refused: {}", reason.split("\n\n").next().unwrap_or_default());
    }
    text + &contents.map_or_else(String::new, table)
}

/// `/dev/sdb  29.7 GiB  USB  SanDisk Ultra`
pub fn one_line(device: &Device) -> String {
    let name = [device.vendor.as_deref(), device.model.as_deref()].into_iter().flatten().collect::<Vec<_>>();
    let line =
        format!("{}  {}  {}  {}", device.path.display(), device.size, device.bus.name(), name.join(" "));
    line.trim_end().to_owned()
}

/// The partitions, one a line.
fn table(contents: &Contents) -> String {
    contents.partitions.iter().map(|content| format!("  {}\n", part(content))).collect()
}

fn part(content: &Content) -> String {
    let mut text = format!("{}: {}", content.number, content.size);
    let kind = content.kind.map(Kind::name);
    for word in [kind, content.label.as_deref().or(content.name.as_deref())].into_iter().flatten() {
        let _ = write!(text, ", {word}");
    }
    text
}

/// What is lost when a target is overwritten.
pub fn loss(path: &Path, found: Option<&Device>, contents: Option<&Contents>) -> String {
    let what = found.map_or_else(|| format!("file {}", path.display()), one_line);
    match contents {
        Some(contents) => {
            format!("all that is on this will be lost:\n  {what}\n{}", indented(&table(contents)))
        }
        None => format!("all that is on this will be lost:\n  {what}\n"),
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}
