//! What images are read from: files in all formats, with what lies beside them, and the standard input. Each fault
//! leaves the target untouched or not bootable, and says so.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use factory::digest::Sha256;
use factory::formats::bmap::BlockMap;
use rustix::process::{Pid, Signal, kill_process};

use super::interrupted::Left;
use super::loops::Loop;
use super::{Desk, MIB, SIZE, factory, flash, head, said, succeed};

/// What a flash is tried on: a file, and a device where the machine has one.
pub(super) struct Targets {
    desk: Desk,
    image: PathBuf,
    device: Option<Loop>,
}

impl Targets {
    pub(super) fn new() -> Self {
        let desk = Desk::new();
        let image = desk.image();
        let device = Loop::new(&desk.old("back", SIZE), &[]);
        Targets { desk, image, device }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.desk.path(name)
    }

    /// The image, as a file and as bytes.
    pub(super) fn image(&self) -> (PathBuf, Vec<u8>) {
        (self.image.clone(), fs::read(&self.image).unwrap())
    }

    /// Each target, with old bytes at its beginning.
    fn renewed(&self) -> Vec<PathBuf> {
        let file = self.desk.old("target", SIZE);
        let device = self.device.as_ref().map(|device| device.0.clone());
        if let Some(device) = &device {
            File::options().write(true).open(device).unwrap().write_all_at(&head(&file, MIB), 0).unwrap();
        }
        [Some(file), device].into_iter().flatten().collect()
    }

    /// Flashes `image` onto each target by a command that may be changed; what came of the last one. All must end
    /// with this code, and leave this.
    fn each(&self, image: &str, change: &dyn Fn(&mut Command), code: i32, left: Left) -> Output {
        let run = |target: &PathBuf| {
            let mut command = flash(Path::new(image), target);
            for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
                command.env_remove(name);
            }
            command.env("FACTORY_HTTP_TRIES", "3").env("FACTORY_HTTP_TIMEOUT", "1");
            change(&mut command);
            let output = command.output().unwrap();
            assert_eq!(output.status.code(), Some(code), "{command:?}: {}", said(&output));
            let first = head(target, 4096);
            match left {
                Left::Untouched => {
                    assert!(first[510] == 0x55 && first[..510].iter().all(|byte| *byte == 0xa5))
                }
                Left::NotBootable => assert!(first[..512].iter().all(|byte| *byte == 0)),
                Left::Whole => {}
            }
            output
        };
        self.renewed().iter().map(run).last().unwrap()
    }

    /// Must fail with these words.
    pub(super) fn fails(&self, image: &str, arguments: &[&str], left: Left, words: &str) {
        let change = |command: &mut Command| _ = command.args(arguments);
        let said = said(&self.each(image, &change, 1, left));
        let state =
            if left == Left::Untouched { "nothing was written" } else { "the target is not bootable" };
        assert!(said.contains(state) && said.contains(words), "{words}: {said}");
    }

    /// Must become these bytes.
    pub(super) fn becomes(&self, image: &str, arguments: &[&str], bytes: &[u8]) {
        self.each(image, &|command| _ = command.args(arguments), 0, Left::Whole);
        let device = self.device.as_ref().map(|device| device.0.clone());
        for target in [Some(self.path("target")), device].into_iter().flatten() {
            assert!(head(&target, SIZE) == bytes, "{image} {arguments:?} on {}", target.display());
        }
    }

    /// Puts bytes into a file; its path.
    pub(super) fn put(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// The image in another format, by our own hand.
    pub(super) fn converted(&self, format: &str, name: &str) -> (String, Vec<u8>) {
        succeed(&mut factory(&["convert", self.image.to_str().unwrap(), "--to", format]));
        let path = self.path(name);
        (path.to_str().unwrap().to_owned(), fs::read(path).unwrap())
    }
}

/// Where the frames of a zstd file begin, by its seek table, and where the table does.
fn frames(file: &[u8]) -> Vec<usize> {
    let footer = file.len() - 9;
    let number = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize;
    let count = number(footer);
    let sizes = (0..count).map(|index| number(footer - (count - index) * 8));
    let mut ends = vec![0];
    for size in sizes {
        ends.push(ends.last().unwrap() + size);
    }
    ends
}

#[test]
fn own_zstd_is_read_by_its_table_and_its_damage_is_found() {
    let targets = Targets::new();
    let bytes = targets.image().1;
    let (path, packed) = targets.converted("zst", "disk.img.zst");
    targets.becomes(&path, &[], &bytes);
    let frames = frames(&packed);
    assert!(frames.len() > 10, "{frames:?}");
    let cut = |at: usize| targets.put("disk.img.zst", &packed[..at]);
    // Between frames nothing is missing but the end of the disk, which its table knows.
    targets.fails(&cut(frames[5]), &[], Left::NotBootable, "`the image` is cut off: it has ");
    targets.fails(&cut(frames[5] + 9), &[], Left::NotBootable, "its zstd data is cut off");
    targets.fails(&cut(packed.len() - 3), &[], Left::NotBootable, "its zstd data is cut off");
    let without = [&packed[..frames[5]], &packed[frames[6]..]].concat();
    let words = format!(
        "its zstd data has {} bytes, but its seek table speaks of ",
        frames.last().unwrap() + frames[5] - frames[6]
    );
    targets.fails(&targets.put("disk.img.zst", without), &[], Left::Untouched, &words);
    let mut flipped = packed.clone();
    flipped[frames[4] + 100_000] ^= 4;
    targets.fails(&targets.put("disk.img.zst", flipped), &[], Left::NotBootable, "its zstd data is damaged");
}

