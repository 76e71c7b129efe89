//! What a config.txt sets for one board: the lines that its filters let through, last one wins.

use std::collections::BTreeMap;

use super::filter::{Context, Match, OpenFilters};
use super::line::{Item, lines};
use super::number;

/// Most files that are included. The documentation has no limit; files can include each other.
const MOST_INCLUDES: usize = 16;

/// The settings for one board.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    values: BTreeMap<String, String>,
    initramfs: Vec<String>,
    overlays: Vec<Overlay>,
    params: Vec<String>,
    assumed: Vec<Assumed>,
    included: Vec<String>,
}

/// An overlay of the device tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlay {
    /// Its name, without directory and suffix.
    pub name: String,
    /// Its parameters, as `name=value` or a name.
    pub params: Vec<String>,
}

/// A filter that only hardware can decide, and that was taken not to match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assumed {
    /// The line where it stands.
    pub line: u32,
    /// What stands between the brackets.
    pub filter: String,
}

impl Settings {
    /// Reads a config.txt for `context`. Files that it includes come from `include`; nothing does
    /// in the stage before `start4.elf`, which does not follow them.
    pub fn evaluate(
        bytes: &[u8],
        context: &Context<'_>,
        include: &mut dyn FnMut(&str) -> Option<Vec<u8>>,
    ) -> Settings {
        let settings = Settings::default();
        let mut reader = Reader { context, include, open: OpenFilters::default(), overlay: false, settings };
        reader.read(bytes);
        reader.settings
    }

    /// The value of a setting.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    /// The value of a setting that names something; an empty one counts as not set.
    fn name(&self, key: &str) -> Option<&str> {
        self.get(key).filter(|value| !value.is_empty())
    }

    /// Whether a setting is on.
    fn is_on(&self, key: &str, default: bool) -> bool {
        self.get(key).map_or(default, |value| number(value) != 0)
    }

    /// The kernel, when it is named.
    pub fn kernel(&self) -> Option<&str> {
        self.name("kernel")
    }

    /// The parts of the initramfs, in order; none when no line names one.
    pub fn initramfs(&self) -> &[String] {
        &self.initramfs
    }

    /// Whether the initramfs is looked for under a name that the kernel's implies.
    pub fn auto_initramfs(&self) -> bool {
        self.is_on("auto_initramfs", false)
    }

    /// The file with the kernel command line.
    pub fn cmdline(&self) -> &str {
        self.name("cmdline").unwrap_or(bootenv::rpi::CMDLINE)
    }

    /// The device tree, when it is named. An empty name means that none is to be loaded.
    pub fn device_tree(&self) -> Option<&str> {
        self.get("device_tree")
    }

    /// What is put before the names of kernel, initramfs, command line and device tree.
    pub fn os_prefix(&self) -> &str {
        let upstream = if self.upstream_kernel() { "upstream/" } else { "" };
        self.get("os_prefix").unwrap_or(upstream)
    }

    /// What is put before the names of overlays.
    pub fn overlay_prefix(&self) -> &str {
        self.get("overlay_prefix").unwrap_or("overlays/")
    }

    /// Whether mainline's names of device trees are preferred.
    pub fn upstream_kernel(&self) -> bool {
        self.is_on("upstream_kernel", false)
    }

    /// The overlays, in the order in which they are applied.
    pub fn overlays(&self) -> &[Overlay] {
        &self.overlays
    }

    /// Parameters of the device tree itself.
    pub fn params(&self) -> &[String] {
        &self.params
    }

    /// Whether Raspberry Pi 5 looks if the device tree is for it before it starts a kernel.
    pub fn os_check(&self) -> bool {
        self.is_on("os_check", true)
    }

    /// Whether the kernel is started in 64-bit mode.
    pub fn arm_64bit(&self) -> bool {
        self.is_on("arm_64bit", true)
    }

    /// Whether everything comes out of `boot.img`.
    pub fn boot_ramdisk(&self) -> bool {
        self.is_on("boot_ramdisk", false)
    }

    /// Whether the serial port is set up.
    pub fn enable_uart(&self) -> bool {
        self.is_on("enable_uart", false)
    }

    /// Which variant of the firmware is asked for: `cd`, `x`, `db`, or the plain one. 16 MiB of
    /// memory are only enough for the cut-down one.
    pub fn firmware_variant(&self) -> &'static str {
        match () {
            () if self.get("gpu_mem").is_some_and(|value| number(value) == 16) => "cd",
            () if self.is_on("start_debug", false) => "db",
            () if self.is_on("start_x", false) => "x",
            () => "",
        }
    }

    /// The firmware, when it is named.
    pub fn start_file(&self) -> Option<&str> {
        self.name("start_file")
    }

    /// What adapts the firmware to the memory, when it is named.
    pub fn fixup_file(&self) -> Option<&str> {
        self.name("fixup_file")
    }

    /// Filters that were taken not to match, since only hardware can tell.
    pub fn assumed(&self) -> &[Assumed] {
        &self.assumed
    }

    /// Files that were asked for by `include`, found or not.
    pub fn included(&self) -> &[String] {
        &self.included
    }
}

/// Reads one file after the other.
struct Reader<'a> {
    context: &'a Context<'a>,
    include: &'a mut dyn FnMut(&str) -> Option<Vec<u8>>,
    open: OpenFilters,
    /// Whether parameters belong to the last overlay.
    overlay: bool,
    settings: Settings,
}

