//! What the last stage loads: `start4.elf`, or its counterpart in the EEPROM of Raspberry Pi 5.

use super::attempt::LARGEST_CONFIG;
use super::media::Part;
use super::{Chosen, Model, Question, release};
use crate::board::{Board, BoardDtb, Chip};
use crate::configtxt::{Item, Settings, lines};
use crate::dtb::{self, Dtb};

/// Largest file that config.txt includes, and largest command line, in bytes.
const LARGEST_TEXT: u32 = 64 << 10;

/// The first build of `start4.elf` whose filters compare partitions.
const START4_FOR_FILTERS: &str = "2025-03-10";

/// The kernel of a Raspberry Pi 4 in 32-bit mode.
const KERNEL_32: &str = "kernel7l.img";

/// Kernel and device tree as they are found on a partition.
#[derive(Debug)]
pub(super) struct Names {
    /// What stands before their names.
    prefix: String,
    /// Whether config.txt has a prefix that finds nothing.
    is_prefix_ignored: bool,
    kernels: Vec<String>,
    kernel: Option<String>,
    /// The device trees that are looked for.
    pub(super) dtbs: Vec<String>,
    /// The one that is found.
    pub(super) dtb: Option<String>,
    /// Whether it is there for the plain board, while a variant was asked for.
    is_of_plain_board: bool,
}

impl Names {
    /// Looks with the prefix first, and without when that finds not both.
    pub(super) fn find(part: &Part, settings: &Settings, question: &Question) -> Names {
        let prefix = settings.os_prefix();
        let with = Names::find_with(part, settings, question, prefix);
        let is_viable = with.kernel.is_some() && (with.dtb.is_some() || with.dtbs.is_empty());
        if prefix.is_empty() || is_viable {
            return with;
        }
        Names { is_prefix_ignored: true, ..Names::find_with(part, settings, question, "") }
    }

    fn find_with(part: &Part, settings: &Settings, question: &Question, prefix: &str) -> Names {
        let all = |names: Vec<String>| names.iter().map(|name| join(prefix, name)).collect::<Vec<_>>();
        let first = |names: &[String]| names.iter().find(|name| part.has(name)).cloned();
        let kernels = all(kernels(settings, question.board));
        let (own, plain) = dtbs(settings, question);
        let own_count = own.len();
        let dtbs = all([own, plain].concat());
        let (kernel, dtb) = (first(&kernels), first(&dtbs));
        let is_of_plain_board = dtb.as_ref().is_some_and(|dtb| !dtbs[..own_count].contains(dtb));
        let prefix = prefix.to_owned();
        Names { prefix, is_prefix_ignored: false, kernels, kernel, dtbs, dtb, is_of_plain_board }
    }
}

/// A name of config.txt as a path from the root; one with a slash in front has no prefix.
fn join(prefix: &str, name: &str) -> String {
    match name.strip_prefix('/') {
        Some(path) => path.to_owned(),
        None => format!("{prefix}{name}"),
    }
}

fn kernels(settings: &Settings, board: &Board) -> Vec<String> {
    match settings.kernel() {
        Some(name) => vec![name.to_owned()],
        None if board.chip == Chip::Bcm2711 && !settings.arm_64bit() => vec![KERNEL_32.to_owned()],
        None => board.kernels.clone(),
    }
}

/// Device trees to look for, the best one first, and those of the plain board, which are taken for
/// a variant where it has none; nothing at all when config.txt wants none.
fn dtbs(settings: &Settings, question: &Question) -> (Vec<String>, Vec<String>) {
    match settings.device_tree() {
        Some("") => return (Vec::new(), Vec::new()),
        Some(name) => return (vec![name.to_owned()], Vec::new()),
        None => {}
    }
    let names = |dtb: Option<&BoardDtb>| {
        let mainline = dtb.filter(|_| settings.upstream_kernel()).map(|dtb| dtb.from.clone());
        [mainline.unwrap_or_default(), dtb.map(|dtb| dtb.asks.clone()).unwrap_or_default()].concat()
    };
    let variant = question.board.dtb(question.variant.as_deref());
    let plain = question.board.dtb(None).filter(|_| question.variant.is_some());
    (names(variant), names(plain))
}

