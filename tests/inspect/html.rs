//! `factory inspect --html`: the page, judged by a browser.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use factory::inspect::html::html;

use super::browser::Browser;
use super::{Disk, disk, ext4, look, put, text};

/// The blue of the first partition, in light and in dark.
const LIGHT: [u8; 3] = [0xa2, 0xcb, 0xf5];
const DARK: [u8; 3] = [0x1f, 0x56, 0x87];

/// What is behind everything, in light and in dark.
const LIGHT_PAGE: [u8; 3] = [0xf6, 0xf8, 0xfa];
const DARK_PAGE: [u8; 3] = [0x0f, 0x14, 0x18];

fn factory(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_factory")).args(arguments).output().unwrap()
}

/// The page of an image, by the command.
fn made(disk: &Disk) -> PathBuf {
    let path = disk.dir.path().join("disk.html");
    let output = factory(&["inspect", text(&disk.image), "--html", text(&path)]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stdout.is_empty());
    path
}

#[test]
fn a_browser_shows_all_that_was_found_and_loads_nothing() {
    let disk = disk("16", 8);
    let path = made(&disk);
    let page = fs::read_to_string(&path).unwrap();
    let browser = Browser::new();
    let dom = browser.dom(&path);
    for part in
        ["esp", "system-a", "system-b", "kiosk", "1.4.0", "9f3c", "libbig.so", "usr/lib", "2 starts left"]
    {
        assert!(dom.contains(part), "{part} is not in\n{dom}");
    }
    assert!(dom.contains("<b>Slot B</b> is under trial"), "{dom}");
    assert!(!page.contains("url(") && !page.contains("@import"));
    for found in browser.measure(&page, &[360, 760, 761, 1200, 2400]) {
        assert_eq!(found.scroll, found.width, "text goes out of the page: {found:?}");
        assert!(found.outside.is_empty() && found.active.is_empty() && found.loaded == 0, "{found:?}");
        assert_eq!(found.cells, 4 * 9 + 3 * look(&disk).biggest.len() as u32, "{found:?}");
    }
}

#[test]
fn pictures_are_not_empty_at_any_width_in_light_and_in_dark() {
    let disk = disk("16", 8);
    let page = fs::read_to_string(made(&disk)).unwrap();
    let browser = Browser::new();
    for (width, height) in [(1200, 1600), (360, 2400)] {
        for (is_dark, used, behind) in [(false, LIGHT, LIGHT_PAGE), (true, DARK, DARK_PAGE)] {
            let picture = browser.picture(&page, width, height, is_dark);
            assert_eq!((picture.width, picture.height), (width as usize, height as usize));
            let colours = picture.colours();
            assert!(colours.len() > 100, "{width}, dark: {is_dark}: only {} colours", colours.len());
            assert!(colours.contains(&used) && colours.contains(&behind), "{width}, dark: {is_dark}");
            assert!(picture.share(used) >= 1, "{width}, dark: {is_dark}: there are no tiles");
        }
    }
}

/// Names that would run, load, steer a terminal, turn the text around, or fill the page.
fn hostile() -> Vec<String> {
    let mut names: Vec<String> = [
        "<script>document.body.remove()<!--",
        "<img src=x onerror=alert(1)>",
        "\"><svg onload=alert(1)>",
        "'-alert(1)-'",
        "&lt;b&gt;&#60;i&#62;",
        "\u{1b}[2J\u{7}bell",
        "photo\u{202e}gnp.exe",
        "line\nbreak\u{2028}too",
        "{}[]()`${alert(1)}",
        "</title><base href=x>".replace('/', "\u{2215}").as_str(),
    ]
    .map(str::to_owned)
    .into();
    names.push("x".repeat(255));
    names.push(format!("z{}", "\u{301}".repeat(100)));
    names
}

#[test]
fn names_of_strangers_stay_names() {
    let disk = disk("12", 2);
    let (root, system) = (disk.dir.path().join("hostile"), disk.dir.path().join("hostile.ext4"));
    for name in hostile() {
        fs::create_dir_all(root.join(&name)).unwrap();
        fs::write(root.join(&name).join(&name), vec![3; 200_000]).unwrap();
    }
    let list =
        r#"{"layout":1,"name":"<b onclick=x>","version":"</code><script>","build":"\u202e","files":[]}"#;
    fs::write(root.join("slot.json"), list).unwrap();
    ext4(&system, 6, &root, super::SYSTEM_UUID);
    put(&disk.image, 3 << 20, &fs::read(&system).unwrap());
    let label = "<script>alert(1)</script>";
    super::tool(
        "sfdisk",
        &["-q", "--no-reread", "--no-tell-kernel", "--part-label", text(&disk.image), "4", label],
        "",
    );
    let path = made(&disk);
    let page = fs::read_to_string(&path).unwrap();
    let unseen = |letter: char| letter.is_control() && letter != '\n' || "\u{202e}\u{2028}".contains(letter);
    assert!(!page.contains(unseen), "{page}");
    let browser = Browser::new();
    let dom = browser.dom(&path);
    assert!(dom.contains("&lt;img src=x onerror=alert(1)&gt;") && dom.contains("gnp.exe"), "{dom}");
    assert!(dom.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && dom.contains("<main>"), "{dom}");
    for found in browser.measure(&page, &[360, 1200]) {
        assert!(found.active.is_empty() && found.loaded == 0, "{found:?}");
        assert_eq!(found.scroll, found.width, "text goes out of the page: {found:?}");
    }
}

#[test]
fn the_judge_tells_of_scripts_that_fail_and_files_that_are_not_there() {
    let browser = Browser::new();
    assert!(browser.tells_of("<!DOCTYPE html><script>nothing.is.there()</script>"));
    let found = browser.measure("<!DOCTYPE html><img src=\"http://nowhere.invalid/x.png\">", &[360]);
    assert!(found[0].loaded == 1 && found[0].active == ["img"], "{found:?}");
    let found =
        browser.measure("<!DOCTYPE html><p style=\"width:900px\">wide</p><a href=\"x\">x</a>", &[360]);
    assert!(found[0].scroll > 360 && found[0].outside == ["p"] && found[0].active == ["a"], "{found:?}");
}

#[test]
fn the_same_image_makes_the_same_page_wherever_it_is() {
    let disk = disk("12", 2);
    let elsewhere = tempfile::tempdir_in(disk.dir.path()).unwrap();
    let other = elsewhere.path().join(disk.image.file_name().unwrap());
    fs::hard_link(&disk.image, &other).unwrap();
    let page = html(&look(&disk));
    assert_eq!(page, html(&super::inspect(&other).unwrap()));
    assert_eq!(page, fs::read_to_string(made(&disk)).unwrap());
    assert!(!page.contains(text(disk.dir.path())), "it tells where it was made");
}

#[test]
fn a_page_is_never_written_over_the_image() {
    let disk = disk("12", 2);
    let before = fs::read(&disk.image).unwrap();
    let output = factory(&["inspect", text(&disk.image), "--html", text(&disk.image)]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("is the image itself\n\nhint: "));
    assert!(fs::read(&disk.image).unwrap() == before);
    let output = factory(&["inspect", text(&disk.image), "--html", text(disk.dir.path())]);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn what_is_no_disk_has_a_page_that_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("notes.txt");
    fs::write(&image, "milk, bread").unwrap();
    let page = html(&super::inspect(Path::new(&image)).unwrap());
    assert!(page.contains("<h2>Problems</h2>") && page.contains("1 problem"), "{page}");
}