impl Reader<'_> {
    fn read(&mut self, bytes: &[u8]) {
        for line in lines(bytes) {
            if let Item::Filter(filter) = &line.item {
                self.open.pass(line.number, filter);
                if filter.matches(self.context) == Match::Assumed {
                    self.settings.assumed.push(Assumed { line: line.number, filter: filter.text.clone() });
                }
            } else if self.open.match_all(self.context) {
                self.take(line.item);
            }
        }
    }

    fn take(&mut self, item: Item) {
        let settings = &mut self.settings;
        match item {
            Item::Setting { key, value } if key == "ramfsfile" => settings.initramfs = names(&value),
            Item::Setting { key, value } => {
                settings.values.insert(key, value);
            }
            Item::Initramfs(value) => settings.initramfs = names(&value),
            Item::Overlay(value) => self.overlay = settings.add_overlay(&value),
            Item::Param(value) => {
                let to = settings.overlays.last_mut().filter(|_| self.overlay);
                to.map_or(&mut settings.params, |overlay| &mut overlay.params).extend(names(&value));
            }
            Item::Include(name) => self.follow(name),
            Item::Blank | Item::Comment | Item::Filter(_) | Item::Malformed(_) => {}
        }
    }

    /// Reads a file in the place of the line that includes it; filters go in and out.
    fn follow(&mut self, name: String) {
        if self.settings.included.len() < MOST_INCLUDES {
            let bytes = (self.include)(&name);
            self.settings.included.push(name);
            self.read(&bytes.unwrap_or_default());
        }
    }
}

impl Settings {
    /// Notes an overlay. False for an empty name, which ends the parameters of the one before.
    fn add_overlay(&mut self, value: &str) -> bool {
        let (name, params) = value.split_once([',', ':']).unwrap_or((value, ""));
        if !name.is_empty() {
            self.overlays.push(Overlay { name: name.to_owned(), params: names(params) });
        }
        !name.is_empty()
    }
}

fn names(list: &str) -> Vec<String> {
    list.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board;
    use proptest::prelude::*;

    fn context() -> Context<'static> {
        let board = board::find("cm4").unwrap();
        Context { board, tryboot: false, boot_partition: 2, requested: 0, compares_partitions: true }
    }

    fn evaluate(text: &str) -> Settings {
        Settings::evaluate(text.as_bytes(), &context(), &mut |_| None)
    }

    #[test]
    fn the_last_line_that_counts_wins() {
        let settings = evaluate(
            "kernel=one\n[pi5]\nkernel=two\nos_check=0\n[all]\nkernel=three\n[none]\nkernel=four\n\
             [gpio4=1]\nenable_uart=1\n",
        );
        assert_eq!(settings.kernel(), Some("three"));
        assert!(settings.os_check() && !settings.enable_uart());
        assert_eq!(settings.assumed(), [Assumed { line: 9, filter: "gpio4=1".into() }]);
    }

    #[test]
    fn what_is_not_set_has_the_defaults_of_the_documentation() {
        let settings = evaluate("");
        assert_eq!((settings.kernel(), settings.device_tree(), settings.start_file()), (None, None, None));
        assert_eq!((settings.cmdline(), settings.os_prefix()), ("cmdline.txt", ""));
        assert_eq!((settings.overlay_prefix(), settings.firmware_variant()), ("overlays/", ""));
        assert!(settings.arm_64bit() && settings.os_check());
        assert!(!settings.boot_ramdisk() && !settings.auto_initramfs());
        assert_eq!(evaluate("upstream_kernel=1").os_prefix(), "upstream/");
        assert_eq!(evaluate("upstream_kernel=1\nos_prefix=").os_prefix(), "");
    }

    #[test]
    fn parameters_belong_to_the_overlay_before_them() {
        let settings = evaluate(
            "dtparam=audio=on,spi=on\ndtoverlay=i2c-rtc,ds3231\ndtparam=addr=0x68\ndtoverlay=\n\
             dtparam=i2c=on\ndtoverlay=disable-bt\n",
        );
        let overlay = |name: &str, params: &[&str]| Overlay {
            name: name.into(),
            params: params.iter().map(|param| (*param).to_owned()).collect(),
        };
        assert_eq!(
            settings.overlays(),
            [overlay("i2c-rtc", &["ds3231", "addr=0x68"]), overlay("disable-bt", &[])]
        );
        assert_eq!(settings.params(), ["audio=on", "spi=on", "i2c=on"]);
    }

    #[test]
    fn the_initramfs_has_parts() {
        assert_eq!(evaluate("initramfs a,b followkernel").initramfs(), ["a", "b"]);
        assert_eq!(evaluate("initramfs a 0\nramfsfile=c").initramfs(), ["c"]);
    }

    #[test]
    fn included_files_stand_where_they_are_named_and_rings_end() {
        let mut files = |name: &str| Some(format!("kernel={name}\n[pi5]\ninclude {name}\n").into_bytes());
        let settings = Settings::evaluate(b"include a\nkernel=mine\n", &context(), &mut files);
        assert_eq!(settings.kernel(), Some("a"), "the filter of the included file goes on");
        let mut ring = |_: &str| Some(b"include x\ninclude x\n".to_vec());
        let settings = Settings::evaluate(b"include x", &context(), &mut ring);
        assert_eq!(settings.included().len(), MOST_INCLUDES);
    }

    proptest! {
        #[test]
        fn no_file_makes_it_panic(
            parts in proptest::collection::vec(proptest::sample::select(vec![
                "[all]", "[pi4]", "[none]", "[", "]", "=", "\n", "\r\n", "\0", "include x", "initramfs ",
                "dtoverlay=", "dtparam=a", ",", "kernel=", "[boot_partition=", "0x", "999999999999", "ü", " ",
            ]), 0..60),
        ) {
            let text = parts.concat();
            let _ = Settings::evaluate(text.as_bytes(), &context(), &mut |_| Some(text.clone().into_bytes()));
        }
    }
}
