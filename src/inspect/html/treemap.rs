//! Where the tiles of a treemap lie: each has as much of the field as its weight is of all weights.
//!
//! ```text
//!   +---------+------+----+     a row of tiles takes one side of what is left of the field, along its
//!   |         |  2   | 3  |     shorter edge, with as many tiles as makes them most like squares
//!   |    1    +------+----+     (Bruls, Huizing, van Wijk: Squarified treemaps, 2000)
//!   |         |  4   | 56 |
//!   +---------+------+----+
//! ```

/// Length of either side of the field: a unit is a hundredth of a percent.
pub(super) const SIDE: u32 = 10_000;

/// How wide and how high the field will be drawn, in any unit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) width: u32,
    pub(super) height: u32,
}

/// A part of the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tile {
    pub(super) x: u32,
    pub(super) y: u32,
    pub(super) width: u32,
    pub(super) height: u32,
}

/// A tile for each of `weights`, which come largest first. Together they are the field, whatever is rounded;
/// nothing has room when all weights are zero.
pub(super) fn tiles(weights: &[u64], shape: Shape) -> Vec<Tile> {
    let mut rest = Tile { x: 0, y: 0, width: SIDE, height: SIDE };
    let mut tiles = Vec::with_capacity(weights.len());
    while tiles.len() < weights.len() {
        let left = &weights[tiles.len()..];
        let is_upright = is_upright(rest, shape);
        let row = &left[..row(left, rest, shape, is_upright)];
        let (row_weight, total) = (sum(row), sum(left));
        let thickness = part(if is_upright { rest.width } else { rest.height }, row_weight, total);
        let (place, after) = cut(rest, thickness, is_upright);
        tiles.extend(split(row, place, is_upright));
        rest = after;
    }
    tiles
}

/// Whether the next row is a column at the left: what is left is wider than high.
fn is_upright(rest: Tile, shape: Shape) -> bool {
    u64::from(rest.width) * u64::from(shape.width) >= u64::from(rest.height) * u64::from(shape.height)
}

/// How many of `left` the next row takes: one more, as long as its worst tile becomes no longer by that.
fn row(left: &[u64], rest: Tile, shape: Shape, is_upright: bool) -> usize {
    let (width, height) =
        (f64::from(rest.width) * f64::from(shape.width), f64::from(rest.height) * f64::from(shape.height));
    let (long, short) = if is_upright { (width, height) } else { (height, width) };
    let total = sum(left) as f64;
    let mut weight = 0.0;
    let mut worst = f64::INFINITY;
    for (count, one) in left.iter().enumerate() {
        weight += *one as f64;
        let thickness = long * weight / total;
        let ratio = |one: u64| {
            let length = short * one as f64 / weight;
            (length / thickness).max(thickness / length)
        };
        // The largest and the smallest of the row are the worst ones.
        let now = ratio(left[0]).max(ratio(*one));
        if count > 0 && (now > worst || now.is_nan()) {
            return count;
        }
        worst = now;
    }
    left.len()
}

/// What a row takes, and what is left.
fn cut(rest: Tile, thickness: u32, is_upright: bool) -> (Tile, Tile) {
    if is_upright {
        let after = Tile { x: rest.x + thickness, width: rest.width - thickness, ..rest };
        (Tile { width: thickness, ..rest }, after)
    } else {
        let after = Tile { y: rest.y + thickness, height: rest.height - thickness, ..rest };
        (Tile { height: thickness, ..rest }, after)
    }
}

/// The tiles of a row, one behind the other.
fn split(row: &[u64], place: Tile, is_upright: bool) -> impl Iterator<Item = Tile> {
    let total = sum(row);
    let length = if is_upright { place.height } else { place.width };
    let mut until = 0;
    row.iter().map(move |weight| {
        let from = part(length, until, total);
        until += u128::from(*weight);
        let long = part(length, until, total) - from;
        if is_upright {
            Tile { y: place.y + from, height: long, ..place }
        } else {
            Tile { x: place.x + from, width: long, ..place }
        }
    })
}

fn sum(weights: &[u64]) -> u128 {
    weights.iter().map(|weight| u128::from(*weight)).sum()
}

/// `length * weight / total`, rounded; all of it where nothing weighs anything.
fn part(length: u32, weight: u128, total: u128) -> u32 {
    if total == 0 {
        return length;
    }
    // The weight is not more than the total, so the result is not more than the length.
    ((u128::from(length) * weight + total / 2) / total) as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SHAPE: Shape = Shape { width: 1000, height: 500 };

    fn area(tile: &Tile) -> u64 {
        u64::from(tile.width) * u64::from(tile.height)
    }

    fn overlap(one: &Tile, other: &Tile) -> bool {
        let apart = |a: u32, a_length: u32, b: u32, b_length: u32| a + a_length <= b || b + b_length <= a;
        area(one) > 0
            && area(other) > 0
            && !apart(one.x, one.width, other.x, other.width)
            && !apart(one.y, one.height, other.y, other.height)
    }

    #[test]
    fn equal_weights_become_squares_in_a_field_of_two_squares() {
        let tiles = tiles(&[1; 8], SHAPE);
        assert!(tiles.iter().all(|tile| (tile.width, tile.height) == (SIDE / 4, SIDE / 2)), "{tiles:?}");
    }

    #[test]
    fn a_single_one_has_the_whole_field() {
        assert_eq!(tiles(&[7], SHAPE), [Tile { x: 0, y: 0, width: SIDE, height: SIDE }]);
        assert!(tiles(&[], SHAPE).is_empty());
    }

    fn weights() -> impl Strategy<Value = Vec<u64>> {
        let one = prop_oneof![0..10_u64, 0..1_000_000_u64, any::<u64>()];
        prop::collection::vec(one, 1..60).prop_map(|mut weights| {
            weights.sort_unstable_by(|one, other| other.cmp(one));
            weights
        })
    }

    proptest! {
        #[test]
        fn tiles_fill_the_field_and_never_overlap(
            weights in weights(), width in 1..4000_u32, height in 1..4000_u32,
        ) {
            let tiles = tiles(&weights, Shape { width, height });
            prop_assert_eq!(tiles.len(), weights.len());
            let has_weight = weights.iter().any(|weight| *weight > 0);
            let field = if has_weight { u64::from(SIDE) * u64::from(SIDE) } else { 0 };
            prop_assert_eq!(tiles.iter().map(area).sum::<u64>(), field);
            for (at, tile) in tiles.iter().enumerate() {
                prop_assert!(tile.x + tile.width <= SIDE && tile.y + tile.height <= SIDE, "{:?}", tile);
                prop_assert!(!tiles[..at].iter().any(|other| overlap(tile, other)), "{:?}", tile);
            }
        }

        #[test]
        fn areas_are_what_the_weights_are(weights in prop::collection::vec(1..1000_u64, 1..12)) {
            let mut weights = weights;
            weights.sort_unstable_by(|one, other| other.cmp(one));
            let total: u64 = weights.iter().sum();
            for (tile, weight) in tiles(&weights, SHAPE).iter().zip(&weights) {
                let wanted = u64::from(SIDE) * u64::from(SIDE) * weight / total;
                // Each edge is rounded by less than two units: one of its row, one of its own.
                let slack = 2 * u64::from(SIDE) + 2 * u64::from(tile.width + tile.height);
                prop_assert!(area(tile).abs_diff(wanted) <= slack, "{:?} {}", tile, wanted);
            }
        }
    }
}
