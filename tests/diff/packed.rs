//! Images that are packed, and what is no image; exit codes, and JSON.

use serde_json::Value;

use super::image::{Pair, SYSTEM_A, text};
use super::support::tools::run;

#[test]
fn a_packed_image_is_unpacked_first() {
    let pair = Pair::new();
    run("qemu-img", ["convert", "-O", "qcow2", text(&pair.b()), text(&pair.machine.project("b.qcow2"))]);
    run("zstd", ["-q", text(&pair.b()), "-o", text(&pair.machine.project("one-frame.zst"))]);
    pair.machine.run(&["convert", "b.img", "--to", "zst", "--to", "xz", "--to", "gz"]);
    for packed in ["b.img.zst", "b.img.xz", "b.img.gz", "one-frame.zst", "b.qcow2"] {
        let output = pair.machine.run(&["diff", "a.img", packed]);
        assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("a.img and {packed} are identical\n"));
    }
}

#[test]
fn what_cannot_be_compared_ends_with_two() {
    let pair = Pair::new();
    pair.machine.run(&["convert", "b.img", "--to", "gz"]);
    let packed = std::fs::read(pair.machine.project("b.img.gz")).unwrap();
    pair.machine.write("cut.gz", &packed[..packed.len() / 2]);
    for (other, reason) in [
        ("none.img", "error: opening `none.img`"),
        ("cut.gz", "error: reading `cut.gz`\n  because: its gzip data is cut off"),
        (".", "error: `.` is not an image"),
    ] {
        let output = pair.machine.factory(&["diff", "a.img", other]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.starts_with(reason) && output.stdout.is_empty(), "{said}");
    }
}

#[test]
fn json_has_everything() {
    let pair = Pair::new();
    let found: Value = serde_json::from_slice(&pair.diff(&["--json"]).stdout).unwrap();
    assert_eq!((&found["identical"], &found["first"]), (&true.into(), &Value::Null));
    pair.debugfs(SYSTEM_A, "set_inode_field /Image mode 0100600");
    let output = pair.diff(&["--json"]);
    assert_eq!(output.status.code(), Some(1));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&found["a"], &found["b"]), (&"a.img".into(), &"b.img".into()));
    assert_eq!((&found["identical"], &found["first"]["place"]), (&false.into(), &"p2 system-a".into()));
    let expected = serde_json::json!([{
        "place": "p2 system-a / Image", "what": "changed", "field": "mode", "from": "0644", "to": "0600",
    }]);
    assert_eq!((&found["differences"], &found["problems"]), (&expected, &serde_json::json!([])));
}

#[test]
fn images_of_other_sizes_are_compared_as_far_as_they_go() {
    let pair = Pair::new();
    std::fs::OpenOptions::new().write(true).open(pair.b()).unwrap().set_len(100 << 20).unwrap();
    let said = pair.said();
    assert!(said.starts_with("disk\n  ~ size 74 MiB -> 100 MiB"), "{said}");
}

#[test]
fn an_image_without_a_table_is_compared_as_a_file_system() {
    let pair = Pair::new();
    for (name, request) in [("a", "stat /"), ("b", "set_inode_field /Image uid 5")] {
        let (image, slot) = (pair.machine.project(&format!("{name}.img")), pair.machine.project(name));
        let cut = ["bs=1M", "skip=9", "count=24", "conv=sparse"].map(str::to_owned);
        let files = [format!("if={}", text(&image)), format!("of={}", text(&slot))];
        run("dd", files.iter().chain(&cut));
        run("debugfs", ["-w", "-R", request, text(&slot)]);
    }
    let output = pair.machine.factory(&["diff", "a", "b"]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.ends_with("\n\nImage\n  ~ owner 0:0 -> 5:0\n"), "{said}");
}