impl Model<'_> {
    /// Reads config.txt once more, now all of it, and finds what it names.
    pub(super) fn load(&mut self, part: &Part, config: &'static str, date: Option<&str>) -> Option<Chosen> {
        let bytes = part.read(config, LARGEST_CONFIG).unwrap_or_default();
        let settings = self.settings(part, &bytes, date);
        self.say_filters(&settings, &bytes, date);
        let names = Names::find(part, &settings, self.question);
        if names.is_prefix_ignored {
            let what = format!(
                "ignores os_prefix `{}`, which finds not both kernel and device tree",
                settings.os_prefix()
            );
            self.say("os-prefix", what);
        } else if !names.prefix.is_empty() {
            self.say("os-prefix", format!("puts `{}` before the names", names.prefix));
        }
        let dtb = self.device_tree(part, &names)?;
        let overlays = self.overlays(part, &settings, &names);
        let cmdline = self.cmdline(part, &settings, &names.prefix);
        let kernel = self.kernel(part, &names)?;
        let initramfs = self.initramfs(part, &settings, &names.prefix, &kernel);
        let (partition, tryboot) = (part.number, self.tryboot);
        Some(Chosen {
            partition,
            tryboot,
            config: config.to_owned(),
            kernel,
            dtb,
            initramfs,
            cmdline,
            overlays,
        })
    }

    /// All that config.txt says, included files and all.
    pub(super) fn settings(&self, part: &Part, bytes: &[u8], date: Option<&str>) -> Settings {
        let context = self.context(part.number, self.compares_partitions(date));
        Settings::evaluate(bytes, &context, &mut |name| part.read(name, LARGEST_TEXT).ok())
    }

    fn compares_partitions(&self, date: Option<&str>) -> bool {
        match self.chip() {
            Chip::Bcm2712 => self.release.has(release::PARTITION_FILTERS),
            Chip::Bcm2711 | Chip::Bcm2837 => date.is_none_or(|date| date >= START4_FOR_FILTERS),
        }
    }

    fn say_filters(&mut self, settings: &Settings, bytes: &[u8], date: Option<&str>) {
        let compares = |item: &Item| matches!(item, Item::Filter(filter) if filter.compares_partitions());
        if !self.compares_partitions(date) && lines(bytes).any(|line| compares(&line.item)) {
            self.say(
                "partition-filters",
                "the firmware is too old for filters that compare partitions: none matches",
            );
        }
        for assumed in settings.assumed() {
            let (filter, line) = (&assumed.filter, assumed.line);
            self.say("hardware-filters", format!("`[{filter}]` in line {line} is taken not to match"));
        }
    }

    /// The device tree; nothing at all when there is none and should be.
    fn device_tree(&mut self, part: &Part, names: &Names) -> Option<Option<String>> {
        let Some(path) = &names.dtb else { return self.no_device_tree(names) };
        let bytes = part.read(path, dtb::LARGEST as u32);
        if let Err(reason) = bytes.and_then(|bytes| Dtb::decode(&bytes).map_err(|error| error.to_string())) {
            self.say("dtb-missing", format!("cannot use {path}: {reason}"));
            return None;
        }
        self.say("dtb", format!("reads {path}"));
        Some(Some(path.clone()))
    }

    /// The vendor's overlay that makes a variant's device tree of that of the plain board.
    fn variant_overlay(&mut self, part: &Part, names: &Names, prefix: &str) -> Option<String> {
        let variant = self.question.variant.as_deref()?;
        let tree = names.dtb.as_deref().filter(|_| names.is_of_plain_board)?;
        let overlay = format!("{prefix}bcm{}{variant}.dtbo", u32::from(self.chip()));
        let is_there = part.has(&overlay);
        let says =
            if is_there { format!("applies {overlay}") } else { format!("there is no {overlay} either") };
        self.say("dtb-variant", format!("{tree} is for the plain board, not for {variant}: {says}"));
        is_there.then_some(overlay)
    }

    fn no_device_tree(&mut self, names: &Names) -> Option<Option<String>> {
        if names.dtbs.is_empty() {
            self.say("dtb", "loads no device tree, since config.txt names an empty one");
            return Some(None);
        }
        let looked_for = names.dtbs.join(", ");
        if self.chip() == Chip::Bcm2712 {
            // It comes here only with os_check=0, which is for kernels that need none.
            self.say("dtb", format!("goes on without a device tree: there is none of {looked_for}"));
            return Some(None);
        }
        self.say("dtb-missing", format!("starts no kernel: there is none of {looked_for}"));
        None
    }

    fn kernel(&mut self, part: &Part, names: &Names) -> Option<String> {
        let found = names.kernel.as_ref().and_then(|path| Some((path.clone(), part.size(path)?)));
        let Some((path, size)) = found else {
            let looked_for = names.kernels.join(", ");
            self.say("kernel-missing", format!("gives up: there is none of {looked_for}"));
            return None;
        };
        self.say("kernel", format!("reads {path}, {size} bytes"));
        Some(path)
    }

    fn cmdline(&mut self, part: &Part, settings: &Settings, prefix: &str) -> String {
        let path = join(prefix, settings.cmdline());
        match part.read(&path, LARGEST_TEXT) {
            Ok(bytes) => {
                self.say("cmdline", format!("reads {path}, {} bytes", bytes.len()));
                let line = bytes.split(|byte| matches!(byte, b'\n' | 0)).next().unwrap_or_default();
                String::from_utf8_lossy(line).trim_end().to_owned()
            }
            Err(reason) => {
                self.say("cmdline", format!("goes on without a command line of its own: {path}: {reason}"));
                String::new()
            }
        }
    }

    fn initramfs(&mut self, part: &Part, settings: &Settings, prefix: &str, kernel: &str) -> Option<String> {
        let mut names: Vec<String> = settings.initramfs().iter().map(|name| join(prefix, name)).collect();
        if names.is_empty() && settings.auto_initramfs() {
            names.extend(implied_initramfs(kernel));
        }
        let (found, missing): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| part.has(name));
        for name in missing {
            self.say("initramfs-missing", format!("goes on without {name}, which is not there"));
        }
        let joined = found.join(",");
        (!found.is_empty()).then(|| {
            self.say("initramfs", format!("reads {joined}"));
            joined
        })
    }

    fn overlays(&mut self, part: &Part, settings: &Settings, names: &Names) -> Vec<String> {
        let own = join(&names.prefix, settings.overlay_prefix());
        let is_shared = !part.has(&format!("{own}README"));
        let prefix = if is_shared { join("", settings.overlay_prefix()) } else { own };
        let mut applied: Vec<String> = self.variant_overlay(part, names, &prefix).into_iter().collect();
        for overlay in settings.overlays() {
            let path = format!("{prefix}{}.dtbo", overlay.name);
            if part.has(&path) {
                self.say("overlays", format!("applies {path}"));
                let parts = std::iter::once(path).chain(overlay.params.iter().cloned());
                applied.push(parts.collect::<Vec<_>>().join(","));
            } else {
                self.say("overlays", format!("goes on without {path}, which is not there"));
            }
        }
        if !settings.params().is_empty() {
            self.say("overlays", format!("sets {} in the device tree", settings.params().join(", ")));
        }
        applied
    }
}

/// The name that `auto_initramfs` makes of a kernel's: `kernel8.img` has `initramfs8`.
fn implied_initramfs(kernel: &str) -> Option<String> {
    let (dir, file) = kernel.rsplit_once('/').map_or(("", kernel), |(dir, file)| (dir, file));
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    let rest = stem.strip_prefix("kernel")?;
    let slash = if dir.is_empty() { "" } else { "/" };
    Some(format!("{dir}{slash}initramfs{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_initramfs_is_called_after_the_kernel() {
        assert_eq!(implied_initramfs("kernel8.img").as_deref(), Some("initramfs8"));
        assert_eq!(implied_initramfs("new/kernel_2712.img").as_deref(), Some("new/initramfs_2712"));
        assert_eq!(implied_initramfs("vmlinuz"), None);
    }

    #[test]
    fn a_slash_in_front_goes_past_the_prefix() {
        assert_eq!((join("new/", "a"), join("new/", "/a")), ("new/a".to_owned(), "a".to_owned()));
    }
}
