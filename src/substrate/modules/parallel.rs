//! The same work on many things, on two threads: more than two readers of packed modules would
//! hold too much unpacked at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

const WORKERS: usize = 2;

/// What `work` makes of each of `items`, in their order. Each worker has one `State` for all that
/// it does.
///
/// # Errors
/// The first error, in the order of the items, of those that were reached.
pub(super) fn map<T: Sync, State: Default, R: Send, E: Send>(
    items: &[T],
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
                // Nobody needs what would come after.
                next.store(items.len(), Ordering::Relaxed);
            }
            done.push((at, result));
        }
    };
    let mut results: Vec<(usize, Result<R, E>)> = thread::scope(|scope| {
        let workers = [(); WORKERS].map(|()| scope.spawn(worker));
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
        let items: Vec<u32> = (0..1000).collect();
        let twice = map(&items, |(): &mut (), item| Ok::<_, ()>(item * 2)).unwrap();
        assert!(twice.iter().zip(&items).all(|(twice, item)| *twice == item * 2));
    }

    #[test]
    fn an_error_ends_the_work() {
        let items: Vec<u32> = (0..1000).collect();
        let result = map(&items, |(): &mut (), item| if *item < 10 { Ok(*item) } else { Err(*item) });
        assert!(result.unwrap_err() >= 10);
    }
}