#[test]
fn packed_images_that_are_cut_or_damaged_never_boot() {
    let targets = Targets::new();
    let (image, bytes) = targets.image();
    for (program, packing) in [("zstd", "zstd"), ("pzstd", "zstd"), ("gzip", "gzip"), ("xz", "xz")] {
        let output = succeed(Command::new(program).args(["-1", "-c"]).arg(&image));
        let packed = output.stdout;
        targets.becomes(&targets.put("packed", &packed), &[], &bytes);
        let cut = targets.put("packed", &packed[..packed.len() / 2]);
        targets.fails(&cut, &[], Left::NotBootable, &format!("its {packing} data is cut off"));
        let mut flipped = packed.clone();
        flipped[packed.len() / 2] ^= 0x10;
        let flipped = targets.put("packed", flipped);
        targets.fails(&flipped, &[], Left::NotBootable, &format!("its {packing} data is damaged"));
    }
}

#[test]
fn images_of_qemu_are_read_from_files_alone() {
    let targets = Targets::new();
    let (image, bytes) = targets.image();
    let path = targets.path("disk.qcow2");
    succeed(Command::new("qemu-img").args(["convert", "-c", "-O", "qcow2"]).args([&image, &path]));
    targets.becomes(path.to_str().unwrap(), &[], &bytes);
    let change = |command: &mut Command| _ = command.stdin(File::open(&path).unwrap());
    let output = targets.each("-", &change, 1, Left::Untouched);
    let words =
        "`standard input` is a qcow2 image, which is not read from front to back\n\nhint: name a file";
    assert!(said(&output).contains(words), "{}", said(&output));
    let mut packed = fs::read(&path).unwrap();
    let cut = targets.put("cut.qcow2", &packed[..packed.len() / 2]);
    targets.fails(&cut, &[], Left::Untouched, "it is cut off or damaged: ");
    // The format has no digests of its own.
    let right = Sha256::of(&packed).to_string();
    let middle = packed.len() / 2;
    packed[middle] ^= 1;
    let damaged = targets.put("damaged.qcow2", packed);
    targets.fails(&damaged, &["--sha256", &right], Left::NotBootable, "has the sha256");
}

#[test]
fn another_digest_than_promised_is_found_before_it_boots() {
    let targets = Targets::new();
    let (image, bytes) = targets.image();
    let (zst, packed) = targets.converted("zst", "disk.img.zst");
    let gz = succeed(Command::new("gzip").args(["-1", "-c"]).arg(&image)).stdout;
    let wrong = Sha256::of(b"another file");
    for (path, file) in
        [(image.to_str().unwrap(), &bytes), (&zst, &packed), (&targets.put("disk.img.gz", &gz), &gz)]
    {
        let right = Sha256::of(file);
        targets.becomes(path, &["--sha256", &right.to_string()], &bytes);
        let words = format!("`{path}` has the sha256 {right}, but `--sha256` says {wrong}");
        targets.fails(path, &["--sha256", &wrong.to_string()], Left::NotBootable, &words);
    }
    // From the standard input, too.
    let change = |command: &mut Command| {
        command.stdin(File::open(&zst).unwrap()).args(["--sha256", &wrong.to_string()]);
    };
    let words = format!("`standard input` has the sha256 {}, but", Sha256::of(&packed));
    let output = targets.each("-", &change, 1, Left::NotBootable);
    assert!(said(&output).contains(&words), "{}", said(&output));
}

#[test]
fn the_digest_beside_an_image_counts() {
    let targets = Targets::new();
    let (image, bytes) = targets.image();
    let path = image.to_str().unwrap();
    let (zst, packed) = targets.converted("zst", "disk.img.zst");
    let (right, wrong) = (Sha256::of(&packed), Sha256::of(b""));
    // That of all formats.
    let sums =
        targets.put("disk.img.sha256", format!("{}  disk.img\n{wrong}  disk.img.zst\n", Sha256::of(&bytes)));
    targets.becomes(path, &[], &bytes);
    let words = format!("has the sha256 {right}, but `{sums}` says {wrong}");
    targets.fails(&zst, &[], Left::NotBootable, &words);
    // What is named, and what is nearer, goes first.
    targets.becomes(&zst, &["--sha256", &right.to_string()], &bytes);
    let own = targets.put("disk.img.zst.sha256", right.to_string());
    targets.becomes(&zst, &[], &bytes);
    fs::write(&own, format!("{right}  other.zst\n")).unwrap();
    targets.fails(&zst, &[], Left::Untouched, &format!("`{own}` has no sha256 of `disk.img.zst`"));
}

