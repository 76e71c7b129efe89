//! Archives in the formats that parts come in, small and made for one test.

use std::io::Write;

use tar::EntryType;

/// One member of a tar, as sound or as damaged as a test wants it.
#[derive(Clone, Debug)]
pub struct Member {
    name: Vec<u8>,
    link: Vec<u8>,
    content: Vec<u8>,
    kind: EntryType,
    mode: u32,
    owner: (u64, u64),
    mtime: u64,
    device: (u32, u32),
    /// Records of a pax header, such as `SCHILY.xattr.user.x`.
    records: Vec<(String, Vec<u8>)>,
}

impl Member {
    fn new(name: impl AsRef<[u8]>, kind: EntryType, mode: u32) -> Self {
        Member {
            name: name.as_ref().to_vec(),
            link: Vec::new(),
            content: Vec::new(),
            kind,
            mode,
            owner: (0, 0),
            mtime: 0,
            device: (0, 0),
            records: Vec::new(),
        }
    }

    pub fn file(name: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Self {
        let content = content.as_ref().to_vec();
        Member { content, ..Member::new(name, EntryType::Regular, 0o644) }
    }

    pub fn program(name: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Self {
        Member::file(name, content).mode(0o755)
    }

    pub fn dir(name: impl AsRef<[u8]>) -> Self {
        Member::new(name, EntryType::Directory, 0o755)
    }

    pub fn symlink(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        let link = target.as_ref().to_vec();
        Member { link, ..Member::new(name, EntryType::Symlink, 0o777) }
    }

    pub fn hard_link(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        let link = target.as_ref().to_vec();
        Member { link, ..Member::new(name, EntryType::Link, 0o644) }
    }

    pub fn char_device(name: impl AsRef<[u8]>, major: u32, minor: u32) -> Self {
        Member { device: (major, minor), ..Member::new(name, EntryType::Char, 0o660) }
    }

    /// Whether its name ends like this.
    pub fn is(&self, end: &str) -> bool {
        self.name.ends_with(end.as_bytes())
    }

    pub fn mode(self, mode: u32) -> Self {
        Member { mode, ..self }
    }

    pub fn owner(self, uid: u64, gid: u64) -> Self {
        Member { owner: (uid, gid), ..self }
    }

    pub fn mtime(self, mtime: u64) -> Self {
        Member { mtime, ..self }
    }

    pub fn record(mut self, key: &str, value: &[u8]) -> Self {
        self.records.push((key.to_owned(), value.to_vec()));
        self
    }

    fn header(&self) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..self.name.len()].copy_from_slice(&self.name);
        header.as_old_mut().linkname[..self.link.len()].copy_from_slice(&self.link);
        header.set_entry_type(self.kind);
        header.set_size(self.content.len() as u64);
        header.set_mode(self.mode);
        header.set_uid(self.owner.0);
        header.set_gid(self.owner.1);
        header.set_mtime(self.mtime);
        if self.kind == EntryType::Char {
            header.set_device_major(self.device.0).unwrap();
            header.set_device_minor(self.device.1).unwrap();
        }
        header.set_cksum();
        header
    }
}

/// A tar of these members.
pub fn tar_of(members: &[Member]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for member in members {
        let records = member.records.iter().map(|(key, value)| (key.as_str(), value.as_slice()));
        tar.append_pax_extensions(records).unwrap();
        tar.append(&member.header(), member.content.as_slice()).unwrap();
    }
    tar.into_inner().unwrap()
}

/// A tar of files, by name.
pub fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let members: Vec<Member> = files.iter().map(|(name, content)| Member::file(name, content)).collect();
    tar_of(&members)
}

pub fn xz(content: &[u8]) -> Vec<u8> {
    let mut packed = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
    packed.write_all(content).unwrap();
    packed.finish().unwrap()
}

pub fn zstd(content: &[u8]) -> Vec<u8> {
    zstd::encode_all(content, 1).unwrap()
}

/// A package whose archives hold `files`.
pub fn deb(files: &[(&str, &[u8])]) -> Vec<u8> {
    deb_of("Package: x\n", &xz(&tar(files)))
}

/// A package with this control file and this archive of its files, packed or not.
pub fn deb_of(control: &str, data: &[u8]) -> Vec<u8> {
    let control = xz(&tar(&[("./control", control.as_bytes())]));
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, content) in
        [("debian-binary", &b"2.0\n"[..]), ("control.tar.xz", &control), ("data.tar", data)]
    {
        bytes.extend(
            format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100_644, content.len()).bytes(),
        );
        bytes.extend(content);
        bytes.resize(bytes.len().next_multiple_of(2), b'\n');
    }
    bytes
}
