//! What a comparison finds.

use std::fmt;

use serde::{Serialize, Serializer};

/// How two images compare.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The first image.
    pub a: String,
    /// The second.
    pub b: String,
    /// Whether they hold the same bytes.
    pub identical: bool,
    /// The first byte that differs; none when one image ends before that.
    pub first: Option<First>,
    /// What differs, in the order of the disk.
    pub differences: Vec<Difference>,
    /// What could not be looked into.
    pub problems: Vec<Problem>,
}

/// Where two images begin to differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct First {
    /// Offset in bytes from the start of the disk.
    pub at: u64,
    /// What is there.
    pub place: Place,
}

/// A path to what differs: a partition, files in it, files in those. It is written with ` / ` between them.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(Vec<String>);

/// One thing that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Where.
    pub place: Place,
    /// How.
    #[serde(flatten)]
    pub what: What,
}

/// How something differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum What {
    /// Only the second image has it.
    Added {
        /// What it is.
        about: String,
    },
    /// Only the first image has it.
    Removed {
        /// What it was.
        about: String,
    },
    /// Both have it, with another value.
    Changed {
        /// What of it.
        field: String,
        /// The value in the first image; of bytes, the first few that differ.
        from: String,
        /// The value in the second.
        to: String,
        /// Of bytes, the first that differs, counted from the start of what is named in the place.
        #[serde(skip_serializing_if = "Option::is_none")]
        at: Option<u64>,
    },
}

/// Something that could not be looked into.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// In which image; none when it holds for both.
    pub image: Option<Side>,
    /// What is wrong.
    pub problem: String,
}

/// One of the two images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The first.
    A,
    /// The second.
    B,
}

impl Side {
    /// Both, in their order.
    pub const BOTH: [Side; 2] = [Side::A, Side::B];
}

impl Place {
    /// The place of this name.
    pub fn new(name: impl Into<String>) -> Self {
        Place(vec![name.into()])
    }

    /// What is called `name` in this place; the place itself when it has no name.
    pub fn inside(&self, name: impl Into<String>) -> Self {
        let name = name.into();
        let more = (!name.is_empty()).then_some(name);
        Place(self.0.iter().cloned().chain(more).collect())
    }

    /// What the first `len` names lead to.
    pub fn up_to(&self, len: usize) -> Self {
        Place(self.0.iter().take(len).cloned().collect())
    }

    /// The names that lead there.
    pub fn names(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" / "))
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
