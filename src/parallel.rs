//! The same work on many things, several at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// What `work` makes of each of `items`, in their order, on up to `workers` threads. Each has one
/// `State` for all that it does. After an error no further item is begun.
///
/// # Errors
/// The first error, in the order of the items, of those that were reached.
pub fn map<T: Sync, State: Default, R: Send, E: Send>(
    items: &[T],
    workers: usize,
    work: impl Fn(&mut State, &T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let (mut state, mut done) = (State::default(), Vec::new());
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(at) else { return done };
            let result = work(&mut state, item);
            if result.is_err() {
                next.store(items.len(), Ordering::Relaxed);
            }
            done.push((at, result));
        }
    };
    let mut results: Vec<(usize, Result<R, E>)> = thread::scope(|scope| {
        let workers: Vec<_> =
            (0..workers.clamp(1, items.len().max(1))).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a worker does not panic")).collect()
    });
    results.sort_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_items() {
        let items: Vec<u64> = (0..50).collect();
        let twice = map(&items, 4, |(): &mut (), item| {
            thread::sleep(std::time::Duration::from_micros(50 - item));
            Ok::<u64, ()>(item * 2)
        });
        assert_eq!(twice, Ok((0..50).map(|item| item * 2).collect()));
        assert_eq!(map(&[0_u8; 0], 4, |(): &mut (), _| Ok::<(), ()>(())), Ok(Vec::new()));
    }

    #[test]
    fn an_error_ends_the_work() {
        let items: Vec<u32> = (0..1000).collect();
        let result = map(&items, 2, |(): &mut (), item| if *item < 10 { Ok(*item) } else { Err(*item) });
        assert!(result.unwrap_err() >= 10);
    }
}
