//! GRUB's environment block: 1,024 bytes of text that GRUB rewrites in place.
//!
//! ```text
//!   0    "# GRUB Environment Block\n"
//!   25   "name=value\n" ...                  every variable ends before byte 512
//!   ...  "####...####"                       fill up to 1,024; never a newline at the end
//! ```
//!
//! GRUB takes the block's size from the file's, insists on the header line, and says "environment
//! block too small" when the fill is anything but `#` (grub-core/lib/envblk.c). Since
//! all variables stand in the first sector, a change of them is a change of one sector.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Size of the block, in bytes.
pub const SIZE: usize = 1024;

/// Bytes that variables may use, header included: one sector.
pub const USABLE: usize = 512;

/// The first line, with its line break.
pub(crate) const HEADER: &str = "# GRUB Environment Block\n";

/// The variables of an environment block, in the order in which they stand there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrubEnv {
    variables: Vec<(String, String)>,
}

/// Why bytes are no environment block, or variables do not fit into one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrubEnvError {
    /// Not 1,024 bytes.
    #[error("environment block has {0} bytes instead of 1024")]
    Size(usize),
    /// The first line is another one.
    #[error("environment block does not start with GRUB's header line")]
    Header,
    /// Something other than `#` follows the last variable, so that GRUB could not save.
    #[error("environment block has garbage at byte {0}")]
    Fill(usize),
    /// The variables are not text, or a line is not `name=value`.
    #[error("environment block has a line that is not `name=value`: `{0}`")]
    Line(String),
    /// The variables need more than one sector.
    #[error("variables take {0} bytes of an environment block, but only 512 can be written at once")]
    Full(usize),
    /// A name or a value that would not be read back as it was.
    #[error("`{0}` cannot be a variable of an environment block")]
    Variable(String),
}

impl GrubEnv {
    /// A block without variables.
    pub fn new() -> Self {
        GrubEnv::default()
    }

    /// Reads a block.
    ///
    /// # Errors
    /// When GRUB could not load it, could not save to it, or it has variables after byte 512.
    pub fn decode(block: &[u8]) -> Result<Self, GrubEnvError> {
        if block.len() != SIZE {
            return Err(GrubEnvError::Size(block.len()));
        }
        let body = block.strip_prefix(HEADER.as_bytes()).ok_or(GrubEnvError::Header)?;
        let mut env = GrubEnv::new();
        let mut rest = body;
        while rest.first().is_some_and(|byte| *byte != b'#') {
            let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
            env.variables.push(decode_line(&rest[..end])?);
            rest = rest.get(end + 1..).unwrap_or_default();
        }
        let used = SIZE - rest.len();
        if used > USABLE {
            return Err(GrubEnvError::Full(used));
        }
        match rest.iter().position(|byte| *byte != b'#') {
            Some(garbage) => Err(GrubEnvError::Fill(used + garbage)),
            None => Ok(env),
        }
    }

    /// Writes the block.
    ///
    /// # Errors
    /// [`GrubEnvError::Full`] when the variables need more than the first 512 bytes.
    pub fn encode(&self) -> Result<[u8; SIZE], GrubEnvError> {
        let mut text = HEADER.to_owned();
        for (name, value) in &self.variables {
            text.extend([name, "=", &value.replace('\\', "\\\\"), "\n"]);
        }
        if text.len() > USABLE {
            return Err(GrubEnvError::Full(text.len()));
        }
        let mut block = [b'#'; SIZE];
        block[..text.len()].copy_from_slice(text.as_bytes());
        Ok(block)
    }

    /// The value of `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Gives `name` a value; a known name keeps its place.
    ///
    /// # Errors
    /// [`GrubEnvError::Variable`] when name or value has a character that the block cannot hold.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), GrubEnvError> {
        let named = !name.is_empty() && !name.contains(['=', '#', '\n', '\\', '\0']);
        if !named || value.contains(['\n', '\0']) {
            return Err(GrubEnvError::Variable(format!("{name}={value}")));
        }
        match self.variables.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value.to_owned(),
            None => self.variables.push((name.to_owned(), value.to_owned())),
        }
        Ok(())
    }

    /// Names and values, in the order of the block.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Reads `name=value`, in which a backslash makes the next character plain.
fn decode_line(line: &[u8]) -> Result<(String, String), GrubEnvError> {
    let wrong = || GrubEnvError::Line(line.escape_ascii().to_string());
    let text = core::str::from_utf8(line).map_err(|_| wrong())?;
    let (name, escaped) = text.split_once('=').ok_or_else(wrong)?;
    let mut value = String::new();
    let mut characters = escaped.chars();
    while let Some(character) = characters.next() {
        value.push(if character == '\\' { characters.next().ok_or_else(wrong)? } else { character });
    }
    let mut checked = GrubEnv::new();
    checked.set(name, &value).map_err(|_| wrong())?;
    Ok((name.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn block(text: &str) -> Vec<u8> {
        let mut block = text.as_bytes().to_vec();
        block.resize(SIZE, b'#');
        block
    }

    #[test]
    fn what_grub_editenv_writes_is_read() {
        let env =
            GrubEnv::decode(&block("# GRUB Environment Block\nboot_default=A\nboot_counter=3\n")).unwrap();
        assert_eq!(env.get("boot_default"), Some("A"));
        assert_eq!(env.get("boot_counter"), Some("3"));
        assert_eq!(env.get("other"), None);
    }

    #[test]
    fn blocks_that_grub_cannot_load_or_save_are_refused() {
        assert_eq!(GrubEnv::decode(&[b'#'; 512]), Err(GrubEnvError::Size(512)));
        assert_eq!(GrubEnv::decode(&[0; SIZE]), Err(GrubEnvError::Header));
        assert_eq!(GrubEnv::decode(&block("# GRUB Environment Block\r\n")), Err(GrubEnvError::Header));
        let mut zero_filled = block("# GRUB Environment Block\na=1\n");
        zero_filled[SIZE - 1] = 0;
        assert_eq!(GrubEnv::decode(&zero_filled), Err(GrubEnvError::Fill(SIZE - 1)));
        let no_value = block("# GRUB Environment Block\nboot_default\n");
        assert_eq!(GrubEnv::decode(&no_value), Err(GrubEnvError::Line("boot_default".into())));
    }

    #[test]
    fn variables_stay_in_the_first_sector() {
        let mut env = GrubEnv::new();
        env.set("a", &"x".repeat(USABLE - HEADER.len() - 3)).unwrap();
        assert!(env.encode().is_ok());
        env.set("b", "1").unwrap();
        assert_eq!(env.encode(), Err(GrubEnvError::Full(USABLE + 4)));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(pairs in prop::collection::vec(("[a-z_]{1,8}", "[ -~]{0,12}"), 0..12)) {
            let mut env = GrubEnv::new();
            for (name, value) in &pairs {
                env.set(name, value).unwrap();
            }
            prop_assert_eq!(GrubEnv::decode(&env.encode().unwrap()).unwrap(), env);
        }

        #[test]
        fn damage_is_refused_or_read_but_never_panics(at in 0..SIZE, byte: u8) {
            let mut env = GrubEnv::new();
            env.set("boot_default", "A").unwrap();
            let mut bytes = env.encode().unwrap();
            bytes[at] = byte;
            let _ = GrubEnv::decode(&bytes);
        }
    }
}
