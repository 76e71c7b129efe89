//! Small ELF files, built by hand for tests.

use super::header;

/// A program or library: one segment that maps the whole file at `BASE`, a dynamic section and
/// its strings.
#[derive(Clone, Default)]
pub(crate) struct Sample {
    /// `PT_INTERP`.
    pub(crate) interpreter: Option<&'static str>,
    /// `DT_NEEDED`.
    pub(crate) needed: Vec<&'static str>,
    /// `DT_RUNPATH`.
    pub(crate) runpath: Option<&'static str>,
    /// `DT_SONAME`.
    pub(crate) soname: Option<&'static str>,
}

const BASE: u64 = 0x1_0000;

impl Sample {
    /// The bytes of the file.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let (mut strings, mut dynamic) = (vec![0u8], Vec::new());
        let mut string = |tag: u64, text: &str| {
            dynamic.push((tag, strings.len() as u64));
            strings.extend(text.bytes().chain([0]));
        };
        self.needed.iter().for_each(|name| string(1, name));
        self.soname.iter().for_each(|name| string(14, name));
        self.runpath.iter().for_each(|path| string(29, path));
        let interpreter: Vec<u8> = self.interpreter.iter().flat_map(|path| path.bytes().chain([0])).collect();
        let (strings_at, interpreter_at) = (64 + 3 * 56, 64 + 3 * 56 + strings.len() as u64);
        let dynamic_at = interpreter_at + interpreter.len() as u64;
        dynamic.extend([(5, BASE + strings_at), (10, strings.len() as u64), (0, 0)]);
        let size = dynamic_at + dynamic.len() as u64 * 16;

        let mut file = head(header::SHARED, 64, 3, 0, 0, 0);
        file.extend(segment(1, 0, size));
        file.extend(segment(
            if interpreter.is_empty() { 0 } else { 3 },
            interpreter_at,
            interpreter.len() as u64,
        ));
        file.extend(segment(2, dynamic_at, dynamic.len() as u64 * 16));
        file.extend(strings);
        file.extend(interpreter);
        file.extend(
            dynamic.iter().flat_map(|(tag, value)| [tag.to_le_bytes(), value.to_le_bytes()].concat()),
        );
        file
    }
}

/// A kernel module with the given `.modinfo`.
pub(crate) fn module(modinfo: &[u8]) -> Vec<u8> {
    let names = b"\0.modinfo\0.shstrtab\0";
    let (modinfo_at, names_at) = (64, 64 + modinfo.len() as u64);
    let sections = names_at + names.len() as u64;
    let mut file = head(header::RELOCATABLE, 0, 0, sections, 3, 2);
    file.extend(modinfo);
    file.extend(names);
    for (name, at, size) in
        [(0, 0, 0), (1, modinfo_at, modinfo.len() as u64), (10, names_at, names.len() as u64)]
    {
        let mut section = vec![0u8; 64];
        section[..4].copy_from_slice(&u32::to_le_bytes(name));
        section[24..32].copy_from_slice(&u64::to_le_bytes(at));
        section[32..40].copy_from_slice(&u64::to_le_bytes(size));
        file.extend(section);
    }
    file
}

fn head(
    kind: u16,
    programs: u64,
    program_count: u16,
    sections: u64,
    section_count: u16,
    names: u16,
) -> Vec<u8> {
    let mut head = vec![0u8; header::SIZE];
    head[..8].copy_from_slice(b"\x7fELF\x02\x01\x01\0");
    head[16..18].copy_from_slice(&kind.to_le_bytes());
    head[18..20].copy_from_slice(&header::AARCH64.to_le_bytes());
    head[32..40].copy_from_slice(&programs.to_le_bytes());
    head[40..48].copy_from_slice(&sections.to_le_bytes());
    head[54..56].copy_from_slice(&56u16.to_le_bytes());
    head[56..58].copy_from_slice(&program_count.to_le_bytes());
    head[58..60].copy_from_slice(&64u16.to_le_bytes());
    head[60..62].copy_from_slice(&section_count.to_le_bytes());
    head[62..64].copy_from_slice(&names.to_le_bytes());
    head
}

fn segment(kind: u32, at: u64, size: u64) -> Vec<u8> {
    let mut segment = vec![0u8; 56];
    segment[..4].copy_from_slice(&kind.to_le_bytes());
    segment[8..16].copy_from_slice(&at.to_le_bytes());
    segment[16..24].copy_from_slice(&(BASE + at).to_le_bytes());
    segment[32..40].copy_from_slice(&size.to_le_bytes());
    segment
}