#[test]
fn only_what_a_block_map_has_is_written() {
    let targets = Targets::new();
    let (image, bytes) = targets.image();
    let (map, text) = targets.converted("bmap", "disk.img.bmap");
    // What stands between the ranges does not count, packed or not.
    let file = File::options().write(true).open(&image).unwrap();
    file.write_all_at(&[0xee; 20_000], 15 * MIB).unwrap();
    file.write_all_at(&[0xee; 4096], 44 * MIB - 4096).unwrap();
    targets.becomes(image.to_str().unwrap(), &[], &bytes);
    let packed = succeed(Command::new("gzip").args(["-1", "-c"]).arg(&image)).stdout;
    let packed = targets.put("disk.img.gz", packed);
    targets.becomes(&packed, &[], &bytes);
    let elsewhere = targets.put("elsewhere", &text);
    fs::remove_file(&map).unwrap();
    targets.becomes(&packed, &["--bmap", &elsewhere], &bytes);
    fs::rename(&elsewhere, targets.path("disk.bmap")).unwrap();
    targets.becomes(image.to_str().unwrap(), &[], &bytes);
}

#[test]
fn a_block_map_of_another_image_is_found() {
    let targets = Targets::new();
    let path = targets.image().0;
    let path = path.to_str().unwrap();
    let packed = targets.put("disk.img.gz", succeed(Command::new("gzip").args(["-1", "-c", path])).stdout);
    let (map_path, text) = targets.converted("bmap", "disk.img.bmap");
    let text = String::from_utf8(text).unwrap();
    let map = BlockMap::parse(&text).unwrap();
    targets.put("disk.img.bmap", text.replacen("12288", "12287", 1));
    targets.fails(path, &[], Left::Untouched, "it was changed or cut off");
    let mut other = map.clone();
    let last = other.digests.len() - 2;
    other.digests[last] = Sha256::of(b"other");
    targets.put("disk.img.bmap", other.to_string());
    let range = &map.blocks.ranges[last];
    let words = format!(
        "has the sha256 {} in its blocks {} to {}, but `{map_path}` says {}",
        map.digests[last],
        range.start / 4096,
        range.end / 4096 - 1,
        other.digests[last]
    );
    for image in [path, &packed] {
        targets.fails(image, &[], Left::NotBootable, &words);
    }
    let mut longer = map.clone();
    longer.blocks.size += MIB;
    targets.put("disk.img.bmap", longer.to_string());
    let words = format!("`{map_path}` is the block map of an image of {} bytes, but", SIZE + MIB);
    targets.fails(path, &[], Left::Untouched, &words);
    targets.fails(&packed, &[], Left::NotBootable, &words);
}

#[test]
fn an_input_that_ends_early_never_boots() {
    let targets = Targets::new();
    let (_, bytes) = targets.image();
    let half = targets.put("half", &bytes[..SIZE as usize / 2]);
    let change = |command: &mut Command| _ = command.stdin(File::open(&half).unwrap());
    let output = targets.each("-", &change, 1, Left::NotBootable);
    assert!(
        said(&output).contains("is cut off: it has 25165824 bytes, and should have 50331648"),
        "{}",
        said(&output)
    );
    let output = targets.each("-", &|_| (), 3, Left::Untouched);
    assert!(said(&output).contains("`standard input` is not an image of a disk"), "{}", said(&output));
}

/// Interrupts a flash that waits for its source, which must end at once.
pub(super) fn interrupted_while_it_waits(mut command: Command, target: &Path, left: &Left) {
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    thread::sleep(Duration::from_millis(1500));
    let asked = Instant::now();
    kill_process(Pid::from_raw(child.id().cast_signed()).unwrap(), Signal::INT).unwrap();
    let output = loop {
        assert!(asked.elapsed() < Duration::from_secs(5), "it goes on");
        if child.try_wait().unwrap().is_some() {
            break child.wait_with_output().unwrap();
        }
        thread::sleep(Duration::from_millis(10));
    };
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    let is_dead = head(target, 512).iter().all(|byte| *byte == 0);
    assert_eq!(is_dead, *left == Left::NotBootable, "{}", said(&output));
    assert!(said(&output).starts_with("interrupted; "), "{}", said(&output));
}

#[test]
fn a_flash_that_waits_for_its_input_can_be_interrupted() {
    let targets = Targets::new();
    let (_, bytes) = targets.image();
    for (sent, left) in [(0, Left::Untouched), (5 * MIB as usize, Left::NotBootable)] {
        let target = targets.desk.old("target", SIZE);
        let (input, mut feed) = std::io::pipe().unwrap();
        let mut command = flash(Path::new("-"), &target);
        command.stdin(input);
        let part = bytes[..sent].to_vec();
        let feeder = thread::spawn(move || {
            feed.write_all(&part).unwrap();
            // Kept open until the flash has ended.
            feed
        });
        interrupted_while_it_waits(command, &target, &left);
        drop(feeder.join().unwrap());
    }
}
