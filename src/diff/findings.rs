//! Where what is found is gathered.

use std::fmt::Display;
use std::io;

use super::bytes;
use super::model::{Difference, Place, Problem, Side, What};
use crate::interrupt::Interrupted;
use crate::volume::{Field, Region, Spot};

/// Structures that are listed where nothing else differs; there can be as many as there are blocks.
const MOST_SPOTS: usize = 12;

/// What was found until now.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) differences: Vec<Difference>,
    pub(super) problems: Vec<Problem>,
}

impl Findings {
    pub(super) fn added(&mut self, place: Place, about: impl Into<String>) {
        self.differences.push(Difference { place, what: What::Added { about: about.into() } });
    }

    pub(super) fn removed(&mut self, place: Place, about: impl Into<String>) {
        self.differences.push(Difference { place, what: What::Removed { about: about.into() } });
    }

    /// Notes a value when it is not the same in both.
    pub(super) fn compare<T: PartialEq + Display>(
        &mut self,
        place: &Place,
        field: impl Into<String>,
        a: T,
        b: T,
    ) {
        if a != b {
            let (field, from, to) = (field.into(), a.to_string(), b.to_string());
            let what = What::Changed { field, from, to, at: None };
            self.differences.push(Difference { place: place.clone(), what });
        }
    }

    /// Notes fields of a structure that are not the same in both; those that follow from others only
    /// `with_derived`.
    pub(super) fn fields(&mut self, place: &Place, fields: &[Field], [a, b]: [&[u8]; 2], with_derived: bool) {
        for field in fields.iter().filter(|field| with_derived || !field.is_derived) {
            if field.of(a) != field.of(b) {
                let (from, to) = (field.value(a), field.value(b));
                let what = match from == to {
                    true => bytes_changed(field.name, field.at, field.of(a), field.of(b)),
                    false => What::Changed { field: field.name.to_owned(), from, to, at: None },
                };
                self.differences.push(Difference { place: place.clone(), what });
            }
        }
    }

    /// Notes the bytes at `at`, which differ.
    pub(super) fn bytes(&mut self, place: &Place, field: impl Into<String>, at: u64, regions: [&Region; 2]) {
        let [from, to] = regions.map(|region| bytes::preview(region, at));
        let what = What::Changed { field: field.into(), from, to, at: Some(at) };
        self.differences.push(Difference { place: place.clone(), what });
    }

    /// Names the structures that differ, each once where it is in several pieces. Whether there was any.
    pub(super) fn spots(
        &mut self,
        place: &Place,
        regions: [&Region; 2],
        spot: impl Fn(u64) -> Spot,
    ) -> io::Result<bool> {
        let (mut at, mut last) = (0, None);
        let mut count = 0;
        while let Some(found) = bytes::next(regions[0], regions[1], at)? {
            let Spot { structure, end } = spot(found);
            at = end.max(found + 1);
            if last.as_ref() == Some(&structure) {
                continue;
            }
            count += 1;
            if count > MOST_SPOTS {
                self.bytes(place, "more, first", found, regions);
                break;
            }
            self.bytes(place, structure.clone(), found, regions);
            last = Some(structure);
        }
        Ok(count > 0)
    }

    /// What `result` holds; else its error is a problem, but for the wish to stop.
    pub(super) fn tried<T>(
        &mut self,
        place: &Place,
        image: impl Into<Option<Side>>,
        result: io::Result<T>,
    ) -> Result<Option<T>, Interrupted> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.get_ref().is_some_and(|inner| inner.is::<Interrupted>()) => Err(Interrupted),
            Err(error) => {
                self.problem(place.clone(), image, error.to_string());
                Ok(None)
            }
        }
    }

    pub(super) fn problem(
        &mut self,
        place: Place,
        image: impl Into<Option<Side>>,
        problem: impl Into<String>,
    ) {
        self.problems.push(Problem { place, image: image.into(), problem: problem.into() });
    }
}

fn bytes_changed(field: &str, start: usize, a: &[u8], b: &[u8]) -> What {
    let first = a.iter().zip(b).position(|(one, other)| one != other).unwrap_or_default();
    let [from, to] = [a, b].map(|bytes| bytes::shown(bytes.get(first..).unwrap_or_default()));
    What::Changed { field: field.to_owned(), from, to, at: Some((start + first) as u64) }
}
