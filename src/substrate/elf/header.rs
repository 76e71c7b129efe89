//! The first 64 bytes of a 64-bit ELF file (ELF-64 Object File Format, figure "ELF-64 Header").
//!
//! ```text
//!    0  7f 'E' 'L' 'F', class, data, version, ABI
//!   16  type u16, machine u16          40  section headers, offset u64
//!   32  program headers, offset u64    54  program header size u16, count u16
//!                                      58  section header size u16, count u16, index of names u16
//! ```

/// Bytes of the header.
pub const SIZE: usize = 64;
/// `EM_AARCH64`.
pub const AARCH64: u16 = 183;
/// `EM_BPF`: programs for the kernel, the same on every machine.
pub const BPF: u16 = 247;
/// `ET_REL`: object files and kernel modules.
pub const RELOCATABLE: u16 = 1;
/// `ET_EXEC`: programs at a fixed address.
pub const EXECUTABLE: u16 = 2;
/// `ET_DYN`: shared libraries, and programs that go anywhere.
pub const SHARED: u16 = 3;

/// The fields that tell whether and how a file can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whether the file is of the 64-bit class.
    pub is_64_bit: bool,
    /// Whether its numbers are little-endian.
    pub is_little_endian: bool,
    /// `e_type`.
    pub kind: u16,
    /// `e_machine`.
    pub machine: u16,
    /// Offset of the program headers, in bytes. Only of meaning in a 64-bit file.
    pub programs: u64,
    /// Number of program headers.
    pub program_count: u16,
    /// Offset of the section headers, in bytes.
    pub sections: u64,
    /// Number of section headers.
    pub section_count: u16,
    /// Index of the section that holds the sections' names.
    pub section_names: u16,
}

impl Header {
    /// Reads the header at the start of `file`, or `None` when it is not an ELF file.
    pub fn decode(file: &[u8]) -> Option<Self> {
        let head = file.get(..SIZE)?;
        if !head.starts_with(b"\x7fELF") {
            return None;
        }
        let is_little_endian = head[5] == 1;
        // Type and machine stand at the same place in all classes, so foreign ones can be named.
        let half = |at: usize| {
            let bytes = [head[at], head[at + 1]];
            if is_little_endian { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) }
        };
        Some(Header {
            is_64_bit: head[4] == 2,
            is_little_endian,
            kind: half(16),
            machine: half(18),
            programs: field_u64(head, 32),
            program_count: half(56),
            sections: field_u64(head, 40),
            section_count: half(60),
            section_names: half(62),
        })
    }

    /// Whether this is a 64-bit little-endian file for AArch64.
    pub fn is_aarch64(&self) -> bool {
        self.is_64_bit && self.is_little_endian && self.machine == AARCH64
    }

    /// What the file was made for, in words: `x86-64`, `32-bit ARM`.
    pub fn architecture(&self) -> String {
        let machine = match self.machine {
            3 => "x86".into(),
            8 => "MIPS".into(),
            20 | 21 => "PowerPC".into(),
            22 => "S/390".into(),
            40 => "ARM".into(),
            62 => "x86-64".into(),
            AARCH64 => "AArch64".into(),
            243 => "RISC-V".into(),
            BPF => "BPF".into(),
            258 => "LoongArch".into(),
            other => format!("machine {other}"),
        };
        match (self.is_64_bit, self.is_little_endian) {
            (true, true) => machine,
            (false, true) => format!("32-bit {machine}"),
            (true, false) => format!("big-endian {machine}"),
            (false, false) => format!("32-bit big-endian {machine}"),
        }
    }
}

/// The little-endian number at `at`; `bytes` must reach that far.
pub fn field_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("the slice has 4 bytes"))
}

/// The little-endian number at `at`; `bytes` must reach that far.
pub fn field_u64(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("the slice has 8 bytes"))
}
