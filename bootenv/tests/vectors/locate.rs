use std::collections::HashMap;

use bootenv::Error;
use bootenv::grub::{GRUBENV_PLACE, GRUBENV_SPARE_PLACE};
use bootenv::locate::{Extent, Place, locate};
use bootenv::medium::Memory;
use bootenv::rpi::AUTOBOOT_PLACE;

use super::disk::{Bytes, lines};

const VECTORS: &str = include_str!("../../vectors/locate.txt");

fn place(path: &str) -> &'static Place {
    let places = [&GRUBENV_PLACE, &GRUBENV_SPARE_PLACE, &AUTOBOOT_PLACE];
    places.into_iter().find(|place| place.path == path).unwrap_or_else(|| panic!("{path}"))
}

/// What is found, in the words of the vectors.
fn found(disk: &Bytes, path: &str) -> String {
    match locate(&mut Memory::new(disk.0.clone()), place(path)) {
        Ok(Extent { first, sectors }) => format!("file {path} {first} {sectors}"),
        Err(error) => format!("error {path} {}", Error::from(error).code()),
    }
}

#[test]
fn control_files_lie_where_the_vectors_say() {
    let mut disks: HashMap<&str, Bytes> = HashMap::new();
    let (mut disk, mut making, mut case, mut asked) = (Bytes::default(), None, "", 0);
    for line in lines(VECTORS) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["disk", name, sectors] => {
                disks.insert(name, Bytes(vec![0; sectors.parse::<usize>().unwrap() * 512]));
                making = Some(name);
            }
            ["case", ..] => (case, making) = (line, None),
            ["on", name] => disk = disks[name].clone(),
            ["file" | "error", path, ..] => {
                assert_eq!(found(&disk, path), line, "{case}");
                asked += 1;
            }
            _ => {
                let bytes = making.map_or(&mut disk, |name| disks.get_mut(name).unwrap());
                assert!(bytes.obey(line), "{case}: {line}");
            }
        }
    }
    assert!(asked > 40, "{asked}");
}
