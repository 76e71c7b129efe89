//! Several jobs at once.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// The results of `run` on all `items`, in their order; up to `workers` at once. After an error
/// no new item is begun, and the error is returned.
pub(super) fn map<T: Sync, R: Send, E: Send>(
    items: &[T],
    workers: usize,
    run: impl Fn(&T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, Result<R, E>)>> = Mutex::new(Vec::new());
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(number) else { return };
            let result = run(item);
            if result.is_err() {
                next.store(items.len(), Ordering::Relaxed);
            }
            done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((number, result));
        }
    };
    thread::scope(|scope| {
        for _ in 0..workers.clamp(1, items.len().max(1)) {
            scope.spawn(work);
        }
    });
    let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_the_order_of_the_items() {
        let items: Vec<u64> = (0..50).collect();
        let doubled = map(&items, 4, |item| {
            thread::sleep(std::time::Duration::from_micros(50 - item));
            Ok::<u64, ()>(item * 2)
        });
        assert_eq!(doubled, Ok((0..50).map(|item| item * 2).collect()));
        assert_eq!(map(&[0_u8; 0], 4, |_| Ok::<(), ()>(())), Ok(Vec::new()));
    }

    #[test]
    fn an_error_stops_the_rest() {
        let items: Vec<u64> = (0..1000).collect();
        let begun = AtomicUsize::new(0);
        let result: Result<Vec<()>, u64> = map(&items, 2, |item| {
            begun.fetch_add(1, Ordering::Relaxed);
            thread::sleep(std::time::Duration::from_micros(10));
            if *item >= 3 { Err(*item) } else { Ok(()) }
        });
        assert_eq!(result, Err(3));
        assert!(begun.into_inner() < 20);
    }
}
