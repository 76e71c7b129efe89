use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Command;

use proptest::prelude::*;

use super::*;

fn file_of(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    file
}

fn index_of(bytes: &[u8]) -> Result<Vec<Entry>, TarError> {
    index(&file_of(bytes))
}

/// An archive of `members` (name, type, link target, content), as the `tar` crate writes it.
fn archive(members: &[(&str, u8, &str, &[u8])]) -> Vec<u8> {
    let mut builder = ::tar::Builder::new(Vec::new());
    for (name, kind, link, content) in members {
        let mut header = ::tar::Header::new_gnu();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(::tar::EntryType::new(*kind));
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

fn message(result: Result<Vec<Entry>, TarError>) -> String {
    result.unwrap_err().to_string()
}

/// Runs GNU tar in `dir`.
fn gnu_tar(dir: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("tar").current_dir(dir).args(arguments).output().expect("`tar` is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn what_gnu_tar_packs_is_read_in_every_format() {
    let dir = tempfile::tempdir().unwrap();
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(130));
    let target = "t".repeat(150);
    std::fs::create_dir(dir.path().join("d".repeat(120))).unwrap();
    std::fs::write(dir.path().join(&long), b"hello").unwrap();
    std::os::unix::fs::symlink(&target, dir.path().join("link")).unwrap();
    std::fs::write(dir.path().join("one"), vec![7; 700]).unwrap();
    std::fs::hard_link(dir.path().join("one"), dir.path().join("two")).unwrap();
    for format in ["gnu", "pax"] {
        let options = ["--owner=3000000:3000000", "--mtime=@-5.5", "--sort=name", "--mode=2751"];
        let format = format!("--format={format}");
        let bytes = gnu_tar(dir.path(), &[&["-c", &format], &options[..], &["."]].concat());
        let entries = index_of(&bytes).unwrap();
        let find = |path: &str| entries.iter().find(|entry| entry.path.as_str() == path).unwrap();
        let Kind::File { offset, size: 5 } = find(&long).kind else { panic!("{:?}", find(&long)) };
        assert_eq!(&bytes[offset as usize..][..5], b"hello");
        assert_eq!(find("link").kind, Kind::Symlink(target.clone()));
        assert_eq!(find("two").kind, Kind::HardLink(find("one").path.clone()));
        let meta = &find("one").meta;
        assert_eq!((meta.uid, meta.mode, meta.mtime), (3_000_000, 0o2751, Some(-6)), "{format}");
        assert_eq!(find("").kind, Kind::Dir);
    }
}

#[test]
fn a_stream_gives_the_same_members_and_their_contents() {
    let bytes =
        archive(&[("a", b'0', "", b"first"), ("skipped", b'0', "", &[9; 2000]), ("b", b'0', "", b"last")]);
    let mut members = Members::new(Forward(&bytes[..]));
    let mut streamed = Vec::new();
    let mut contents = Vec::new();
    while let Some(entry) = members.next().unwrap() {
        if entry.path.as_str() != "skipped" {
            members.read_to_end(&mut contents).unwrap();
        }
        streamed.push(entry);
    }
    assert_eq!(streamed, index_of(&bytes).unwrap());
    assert_eq!(contents, b"firstlast");
}

#[test]
fn devices_and_pipes_are_members() {
    let bytes = archive(&[("null", b'3', "", b""), ("sda", b'4', "", b""), ("pipe", b'6', "", b"")]);
    let kinds: Vec<Kind> = index_of(&bytes).unwrap().into_iter().map(|entry| entry.kind).collect();
    let zero = (0, 0);
    let (major, minor) = zero;
    assert_eq!(kinds, [Kind::CharDevice { major, minor }, Kind::BlockDevice { major, minor }, Kind::Fifo]);
}

#[test]
fn members_that_cannot_go_into_an_image_are_refused_by_name() {
    let refused = |name: &str, kind: u8, link: &str, content: &[u8]| {
        message(index_of(&archive(&[(name, kind, link, content)])))
    };
    assert_eq!(refused("a/../../b", b'0', "", b""), "`a/../../b` leads out of the tree with `..`");
    assert_eq!(refused("/etc/passwd", b'0', "", b""), "`/etc/passwd` is an absolute path");
    assert_eq!(
        refused("x", b'1', "../../etc/passwd", b""),
        "`../../etc/passwd` leads out of the tree with `..`"
    );
    assert_eq!(refused("x", b'S', "", b""), "member `x` is a sparse file, which is not supported");
    assert_eq!(refused("x", b'V', "", b""), "member `x` is of type `V`, which is not supported");
    assert_eq!(
        refused("x", b'1', "y", b"z"),
        "member `x` is a hard link with content, which is not supported"
    );
    assert_eq!(refused("x", b'2', "", b""), "the link target of member `x` is damaged");
}

#[test]
fn names_that_are_not_utf8_or_hold_a_nul_are_refused() {
    let mut long = archive(&[("././@LongLink", b'L', "", b"a\0b\0"), ("a", b'0', "", b"")]);
    assert_eq!(message(index_of(&long)), "`a\\x00b` has a component that no file system takes");
    long[512..516].copy_from_slice(b"a\xff\0\0");
    assert_eq!(message(index_of(&long)), "`a\\xff\\x00` is not UTF-8");
}

#[test]
fn a_name_that_comes_twice_is_refused_unless_it_is_a_directory() {
    let twice = [("a", b'0', "", &b"1"[..]), ("a", b'0', "", b"2")];
    assert_eq!(message(index_of(&archive(&twice))), "member `a` is in the archive twice");
    assert!(index_of(&archive(&[("d/", b'5', "", b""), ("d/", b'5', "", b"")])).is_ok());
}

#[test]
fn an_archive_that_is_cut_anywhere_is_refused() {
    let bytes = archive(&[("a", b'0', "", &[1; 1000]), ("b", b'2', "a", b"")]);
    let end = bytes.len() - 1024;
    for cut in 0..=end {
        let message = message(index_of(&bytes[..cut]));
        assert!(message.starts_with("the archive is cut off at byte "), "{cut}: {message}");
    }
    assert!(index_of(&bytes[..end + 512]).is_ok(), "one block of zeros is an end");
}

#[test]
fn a_size_beyond_the_end_allocates_nothing_and_is_refused() {
    let mut bytes = archive(&[("a", b'0', "", b"")]);
    let mut header = ::tar::Header::from_byte_slice(&bytes[..512]).clone();
    header.set_size(i64::MAX as u64);
    header.set_cksum();
    bytes[..512].copy_from_slice(header.as_bytes());
    let cut = message(index_of(&bytes));
    assert_eq!(cut, "the archive is cut off at byte 1536");
    header.set_entry_type(::tar::EntryType::XHeader);
    header.set_cksum();
    bytes[..512].copy_from_slice(header.as_bytes());
    assert_eq!(message(index_of(&bytes)), "the extended header of member `a` is damaged");
}

#[test]
fn a_flipped_bit_in_a_header_is_found() {
    let bytes = archive(&[("a", b'0', "", b"")]);
    for bit in [0, 100 * 8, 124 * 8, 156 * 8 + 1] {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(message(index_of(&flipped)), "there is no tar header at byte 0", "bit {bit}");
    }
}

proptest! {
    #[test]
    fn damage_never_panics(flips in proptest::collection::vec((0..4096_usize, any::<u8>()), 1..8)) {
        let records = b"20 SCHILY.xattr.a=bcd\n";
        let mut bytes = archive(&[("x", b'x', "", records), ("a", b'0', "", &[1; 600]), ("b", b'1', "a", b"")]);
        for (at, value) in flips {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        let _ = index_of(&bytes);
        let mut members = Members::new(Forward(&bytes[..]));
        while let Ok(Some(_)) = members.next() {}
    }
}
