//! Memory that devices can be read into, and written from, past the kernel's cache.

/// What addresses in memory, offsets and lengths must be multiples of for `O_DIRECT`: the largest logical
/// sector there is (open(2)).
pub(super) const ALIGN: usize = 4096;

/// Bytes that begin at a multiple of what disks ask for.
#[derive(Debug, Default)]
pub struct Buffer {
    memory: Vec<u8>,
    start: usize,
    len: usize,
}

impl Buffer {
    /// Zeros.
    pub fn zeros(len: usize) -> Self {
        let memory = vec![0; len + ALIGN];
        // An address that cannot be aligned costs speed: such bytes go through the cache.
        let start = Some(memory.as_ptr().align_offset(ALIGN)).filter(|start| *start < ALIGN).unwrap_or(0);
        Buffer { memory, start, len }
    }

    /// Room for so many bytes, whose content is whatever was there.
    pub fn room(&mut self, len: usize) -> &mut [u8] {
        if self.memory.len() < len + ALIGN {
            *self = Buffer::zeros(len);
        }
        self.len = len;
        &mut self.memory[self.start..self.start + len]
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.len]
    }

    /// The bytes, to be changed.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + self.len]
    }

    /// Only the first so many of the bytes from now on.
    pub fn cut(&mut self, len: usize) {
        self.len = self.len.min(len);
    }
}
