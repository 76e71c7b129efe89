//! What `factory flash` and `factory convert` leave starts as the image does, on both tracks.

use std::fs::File;

use super::{Image, Project, factory, marker};

/// Longer than any image here, as devices are.
const DEVICE: u64 = 2 << 30;

/// A device that an image was flashed to, with these arguments besides.
pub(super) fn flashed(project: &Project, source: &Image, arguments: &[&str]) -> Image {
    let path = project.path("device");
    File::create(&path).unwrap().set_len(DEVICE).unwrap();
    let device = Image { path };
    factory(&[&["flash", source.str(), device.str(), "--yes"], arguments].concat());
    device
}

#[test]
fn a_device_that_was_flashed_from_a_packed_image_starts() {
    for track in ["generic", "rpi"] {
        let project = Project::new(&[]);
        let image = project.image_of(track);
        factory(&["convert", image.str(), "--to", "zst"]);
        let packed = Image { path: project.path("disk.img.zst") };
        let report = flashed(&project, &packed, &[]).run(&["--until", "^factory: up "]);
        assert_eq!(marker(&report)["slot"], "a", "{track}");
        assert_eq!(marker(&report)["track"], track);
    }
}

#[test]
fn an_image_in_the_format_of_qemu_starts() {
    let project = Project::new(&[]);
    let image = project.image();
    factory(&["convert", image.str(), "--to", "qcow2"]);
    let disk = Image { path: project.path("disk.qcow2") };
    assert_eq!(marker(&disk.run(&["--until", "^factory: up "]))["slot"], "a");
}
